#pragma once
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"

namespace planeloom::jinja {

/// The parts of a printf or str.format field that numbers and text share.
struct FieldStyle {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';    // - + or space
  bool alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
  char grouping = '\0';  // , _
  char type = '\0';
};

/// Digits of a float as printf's e, f, g and their capitals give them, without sign; 'r': Python's
/// shortest form with at least one decimal.
std::string float_digits(double magnitude, const FieldStyle& style);
/// Digits of an integer in the base of style.type (b o x X, else 10), without sign.
std::string int_digits(int64_t value, const FieldStyle& style, std::string* prefix);
/// A whole signed number, grouped and padded.
std::string number_field(Runtime& rt, bool negative, std::string_view prefix, std::string digits,
                         const FieldStyle& style);
/// Text padded to the width; `align` when the style has none.
std::string padded(Runtime& rt, std::string_view text, const FieldStyle& style, char align);

inline constexpr int64_t kMaxFieldPrecision = 4000;  // longer than any exact double

}  // namespace planeloom::jinja
