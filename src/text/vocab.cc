#include "text/vocab.h"

#include <algorithm>

namespace planeloom {

void Vocab::index() {
  ids.clear();
  ids.reserve(text.size());
  longest = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    ids.try_emplace(text[i], static_cast<int32_t>(i));
    longest = std::max(longest, text[i].size());
  }
}

Result<Vocab> vocab_from_metadata(const Metadata& metadata) {
  const auto* tokens = metadata.strings("tokenizer.ggml.tokens");
  if (!tokens || tokens->empty())
    return fail("[tokenizer] tokenizer.ggml.tokens is missing or empty");
  if (tokens->size() > (size_t{1} << 24))
    return fail("[tokenizer] {} tokens, at most 2^24 wanted", tokens->size());
  Vocab vocab;
  vocab.text = *tokens;
  if (const auto* scores = metadata.floats("tokenizer.ggml.scores")) {
    if (scores->size() != tokens->size())
      return fail("[tokenizer] {} scores for {} tokens", scores->size(), tokens->size());
    vocab.score = *scores;
  }
  vocab.type.assign(tokens->size(), TokenType::kNormal);
  if (const auto types = metadata.integers("tokenizer.ggml.token_type")) {
    if (types->size() != tokens->size())
      return fail("[tokenizer] {} types for {} tokens", types->size(), tokens->size());
    for (size_t i = 0; i < types->size(); ++i)
      if ((*types)[i] >= 1 && (*types)[i] <= 6) vocab.type[i] = static_cast<TokenType>((*types)[i]);
  }
  vocab.index();
  return vocab;
}

}  // namespace planeloom
