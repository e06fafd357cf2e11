#include "text/detokenizer.h"

#include "text/unicode.h"

namespace planeloom {

std::string Detokenizer::push(int32_t token) {
  if (!tokenizer_.is_special(token)) {
    std::string bytes = tokenizer_.token_bytes(token);
    if (strip_space_ && !bytes.empty()) {
      if (bytes[0] == ' ') bytes.erase(0, 1);
      strip_space_ = false;
    }
    held_ += bytes;
  } else if (show_special_) {
    held_ += tokenizer_.token_bytes(token);
  }
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    if (const int n = utf8_length(held_, at)) {
      out.append(held_, at, static_cast<size_t>(n));
      at += static_cast<size_t>(n);
    } else if (utf8_incomplete(held_, at)) {
      break;
    } else {
      out += kReplacement;
      at += static_cast<size_t>(utf8_broken_length(held_, at));
    }
  }
  held_.erase(0, at);
  return out;
}

std::string Detokenizer::flush() {
  const std::string out = sanitize_utf8(held_);
  held_.clear();
  return out;
}

}  // namespace planeloom
