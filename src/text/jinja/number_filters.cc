// Filters that give numbers, and how int() and float() read text.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

/// ASCII digits for digits of any script, and underscores dropped where Python allows them: one
/// between two digits. False when an underscore stands elsewhere.
bool plain_digits(std::string_view text, std::string& out, bool after_prefix) {
  bool digit_before = after_prefix;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    if (c == '_') {
      size_t next = at;
      if (!digit_before || at >= text.size()) return false;
      const uint32_t after = next_code(text, next);
      if (decimal_value(after) < 0 && !(after < 0x80 && std::isalnum(static_cast<int>(after))))
        return false;
      digit_before = false;
      continue;
    }
    const int digit = decimal_value(c);
    digit_before = digit >= 0 || (c < 0x80 && std::isalnum(static_cast<int>(c)));
    if (digit >= 0)
      out += static_cast<char>('0' + digit);
    else
      out += text.substr(start, at - start);
  }
  return true;
}

Value to_int(const Value& v, int64_t base, const Value& fallback) {
  const auto whole = [&](double d, bool overflow_is_error) {
    if (std::isnan(d)) return fallback;
    if (std::isinf(d)) {
      if (overflow_is_error) raise(Fault::kOverflow, "cannot convert float infinity to integer");
      return fallback;
    }
    if (!(std::fabs(d) < 0x1p63)) raise(Fault::kLimit, "integer beyond 64 bits");
    return Value(static_cast<int64_t>(d));
  };
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (v.is_int()) return Value(v.integer());
  if (v.is(Kind::kFloat)) return whole(v.real(), true);
  if (!v.is(Kind::kString)) return fallback;
  int64_t n = 0;
  double d = 0;
  const bool valid_base = base == 0 || (base >= 2 && base <= 36);
  if (valid_base && parse_int(v.text(), static_cast<int>(base), n)) return Value(n);
  return parse_float(v.text(), d) ? whole(d, false) : fallback;
}

Value integer(Runtime&, const Value& v, Args& args) {
  const Bound a(args, "int", {"default", "base"}, 0);
  return to_int(v, a.has(1) ? need_int(a[1], "base") : 10, a.has(0) ? a[0] : Value(int64_t{0}));
}

Value real(Runtime&, const Value& v, Args& args) {
  const Bound a(args, "float", {"default"}, 0);
  const Value fallback = a.has(0) ? a[0] : Value(0.0);
  double d = 0;
  if (v.is(Kind::kUndefined)) raise_undefined(v);
  if (v.is_number()) return Value(v.real());
  return v.is(Kind::kString) && parse_float(v.text(), d) ? Value(d) : fallback;
}

/// Python's round(): to even on ties, decided on the exact decimal value.
double round_half_even(double d, int64_t digits) {
  if (!std::isfinite(d) || digits > 323) return d;
  if (digits < -308) return std::copysign(0.0, d);
  if (digits < 0) {
    const double power = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(d / power) * power;
  }
  char buffer[800];
  std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(digits), d);
  return std::strtod(buffer, nullptr);
}

int64_t round_int(int64_t n, int64_t digits) {
  if (digits >= 0) return n;
  if (digits < -18) return 0;
  int64_t power = 1;
  for (int64_t i = 0; i < -digits; ++i) power *= 10;
  const int64_t rest = ((n % power) + power) % power, down = n - rest;
  const int64_t quotient = down / power;
  return rest * 2 < power || (rest * 2 == power && quotient % 2 == 0) ? down : down + power;
}

Value round(Runtime&, const Value& v, Args& args) {
  const Bound a(args, "round", {"precision", "method"}, 0);
  const std::string how = a.has(1) && a[1].is(Kind::kString) ? a[1].text()
                          : a.has(1)                         ? "?"
                                                             : "common";
  if (how != "common" && how != "ceil" && how != "floor")
    raise(Fault::kTemplate, "method must be common, ceil or floor");
  if (!v.is_number()) raise(Fault::kType, "type {} cannot be rounded", type_name(v));
  const int64_t digits = a.has(0) ? need_int(a[0], "precision") : 0;
  if (how == "common") {
    if (!v.is_int()) return Value(round_half_even(v.real(), digits));
    if (std::fabs(v.real()) > 0x1p61 && digits < 0) raise(Fault::kLimit, "integer beyond 64 bits");
    return Value(round_int(v.integer(), digits));
  }
  if (std::abs(digits) > 300) raise(Fault::kOverflow, "precision {} out of range", digits);
  const double power = std::pow(10.0, static_cast<double>(digits));
  const double scaled = v.real() * power;
  if (!std::isfinite(scaled)) raise(Fault::kOverflow, "cannot convert float to integer");
  return Value((how == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

Value abs_filter(Runtime&, const Value& v, Args& args) {
  const Bound a(args, "abs", {}, 0);
  return absolute(v);
}

Value count(Runtime& rt, const Value& v, Args& args) {
  const Bound a(args, "length", {}, 0);
  return Value(length(rt, v));
}

}  // namespace

bool parse_int(std::string_view text, int base, int64_t& out) {
  text = strip(text);
  bool negative = false, prefixed = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+'))
    negative = text[0] == '-', text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 32);
    const int meant = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (meant && (base == meant || base == 0)) base = meant, prefixed = true, text.remove_prefix(2);
  }
  std::string digits;
  if (!plain_digits(text, digits, prefixed) || digits.empty()) return false;
  if (base == 0) {
    if (digits[0] == '0' && digits.find_first_not_of('0') != std::string::npos) return false;
    base = 10;
  }
  if (digits[0] == '-' || digits[0] == '+') return false;
  digits.insert(0, negative ? "-" : "");
  const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
  if (r.ptr != digits.data() + digits.size()) return false;
  if (r.ec == std::errc::result_out_of_range) raise(Fault::kLimit, "integer beyond 64 bits");
  return r.ec == std::errc();
}

bool parse_float(std::string_view text, double& out) {
  std::string plain;
  if (!plain_digits(strip(text), plain, false) || plain.empty()) return false;
  const size_t sign = plain[0] == '-' || plain[0] == '+' ? 1 : 0;
  const std::string name = lower(std::string_view(plain).substr(sign));
  const bool named = name == "inf" || name == "infinity" || name == "nan";
  if (!named) {
    if (plain.find_first_not_of("0123456789.eE+-") != std::string::npos) return false;
    if (plain.find_first_of("0123456789") == std::string::npos) return false;
  }
  char* end = nullptr;
  out = std::strtod(plain.c_str(), &end);
  return end == plain.c_str() + plain.size();
}

Filter find_number_filter(std::string_view name) {
  if (name == "int") return integer;
  if (name == "float") return real;
  if (name == "round") return round;
  if (name == "abs") return abs_filter;
  if (name == "length" || name == "count") return count;
  return nullptr;
}

}  // namespace planeloom::jinja
