#pragma once
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace planeloom {

/// Turns a stream of tokens into text as it arrives. What it returns is always whole UTF-8
/// characters; bytes that can no longer become one turn into U+FFFD.
class Detokenizer {
 public:
  /// show_special: control tokens appear as their literal text instead of nothing.
  explicit Detokenizer(const Tokenizer& tokenizer, bool show_special = false)
      : tokenizer_(tokenizer),
        show_special_(show_special),
        strip_space_(tokenizer.adds_space_prefix()) {}

  /// The characters that this token completes.
  std::string push(int32_t token);
  /// What is left at the end: an unfinished character as U+FFFD.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  bool show_special_,
      strip_space_;   // strip_space_: SentencePiece's first space is not part of the text
  std::string held_;  // at most three bytes between calls
};

}  // namespace planeloom
