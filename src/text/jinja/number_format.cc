#include "text/jinja/number_format.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

/// A comma or underscore between groups of digits of the whole part.
std::string grouped(std::string_view digits, char mark, size_t group) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % group == 0) out += mark;
    out += digits[i];
  }
  return out.append(digits.substr(whole));
}

}  // namespace

std::string float_digits(double magnitude, const FieldStyle& style) {
  const bool upper = style.type == 'E' || style.type == 'F' || style.type == 'G';
  if (!std::isfinite(magnitude)) {
    const std::string text = std::isnan(magnitude) ? "nan" : "inf";
    return upper ? jinja::upper(text) : text;
  }
  if (style.type == 'r') return float_repr(magnitude);
  if (style.precision > kMaxFieldPrecision)
    raise(Fault::kLimit, "a precision of {}", style.precision);
  std::string format = style.alternate ? "%#.*" : "%.*";
  format += style.type;
  const int precision = style.precision < 0 ? 6 : static_cast<int>(style.precision);
  std::string out(static_cast<size_t>(precision) + 400, '\0');
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const int n = std::snprintf(out.data(), out.size(), format.c_str(), precision, magnitude);
#pragma GCC diagnostic pop
  out.resize(static_cast<size_t>(n));
  return out;
}

std::string int_digits(int64_t value, const FieldStyle& style, std::string* prefix) {
  const int base = style.type == 'b'                        ? 2
                   : style.type == 'o'                      ? 8
                   : style.type == 'x' || style.type == 'X' ? 16
                                                            : 10;
  const uint64_t magnitude =
      value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  char buffer[72];
  std::string digits(buffer, std::to_chars(buffer, buffer + sizeof(buffer), magnitude, base).ptr);
  if (style.type == 'X') digits = upper(digits);
  if (style.alternate && base != 10) *prefix = std::string("0") + style.type;
  return digits;
}

std::string padded(Runtime& rt, std::string_view text, const FieldStyle& style, char align) {
  const int64_t missing = std::max<int64_t>(0, style.width - count_codes(text));
  const char a = style.align ? style.align : align;
  const int64_t left = a == '<' ? 0 : a == '^' ? missing / 2 : missing;
  Writer out(rt);
  out.fill(static_cast<size_t>(left), style.fill);
  out << text;
  out.fill(static_cast<size_t>(missing - left), style.fill);
  return out.take();
}

std::string number_field(Runtime& rt, bool negative, std::string_view prefix, std::string digits,
                         const FieldStyle& style) {
  std::string sign = negative ? "-" : style.sign == '+' ? "+" : style.sign == ' ' ? " " : "";
  sign += prefix;
  const size_t group =
      style.type == 'b' || style.type == 'o' || style.type == 'x' || style.type == 'X' ? 4 : 3;
  if (style.align == '=') {
    // Zeros between sign and digits count in the groups, so they go in one by one.
    const auto full = [&] {
      return style.grouping ? grouped(digits, style.grouping, group) : digits;
    };
    if (style.fill == "0" && style.grouping) {
      if (style.width > 10000) raise(Fault::kLimit, "a grouped field of width {}", style.width);
      while (static_cast<int64_t>(sign.size() + full().size()) < style.width) digits.insert(0, "0");
    }
    const std::string body = full();
    FieldStyle rest = style;
    rest.align = '>';
    rest.width = style.width - static_cast<int64_t>(sign.size());
    return sign + padded(rt, body, rest, '>');
  }
  if (style.grouping) digits = grouped(digits, style.grouping, group);
  return padded(rt, sign + digits, style, '>');
}

}  // namespace planeloom::jinja
