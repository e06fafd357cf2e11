// The methods of str.
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"

namespace planeloom::jinja {
namespace {

const String& self_of(const Value& v) { return v.as<String>(); }

/// A result of the same class as the string it came from: Markup stays Markup.
Value like(Runtime& rt, const Value& self, std::string text) {
  return rt.string(std::move(text), self_of(self).markup);
}
Value like(Runtime& rt, const Value& self, std::string_view text) {
  return like(rt, self, std::string(text));
}

/// An argument that Markup's methods escape before use.
std::string argument_for(const Value& self, const Value& v, std::string_view what) {
  const std::string& text = need_string(v, what);
  return self_of(self).markup && !v.as<String>().markup ? escape_html(text) : text;
}

void no_arguments(Args& args, std::string_view what) { const Bound bound(args, what, {}, 0); }

template <std::string (*Convert)(std::string_view)>
Value convert(Runtime& rt, const Value& self, Args& args) {
  no_arguments(args, "a str method");
  rt.step_bytes(self.text().size() * 8);
  return like(rt, self, Convert(self.text()));
}

template <Side side>
Value strip_method(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "strip", {"/chars"}, 0);
  rt.step_bytes(self.text().size());
  if (a.none(0)) return like(rt, self, strip(self.text(), side));
  rt.step_bytes(need_string(a[0], "strip argument").size() * 4);
  return like(rt, self, strip(self.text(), a[0].text(), side));
}

template <bool (*Is)(uint32_t)>
Value all_codes(Runtime& rt, const Value& self, Args& args) {
  no_arguments(args, "a str test");
  rt.step_bytes(self.text().size() * 8);
  const std::string& text = self.text();
  for (size_t at = 0; at < text.size();)
    if (!Is(next_code(text, at))) return Value(false);
  return Value(!text.empty());
}

bool is_alnum(uint32_t c) { return is_alpha(c) || is_numeric(c); }
bool is_ascii(uint32_t c) { return c < 0x80; }

/// islower and isupper: no character of the other case, and at least one of this.
template <bool (*Wanted)(uint32_t), bool (*Unwanted)(uint32_t)>
Value cased(Runtime& rt, const Value& self, Args& args) {
  no_arguments(args, "a str test");
  rt.step_bytes(self.text().size() * 8);
  bool found = false;
  for (size_t at = 0; at < self.text().size();) {
    const uint32_t c = next_code(self.text(), at);
    if (Unwanted(c) || is_title(c)) return Value(false);
    found = found || Wanted(c);
  }
  return Value(found);
}

Value is_title_method(Runtime& rt, const Value& self, Args& args) {
  no_arguments(args, "istitle");
  rt.step_bytes(self.text().size() * 8);
  bool found = false, inside = false;
  for (size_t at = 0; at < self.text().size();) {
    const uint32_t c = next_code(self.text(), at);
    if ((is_upper(c) || is_title(c)) ? inside : is_lower(c) && !inside) return Value(false);
    inside = is_cased(c);
    found = found || inside;
  }
  return Value(found);
}

Value is_empty_or(Runtime& rt, const Value& self, Args& args) {  // isascii, isprintable: true of ""
  if (self.text().empty()) return no_arguments(args, "a str test"), Value(true);
  return all_codes<is_ascii>(rt, self, args);
}
Value is_printable_method(Runtime& rt, const Value& self, Args& args) {
  if (self.text().empty()) return no_arguments(args, "isprintable"), Value(true);
  return all_codes<is_printable>(rt, self, args);
}
Value is_identifier(Runtime& rt, const Value& self, Args& args) {
  size_t at = 0;
  if (!self.text().empty() && is_numeric(next_code(self.text(), at))) return Value(false);
  return all_codes<is_word>(rt, self, args);
}

// --- searching
// -------------------------------------------------------------------------------------

/// The part of the string that start and end select, as a byte range; false when start lies beyond.
struct Window {
  size_t begin = 0, end = 0;
  bool valid = true;
};
Window window(const Value& self, const Value& start, const Value& stop) {
  const String& s = self_of(self);
  const auto clamp = [&](int64_t i) { return i < 0 ? std::max<int64_t>(0, i + s.chars) : i; };
  const int64_t from = clamp(index_or(start, 0)),
                to = std::min(clamp(index_or(stop, s.chars)), s.chars);
  if (from > to) return {0, 0, false};
  return {offset_of(s, from), offset_of(s, to), true};
}

/// The code point index of a substring, or -1.
int64_t search(Runtime& rt, const Value& self, Args& args, bool last) {
  const Bound a(args, "find", {"/sub", "/start", "/end"}, 1);
  const std::string& sub = need_string(a[0], "a substring");
  const Window w = window(self, a[1], a[2]);
  rt.step_search(self.text(), sub);
  if (!w.valid) return -1;
  const std::string_view part = std::string_view(self.text()).substr(w.begin, w.end - w.begin);
  const size_t at = last ? part.rfind(sub) : part.find(sub);
  return at == std::string_view::npos ? -1 : index_of_offset(self_of(self), w.begin + at);
}

Value find(Runtime& rt, const Value& self, Args& args) {
  return Value(search(rt, self, args, false));
}
Value rfind(Runtime& rt, const Value& self, Args& args) {
  return Value(search(rt, self, args, true));
}
template <bool last>
Value index(Runtime& rt, const Value& self, Args& args) {
  const int64_t at = search(rt, self, args, last);
  if (at < 0) raise(Fault::kValue, "substring not found");
  return Value(at);
}

Value count(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "count", {"/sub", "/start", "/end"}, 1);
  const std::string& sub = need_string(a[0], "a substring");
  const Window w = window(self, a[1], a[2]);
  if (!w.valid) return Value(int64_t{0});
  const std::string_view part = std::string_view(self.text()).substr(w.begin, w.end - w.begin);
  rt.step_search(part, sub);
  if (sub.empty()) return Value(count_codes(part) + 1);
  int64_t n = 0;
  for (size_t at = part.find(sub); at != std::string_view::npos;
       at = part.find(sub, at + sub.size()))
    ++n;
  return Value(n);
}

