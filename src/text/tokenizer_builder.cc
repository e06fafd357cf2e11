#include "text/tokenizer_builder.h"

namespace planeloom {

Result<std::unique_ptr<Tokenizer>> TokenizerBuilder::build(const Metadata& metadata) {
  std::unique_ptr<Tokenizer> t(new Tokenizer);
  if (metadata.has("planeloom.tokenizer_json")) {
    PL_TRY(const std::string text, metadata.string("planeloom.tokenizer_json"));
    PL_CHECK(from_json(text, *t));
  } else {
    PL_CHECK(from_gguf(metadata, *t));
  }
  special_ids(metadata, *t);
  t->prepare();
  return t;
}

Status TokenizerBuilder::from_gguf(const Metadata& metadata, Tokenizer& t) {
  if (!metadata.has("tokenizer.ggml.model"))
    return fail(
        "[tokenizer] the model has none: a folder needs tokenizer.json, a GGUF file the key "
        "tokenizer.ggml.model");
  PL_TRY(const std::string model, metadata.string("tokenizer.ggml.model"));
  PL_TRY(t.vocab_, vocab_from_metadata(metadata));
  if (model == "llama") {
    t.kind_ = Tokenizer::Kind::kSentencePiece;
    t.space_prefix_ = metadata.boolean_or("tokenizer.ggml.add_space_prefix", true);
    t.add_bos_ = true;
    if (t.vocab_.score.empty())
      return fail("[tokenizer] a 'llama' vocabulary without tokenizer.ggml.scores");
    return {};
  }
  if (model != "gpt2")
    return fail("[tokenizer] model '{}' is not supported; supported: gpt2, llama", model);
  PL_TRY(t.pretokenizer_, PreTokenizer::named(metadata.string_or("tokenizer.ggml.pre", "default")));
  const std::string pre = metadata.string_or("tokenizer.ggml.pre", "default");
  if (pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3") {
    t.ignore_merges_ = true;
    t.add_bos_ = true;
  }
  const auto* merges = metadata.strings("tokenizer.ggml.merges");
  if (!merges) return fail("[tokenizer] tokenizer.ggml.merges is missing");
  t.merges_.reserve(merges->size());
  for (size_t i = 0; i < merges->size(); ++i) {
    const std::string& merge = (*merges)[i];
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      return fail("[tokenizer] merge {} '{}' is not two tokens", i, merge);
    PL_CHECK(add_merge(std::string_view(merge).substr(0, space),
                       std::string_view(merge).substr(space + 1), static_cast<int32_t>(i), t));
  }
  return {};
}

/// Merges whose tokens the vocabulary lacks can never apply and are passed over, as the reference
/// does.
Status TokenizerBuilder::add_merge(std::string_view left, std::string_view right, int32_t rank,
                                   Tokenizer& t) {
  const int32_t a = t.vocab_.find(left), b = t.vocab_.find(right);
  const int32_t merged = t.vocab_.find(std::string(left) + std::string(right));
  if (a < 0 || b < 0 || merged < 0) return {};
  t.merges_.try_emplace(
      static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b),
      Tokenizer::Merge{rank, merged});
  return {};
}

void TokenizerBuilder::special_ids(const Metadata& metadata, Tokenizer& t) {
  const auto id = [&](const char* key) -> std::optional<int32_t> {
    const int64_t value = metadata.integer_or(key, -1);
    if (value < 0 || value >= t.vocab_.size()) return std::nullopt;
    return static_cast<int32_t>(value);
  };
  if (const auto bos = id("tokenizer.ggml.bos_token_id")) t.bos_ = bos;
  if (const auto eos = id("tokenizer.ggml.eos_token_id")) t.eos_ = eos;
  // A byte that a byte-level vocabulary lacks is dropped, as the references do, unless
  // tokenizer.json names a token.
  const bool json = metadata.has("planeloom.tokenizer_json");
  if (t.kind_ == Tokenizer::Kind::kSentencePiece)
    t.unknown_ = id("tokenizer.ggml.unknown_token_id");
  for (size_t i = 0; (json || t.kind_ == Tokenizer::Kind::kSentencePiece) && !t.unknown_ &&
                     i < t.vocab_.type.size();
       ++i)
    if (t.vocab_.type[i] == TokenType::kUnknown) t.unknown_ = static_cast<int32_t>(i);
  t.add_bos_ = metadata.boolean_or("tokenizer.ggml.add_bos_token", t.add_bos_);
  t.add_eos_ = metadata.boolean_or("tokenizer.ggml.add_eos_token", t.add_eos_);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto end = id(key)) t.end_of_generation_.push_back(*end);
  if (const auto ends = metadata.integers("planeloom.eos_token_ids"))
    for (int64_t end : *ends)
      if (end >= 0 && end < t.vocab_.size())
        t.end_of_generation_.push_back(static_cast<int32_t>(end));
}

}  // namespace planeloom
