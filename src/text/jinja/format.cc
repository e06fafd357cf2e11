// "..." % values and str.format.
#include <algorithm>
#include <cmath>

#include "text/jinja/builtins.h"
#include "text/jinja/number_format.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace planeloom::jinja {
namespace {

std::string repr_of(Runtime& rt, const Value& v, bool ascii) {
  Writer out(rt);
  write_repr(rt, out, v, ascii);
  return out.take();
}

std::string cut(std::string_view text, int64_t codes_wanted) {
  size_t at = 0;
  for (int64_t i = 0; i < codes_wanted && at < text.size(); ++i) next_code(text, at);
  return std::string(text.substr(0, at));
}

std::string character(const Value& v) {
  if (v.is(Kind::kString) && v.as<String>().chars == 1) return v.text();
  const int64_t c = need_int(v, "%c");
  if (c < 0 || c > 0x10ffff) raise(Fault::kOverflow, "no character {}", c);
  std::string out;
  append_utf8(out, static_cast<uint32_t>(c));
  return out;
}

/// The printf half.
class Percent {
 public:
  Percent(Runtime& rt, const String& text, const Value& value)
      : rt_(rt), text_(text.text), markup_(text.markup), value_(value) {
    if (value.is(Kind::kTuple)) arguments_ = &value.items();
    mapping_ = value.is(Kind::kDict) || value.is(Kind::kList) || value.is(Kind::kRange) ||
               value.is(Kind::kUndefined);
  }

  std::string run() {
    Writer out(rt_);
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out << std::string_view(text_).substr(at_, percent - at_);
      at_ = percent;
      if (at_ < text_.size()) out << field();
    }
    if (!mapping_ && used_ < count())
      raise(Fault::kType, "not all arguments converted during string formatting");
    return out.take();
  }

 private:
  size_t count() const { return arguments_ ? arguments_->size() : 1; }
  char peek() const {
    if (at_ >= text_.size()) raise(Fault::kValue, "incomplete format");
    return text_[at_];
  }
  const Value& next() {
    if (used_ >= count()) raise(Fault::kType, "not enough arguments for format string");
    const size_t i = used_++;
    return arguments_ ? (*arguments_)[i] : value_;
  }
  int64_t number() {
    if (peek() == '*') return ++at_, need_int(next(), "*");
    int64_t n = 0;
    while (peek() >= '0' && peek() <= '9') {
      n = n * 10 + (text_[at_++] - '0');
      if (n > INT32_MAX) raise(Fault::kValue, "width too big");
    }
    return n;
  }
  const Value& keyed() {
    const size_t start = ++at_;
    for (int open = 1; open > 0; ++at_) open += peek() == '(' ? 1 : peek() == ')' ? -1 : 0;
    if (!value_.is(Kind::kDict)) raise(Fault::kType, "format requires a mapping");
    const std::string key = text_.substr(start, at_ - 1 - start);
    const Value* found = value_.as<Dict>().find(rt_, key);
    if (!found) raise(Fault::kLookup, "no key '{}' to format", key);
    return *found;
  }