template <bool ends>
Value starts(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "startswith", {"/prefix", "/start", "/end"}, 1);
  const Window w = window(self, a[1], a[2]);
  const std::string_view part = std::string_view(self.text()).substr(w.begin, w.end - w.begin);
  const auto matches = [&](const Value& affix) {
    const std::string& text = need_string(affix, "a prefix");
    rt.step_bytes(text.size());
    if (!w.valid || text.size() > part.size()) return false;
    return (ends ? part.substr(part.size() - text.size()) : part.substr(0, text.size())) == text;
  };
  if (!a[0].is(Kind::kTuple)) return Value(matches(a[0]));
  return Value(std::any_of(a[0].items().begin(), a[0].items().end(), matches));
}

template <bool suffix>
Value remove_affix(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "removeprefix", {"/affix"}, 1);
  const std::string& affix = need_string(a[0], "an affix");
  std::string_view text = self.text();
  const bool fits = affix.size() <= text.size();
  if (suffix && fits && text.substr(text.size() - affix.size()) == affix)
    text.remove_suffix(affix.size());
  if (!suffix && fits && text.substr(0, affix.size()) == affix) text.remove_prefix(affix.size());
  return like(rt, self, text);
}

Value replace(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "replace", {"/old", "/new", "/count"}, 2);
  const std::string& old = need_string(a[0], "replace argument 1");
  const std::string with = argument_for(self, a[1], "replace argument 2");
  return like(rt, self,
              replace_text(rt, self.text(), old, with, a.has(2) ? need_int(a[2], "count") : -1));
}

// --- splitting and joining
// -------------------------------------------------------------------------

class Pieces {
 public:
  explicit Pieces(Runtime& rt) : rt_(rt), paid_(rt, 0) {}
  void push(std::string_view piece) {
    rt_.step();
    paid_.grow(sizeof(piece));
    list_.push_back(piece);
  }
  int64_t size() const { return static_cast<int64_t>(list_.size()); }
  Value take(const Value& self, bool reversed) {
    if (reversed) std::reverse(list_.begin(), list_.end());
    Items items(rt_);
    for (const std::string_view piece : list_) items.push(like(rt_, self, piece));
    return rt_.list(items.take());
  }

 private:
  Runtime& rt_;
  Reservation paid_;
  std::vector<std::string_view> list_;
};

