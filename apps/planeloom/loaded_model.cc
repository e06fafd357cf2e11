#include "loaded_model.h"

#include "common.h"

namespace planeloom {

Result<std::unique_ptr<LoadedModel>> load_for_text(const std::string& name, bool chat) {
  auto loaded = std::make_unique<LoadedModel>();
  PL_TRY(const std::filesystem::path path, resolve_model(name));
  PL_TRY(loaded->model, load_model(path));
  const Metadata& metadata = loaded->model.file->metadata();
  PL_TRY(loaded->tokenizer, Tokenizer::from_metadata(metadata));
  if (chat) {
    PL_TRY(loaded->chat, chat_template_of(metadata, *loaded->tokenizer));
  }
  return loaded;
}

Result<std::vector<int32_t>> render_turns(const LoadedModel& loaded,
                                          std::span<const ChatMessage> turns) {
  PL_TRY(const std::string text, loaded.chat->apply(turns, true));
  return encode_rendered(*loaded.tokenizer, text);
}

}  // namespace planeloom