  std::string field() {
    ++at_;
    FieldStyle style;
    const Value* value = peek() == '(' ? &keyed() : nullptr;
    bool left = false, zero = false;
    for (;; ++at_) {
      const char c = peek();
      if (c == '-')
        left = true;
      else if (c == '0')
        zero = true;
      else if (c == '#')
        style.alternate = true;
      else if (c == '+')
        style.sign = '+';
      else if (c == ' ')
        style.sign = style.sign == '+' ? '+' : ' ';
      else
        break;
    }
    style.width = number();
    if (style.width < 0) left = true, style.width = -style.width;
    if (peek() == '.') ++at_, style.precision = std::max<int64_t>(0, number());
    if (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    style.type = peek();
    ++at_;
    if (style.type == '%') return "%";
    const Value& v = value ? *value : next();
    style.align = left ? '<' : '\0';
    return convert(v, style, zero && !left);
  }

  std::string convert(const Value& v, FieldStyle style, bool zero) {
    std::string text;
    switch (style.type) {
      case 's':
      case 'r':
      case 'a': {
        text = style.type == 's' ? str(rt_, v) : repr_of(rt_, v, style.type == 'a');
        if (markup_ && !(style.type == 's' && v.is(Kind::kString) && v.as<String>().markup))
          text = escape_html(text);
        if (style.precision >= 0) text = cut(text, style.precision);
        return padded(rt_, text, style, '>');
      }
      case 'c':
        return padded(rt_, character(v), style, '>');
      default:
        break;
    }
    if (zero) style.align = '=', style.fill = "0";
    if (v.is(Kind::kUndefined)) raise_undefined(v);
    if (!v.is_number())
      raise(Fault::kType, "%{} format: a number is required, not {}", style.type, type_name(v));
    switch (style.type) {
      case 'd':
      case 'i':
      case 'u':
        style.alternate = false;
        return integer(v, style);
      case 'o':
      case 'x':
      case 'X':
        if (!v.is_int())
          raise(Fault::kType, "%{} format: an integer is required, not float", style.type);
        return integer(v, style);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return number_field(rt_, std::signbit(v.real()), "",
                            float_digits(std::fabs(v.real()), style), style);
      default:
        raise(Fault::kValue, "unsupported format character '{}'", style.type);
    }
  }

  std::string integer(const Value& v, const FieldStyle& style) {
    int64_t n = v.integer();
    if (!v.is_int()) {
      if (!(std::fabs(v.real()) < 0x1p63))
        raise(Fault::kOverflow, "cannot convert {} to an integer", float_repr(v.real()));
      n = static_cast<int64_t>(v.real());
    }
    std::string prefix, digits = int_digits(n, style, &prefix);
    if (style.precision > kMaxFieldPrecision)
      raise(Fault::kLimit, "a precision of {}", style.precision);
    if (style.precision > static_cast<int64_t>(digits.size()))
      digits.insert(0, static_cast<size_t>(style.precision) - digits.size(), '0');
    return number_field(rt_, n < 0, prefix, digits, style);
  }

  Runtime& rt_;
  const std::string& text_;
  const bool markup_;
  const Value& value_;
  const std::vector<Value>* arguments_ = nullptr;
  bool mapping_ = false;
  size_t at_ = 0, used_ = 0;
};

/// The str.format half: string.Formatter, with jinja2's sandboxed look-ups.
class Braces {
 public:
  Braces(Runtime& rt, Args& args, bool markup) : rt_(rt), args_(args), markup_(markup) {}

  std::string run(std::string_view text, int depth) {
    if (depth < 0) raise(Fault::kValue, "max string recursion exceeded");
    Writer out(rt_);
    for (size_t at = 0; at < text.size();) {
      const char c = text[at];
      if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
        out << std::string_view(&c, 1);
        at += 2;
      } else if (c == '}') {
        raise(Fault::kValue, "single '}}' encountered in format string");
      } else if (c == '{') {
        out << field(text, at, depth);
      } else {
        const size_t end = std::min(text.find_first_of("{}", at), text.size());
        out << text.substr(at, end - at);
        at = end;
      }
    }
    return out.take();
  }

 private:
  std::string field(std::string_view text, size_t& at, int depth) {
    const size_t start = ++at;
    int open = 1;
    bool bracket = false;
    size_t split = std::string_view::npos;  // the first ! or : outside []
    for (; at < text.size() && open > 0; ++at) {
      const char c = text[at];
      if (split == std::string_view::npos) {
        if (c == '[') bracket = true;
        if (c == ']') bracket = false;
        if (bracket) continue;
        if (c == '!' || c == ':') split = at;
      }
      open += c == '{' ? 1 : c == '}' ? -1 : 0;
    }
    if (open > 0) raise(Fault::kValue, "expected '}}' before end of string");
    const size_t end = at - 1;
    std::string_view name = text.substr(start, std::min(split, end) - start), spec;
    if (name.find('{') != std::string_view::npos)
      raise(Fault::kValue, "unexpected '{{' in field name");
    char conversion = '\0';
    if (split < end && text[split] == '!') {
      if (split + 1 >= end) raise(Fault::kValue, "unmatched conversion");
      conversion = text[split + 1];
      split += 2;
      if (split < end && text[split] != ':')
        raise(Fault::kValue, "expected ':' after conversion specifier");
    }
    if (split < end) spec = text.substr(split + 1, end - split - 1);
    Value v = look_up(name);
    if (conversion) v = converted(v, conversion);
    const std::string style = run(spec, depth - 1);
    std::string shown = format_spec(rt_, v, style);
    const bool safe = v.is(Kind::kString) && v.as<String>().markup;
    return markup_ && !safe ? escape_html(shown) : shown;
  }