void split_spaces(Pieces& pieces, std::string_view text, int64_t limit) {
  text = strip(text, kLeft);
  while (!text.empty()) {
    if (pieces.size() == limit) return pieces.push(text);
    size_t end = 0;
    for (size_t after = 0; after < text.size() && !is_space(next_code(text, after));) end = after;
    pieces.push(text.substr(0, end));
    text = strip(text.substr(end), kLeft);
  }
}

void rsplit_spaces(Pieces& pieces, std::string_view text, int64_t limit) {
  text = strip(text, kRight);
  while (!text.empty()) {
    if (pieces.size() == limit) return pieces.push(text);
    size_t begin = text.size();
    while (begin > 0) {
      size_t start = begin - 1;
      while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xc0) == 0x80) --start;
      size_t at = start;
      if (is_space(next_code(text, at))) break;
      begin = start;
    }
    pieces.push(text.substr(begin));
    text = strip(text.substr(0, begin), kRight);
  }
}

void split_on(Runtime& rt, Pieces& pieces, std::string_view text, std::string_view separator,
              int64_t limit, bool from_right) {
  if (separator.empty()) raise(Fault::kValue, "empty separator");
  rt.step_search(text, separator);
  while (limit < 0 || pieces.size() < limit) {
    const size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    pieces.push(from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  pieces.push(text);
}

template <bool from_right>
Value split(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "split", {"sep", "maxsplit"}, 0);
  const int64_t limit = a.has(1) ? need_int(a[1], "maxsplit") : -1;
  const std::string& text = self.text();
  rt.step_bytes(text.size());
  Pieces pieces(rt);
  if (!a.none(0))
    split_on(rt, pieces, text, need_string(a[0], "a separator"), limit, from_right);
  else
    from_right ? rsplit_spaces(pieces, text, limit) : split_spaces(pieces, text, limit);
  return pieces.take(self, from_right);
}

Value splitlines(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "splitlines", {"keepends"}, 0);
  rt.step_bytes(self.text().size() * 4);
  const Reservation paid(rt, line_list_bytes(self.text()));
  Pieces pieces(rt);
  for (const std::string_view line : split_lines(self.text(), a.has(0) && truthy(rt, a[0])))
    pieces.push(line);
  return pieces.take(self, false);
}

template <bool last>
Value partition(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "partition", {"/sep"}, 1);
  const std::string& separator = need_string(a[0], "a separator");
  if (separator.empty()) raise(Fault::kValue, "empty separator");
  const std::string_view text = self.text();
  rt.step_search(text, separator);
  const size_t at = last ? text.rfind(separator) : text.find(separator);
  if (at == std::string_view::npos) {
    const Value all = like(rt, self, text), none = like(rt, self, std::string());
    return last ? rt.tuple({none, none, all}) : rt.tuple({all, none, none});
  }
  return rt.tuple({like(rt, self, text.substr(0, at)), like(rt, self, separator),
                   like(rt, self, text.substr(at + separator.size()))});
}

Value join(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "join", {"/iterable"}, 1);
  Writer out(rt);
  bool first = true;
  for_each(rt, a[0], [&](const Value& item) {
    if (!first) out << self.text();
    first = false;
    if (self_of(self).markup && !item.is(Kind::kString))
      out << escape_html(str(rt, item));
    else
      out << argument_for(self, item, "a joined item");
  });
  return like(rt, self, out.take());
}

// --- padding
// ---------------------------------------------------------------------------------------

/// Where the padding goes: '<' behind, '>' before, '^' both.
template <char align>
Value justify(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "ljust", {"/width", "/fillchar"}, 1);
  const std::string fill = a.has(1) ? argument_for(self, a[1], "a fill character") : " ";
  if (count_codes(fill) != 1)
    raise(Fault::kType, "the fill character must be exactly one character long");
  const int64_t missing = std::max<int64_t>(0, need_int(a[0], "width") - self_of(self).chars);
  // CPython's center puts the odd character on the left only when the width is odd too.
  const int64_t left = align == '<'   ? 0
                       : align == '>' ? missing
                                      : missing / 2 + (missing & need_int(a[0], "width") & 1);
  Writer out(rt);
  out.fill(static_cast<size_t>(left), fill);
  out << self.text();
  out.fill(static_cast<size_t>(missing - left), fill);
  return like(rt, self, out.take());
}

