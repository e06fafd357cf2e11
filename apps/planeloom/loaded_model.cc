#include "loaded_model.h"

#include <nlohmann/json.hpp>

#include "common.h"

namespace planeloom {
namespace {

std::string token_or_empty(const Tokenizer& tokenizer, std::optional<int32_t> id) {
  return id ? tokenizer.token_text(*id) : std::string();
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> load_for_text(const std::string& name, bool chat) {
  auto loaded = std::make_unique<LoadedModel>();
  PL_TRY(const std::filesystem::path path, resolve_model(name));
  PL_TRY(loaded->model, load_model(path));
  const Metadata& metadata = loaded->model.file->metadata();
  PL_TRY(loaded->tokenizer, Tokenizer::from_metadata(metadata));
  const std::string source = metadata.string_or("tokenizer.chat_template", "");
  if (chat && !source.empty()) {
    const Tokenizer& t = *loaded->tokenizer;
    PL_TRY(ChatTemplate parsed,
           ChatTemplate::parse(source, token_or_empty(t, t.bos()), token_or_empty(t, t.eos())));
    loaded->chat = std::move(parsed);
  }
  return loaded;
}

Result<std::vector<int32_t>> render_turns(const LoadedModel& loaded, std::span<const Turn> turns) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const Turn& turn : turns)
    messages.push_back({{"role", turn.role}, {"content", turn.content}});
  PL_TRY(const std::string text, loaded.chat->apply(messages, true));
  // Most templates write BOS themselves; the tokenizer must not add a second one.
  const std::string bos = token_or_empty(*loaded.tokenizer, loaded.tokenizer->bos());
  EncodeOptions options;
  options.add_special = bos.empty() || text.rfind(bos, 0) != 0;
  return loaded.tokenizer->encode(text, options);
}

}  // namespace planeloom