  Value converted(const Value& v, char how) {
    if (how == 's') return rt_.string(str(rt_, v));
    if (how == 'r' || how == 'a') return rt_.string(repr_of(rt_, v, how == 'a'));
    raise(Fault::kValue, "unknown conversion specifier '{}'", how);
  }

  Value look_up(std::string_view name) {
    const size_t first = std::min(name.find_first_of(".["), name.size());
    Value v = argument(name.substr(0, first));
    for (size_t at = first; at < name.size();) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) raise(Fault::kValue, "empty attribute in format string");
        v = get_attribute(rt_, v, name.substr(at + 1, end - at - 1));
        at = end;
      } else if (name[at] == '[') {
        const size_t end = name.find(']', at);
        if (end == std::string_view::npos || end == at + 1)
          raise(Fault::kValue, "missing ']' or empty index in format string");
        v = get_item(rt_, v, index(name.substr(at + 1, end - at - 1)));
        at = end + 1;
      } else {
        raise(Fault::kValue, "only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return v;
  }

  Value index(std::string_view text) {
    int64_t n = 0;
    const bool digits = text.find_first_not_of("0123456789") == std::string_view::npos;
    return digits && text.size() < 18 && parse_int(text, 10, n) ? Value(n)
                                                                : rt_.string(std::string(text));
  }

  Value argument(std::string_view name) {
    int64_t n = 0;
    const bool digits = name.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits && !name.empty()) {
      if (automatic_ > 0)
        raise(Fault::kValue, "cannot switch from automatic to manual field numbering");
      manual_ = true;
      if (name.size() > 9 || !parse_int(name, 10, n)) n = INT32_MAX;
    } else if (name.empty()) {
      if (manual_) raise(Fault::kValue, "cannot switch from manual to automatic field numbering");
      n = automatic_++;
    } else {
      for (const auto& [key, value] : args_.keywords)
        if (key == name) return value;
      raise(Fault::kLookup, "no argument '{}' to format", name);
    }
    if (static_cast<size_t>(n) >= args_.positional.size())
      raise(Fault::kLookup, "no argument {} to format", n);
    return args_.positional[static_cast<size_t>(n)];
  }

  Runtime& rt_;
  Args& args_;
  const bool markup_;
  int64_t automatic_ = 0;
  bool manual_ = false;
};

FieldStyle parse_spec(std::string_view spec) {
  FieldStyle s;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t second = 0;
  if (!spec.empty()) next_code(spec, second);
  if (second < spec.size() && is_align(spec[second])) {
    s.fill = std::string(spec.substr(0, second));
    s.align = spec[second];
    at = second + 1;
  } else if (!spec.empty() && is_align(spec[0])) {
    s.align = spec[at++];
  }
  const auto here = [&] { return at < spec.size() ? spec[at] : '\0'; };
  const auto digits = [&] {
    int64_t n = 0;
    while (here() >= '0' && here() <= '9') {
      n = n * 10 + (spec[at++] - '0');
      if (n > INT32_MAX) raise(Fault::kValue, "too many decimal digits in format string");
    }
    return n;
  };
  if (here() == '+' || here() == '-' || here() == ' ') s.sign = spec[at++];
  if (here() == '#') s.alternate = true, ++at;
  if (here() == '0') {
    if (!s.align) s.align = '=', s.fill = "0";
    ++at;
  }
  s.width = digits();
  if (here() == ',' || here() == '_') s.grouping = spec[at++];
  if (here() == '.') {
    ++at;
    if (here() < '0' || here() > '9') raise(Fault::kValue, "format specifier missing precision");
    s.precision = digits();
  }
  if (at < spec.size()) s.type = spec[at++];
  if (at < spec.size()) raise(Fault::kValue, "invalid format specifier");
  return s;
}