Value zfill(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "zfill", {"/width"}, 1);
  const std::string& text = self.text();
  const int64_t missing = std::max<int64_t>(0, need_int(a[0], "width") - self_of(self).chars);
  const size_t sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  Writer out(rt);
  out << std::string_view(text).substr(0, sign);
  out.fill(static_cast<size_t>(missing), "0");
  out << std::string_view(text).substr(sign);
  return like(rt, self, out.take());
}

Value expandtabs(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "expandtabs", {"tabsize"}, 0);
  const int64_t size = a.has(0) ? need_int(a[0], "tabsize") : 8;
  Writer out(rt);
  int64_t column = 0;
  for (size_t at = 0; at < self.text().size();) {
    const size_t start = at;
    const uint32_t c = next_code(self.text(), at);
    if (c == '\t') {
      const int64_t n = size > 0 ? size - column % size : 0;
      out.fill(static_cast<size_t>(n));
      column += n;
      continue;
    }
    column = c == '\n' || c == '\r' ? 0 : column + 1;
    out << std::string_view(self.text()).substr(start, at - start);
  }
  return like(rt, self, out.take());
}

Value format(Runtime& rt, const Value& self, Args& args) { return format_braces(rt, self, args); }

Value format_map(Runtime& rt, const Value& self, Args& args) {
  const Bound a(args, "format_map", {"/mapping"}, 1);
  if (!a[0].is(Kind::kDict)) raise(Fault::kType, "format_map needs a mapping");
  Args named;
  for (const auto& [key, value] : a[0].as<Dict>().entries)
    if (key.is(Kind::kString)) named.keywords.emplace_back(key.text(), value);
  return format_braces(rt, self, named);
}

Value unsupported(Runtime&, const Value&, Args&) {
  raise(Fault::kTemplate, "this str method is not supported in templates");
}

constexpr MethodEntry kMethods[] = {
    {"capitalize", convert<capitalize>},
    {"casefold", convert<casefold>},
    {"center", justify<'^'>},
    {"count", count},
    {"encode", unsupported},
    {"endswith", starts<true>},
    {"expandtabs", expandtabs},
    {"find", find},
    {"format", format},
    {"format_map", format_map},
    {"index", index<false>},
    {"isalnum", all_codes<is_alnum>},
    {"isalpha", all_codes<is_alpha>},
    {"isascii", is_empty_or},
    {"isdecimal", all_codes<is_decimal>},
    {"isdigit", all_codes<is_digit>},
    {"isidentifier", is_identifier},
    {"islower", cased<is_lower, is_upper>},
    {"isnumeric", all_codes<is_numeric>},
    {"isprintable", is_printable_method},
    {"isspace", all_codes<is_space>},
    {"istitle", is_title_method},
    {"isupper", cased<is_upper, is_lower>},
    {"join", join},
    {"ljust", justify<'<'>},
    {"lower", convert<lower>},
    {"lstrip", strip_method<kLeft>},
    {"maketrans", unsupported},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", rfind},
    {"rindex", index<true>},
    {"rjust", justify<'>'>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip_method<kRight>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts<false>},
    {"strip", strip_method<kBoth>},
    {"swapcase", convert<swapcase>},
    {"title", convert<title>},
    {"translate", unsupported},
    {"upper", convert<upper>},
    {"zfill", zfill},
};

}  // namespace

const MethodEntry* find_string_method(std::string_view name) {
  const auto it = std::find_if(std::begin(kMethods), std::end(kMethods),
                               [&](const MethodEntry& m) { return name == m.name; });
  return it == std::end(kMethods) ? nullptr : it;
}

std::string replace_text(Runtime& rt, std::string_view text, std::string_view old,
                         std::string_view with, int64_t limit) {
  Writer out(rt);
  rt.step_search(text, old);
  size_t at = 0;
  for (; limit != 0; --limit) {
    // An empty old text matches before every character and at the end.
    size_t found = old.empty() ? at : text.find(old, at);
    if (found == std::string_view::npos) break;
    out << text.substr(at, found - at) << with;
    at = found + old.size();
    if (!old.empty()) continue;
    if (at >= text.size()) return out.take();
    const size_t start = at;
    next_code(text, at);
    out << text.substr(start, at - start);
  }
  out << text.substr(at);
  return out.take();
}

}  // namespace planeloom::jinja
