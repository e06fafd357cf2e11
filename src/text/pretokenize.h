#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// A chain of splitting rules: each cuts the pieces of the one before at its matches, and keeps
/// both the matches and what lies between them ("isolated").
class PreTokenizer {
 public:
  /// Published patterns, PCRE2 syntax. White space is Unicode's White_Space property. An error
  /// names a bad pattern.
  static Result<PreTokenizer> from_patterns(const std::vector<std::string>& patterns);
  /// The rules that GGUF's tokenizer.ggml.pre names: gpt-2 (also "default"), smollm, llama-bpe,
  /// qwen2 and their aliases.
  static Result<PreTokenizer> named(std::string_view name);

  /// The pieces of valid UTF-8 text in order; together they are the text. Where the regex engine
  /// gives up (its limits bound time and memory), the rest is one piece.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Rule;
  std::vector<std::shared_ptr<const Rule>> rules_;
};

}  // namespace planeloom