std::string format_float(Runtime& rt, double d, FieldStyle s) {
  const double magnitude = std::fabs(d);
  std::string digits;
  if (s.type == '%') {
    s.type = 'f';
    digits = float_digits(magnitude * 100, s) + "%";
  } else if (s.type == '\0' && s.precision < 0) {
    s.type = 'r';
    digits = float_digits(magnitude, s);
  } else if (s.type == '\0') {
    s.type = 'g';
    if (s.precision == 0) s.precision = 1;
    digits = float_digits(magnitude, s);
    // Like g, but a whole number keeps one decimal, which costs a digit before the exponent form.
    if (digits.find_first_of(".en") == std::string::npos) {
      const bool full = static_cast<int64_t>(digits.size()) >= s.precision && std::isfinite(d);
      if (full) {
        s.type = 'e';
        s.precision -= 1;
        digits = float_digits(magnitude, s);
        const size_t e = digits.find('e');
        size_t keep = e;
        while (digits.find('.') != std::string::npos && keep > 0 && (digits[keep - 1] == '0'))
          --keep;
        if (keep > 0 && digits[keep - 1] == '.') --keep;
        digits = digits.substr(0, keep) + digits.substr(e);
      } else {
        digits += ".0";
      }
    }
  } else {
    if (s.type == 'n') s.type = 'g';
    if (std::string_view("eEfFgG").find(s.type) == std::string_view::npos)
      raise(Fault::kValue, "unknown format code '{}' for a float", s.type);
    digits = float_digits(magnitude, s);
  }
  return number_field(rt, std::signbit(d), "", digits, s);
}

std::string format_int(Runtime& rt, int64_t n, FieldStyle s) {
  if (s.type != '\0' && std::string_view("eEfFgG%").find(s.type) != std::string_view::npos)
    return format_float(rt, static_cast<double>(n), s);
  if (s.precision >= 0) raise(Fault::kValue, "precision not allowed in integer format specifier");
  if (s.type == 'c') return padded(rt, character(Value(n)), s, '<');
  if (s.type != '\0' && std::string_view("bdnoxX").find(s.type) == std::string_view::npos)
    raise(Fault::kValue, "unknown format code '{}' for an int", s.type);
  std::string prefix, digits = int_digits(n, s, &prefix);
  return number_field(rt, n < 0, prefix, digits, s);
}

}  // namespace

std::string format_spec(Runtime& rt, const Value& v, std::string_view spec) {
  if (spec.empty()) return str(rt, v);
  const FieldStyle style = parse_spec(spec);
  if (v.is_int()) return format_int(rt, v.integer(), style);
  if (v.is(Kind::kFloat)) return format_float(rt, v.real(), style);
  if (!v.is(Kind::kString))
    raise(Fault::kType, "unsupported format string passed to {}", type_name(v));
  if ((style.type && style.type != 's') || style.align == '=' || style.sign != '-' ||
      style.grouping || style.alternate) {
    // A zero before the width means '=' for numbers only.
    if (!(style.align == '=' && style.fill == "0" && spec[0] == '0'))
      raise(Fault::kValue, "invalid format for a string");
  }
  FieldStyle plain = style;
  if (plain.align == '=') plain.align = '<';
  return padded(rt, style.precision >= 0 ? cut(v.text(), style.precision) : v.text(), plain, '<');
}

Value format_percent(Runtime& rt, const Value& text, const Value& value) {
  const String& s = text.as<String>();
  return rt.string(Percent(rt, s, value).run(), s.markup);
}

Value format_braces(Runtime& rt, const Value& text, Args& args) {
  const String& s = text.as<String>();
  rt.step_bytes(s.text.size());
  return rt.string(Braces(rt, args, s.markup).run(s.text, 1), s.markup);
}

}  // namespace planeloom::jinja
