// Template text to tokens, with Jinja's whitespace rules (trim_blocks and lstrip_blocks on).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace planeloom::jinja {

enum class Tok {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  Tok type = Tok::kEnd;
  int line = 1;
  std::string text;  // data, name, operator, string after unescaping
  int64_t integer = 0;
  double real = 0;
  bool is(Tok t, std::string_view what) const { return type == t && text == what; }
};

/// The tokens of valid UTF-8, a kEnd token last. Raises kTemplate with the line.
std::vector<Token> tokenize(std::string_view source);

}  // namespace planeloom::jinja
