#include "text/jinja/strings.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <unordered_map>

#include "text/jinja/special_casing.h"
#include "text/unicode.h"

namespace planeloom::jinja {
namespace {

struct CodeRange {
  uint32_t first, last;
};

/// Unicode's Other_Uppercase, Other_Lowercase, and the digits that are no decimal digits.
constexpr CodeRange kOtherUpper[] = {
    {0x2160, 0x216f}, {0x24b6, 0x24cf}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
constexpr CodeRange kOtherLower[] = {
    {0xaa, 0xaa},       {0xba, 0xba},       {0x2b0, 0x2b8},     {0x2c0, 0x2c1},    {0x2e0, 0x2e4},
    {0x345, 0x345},     {0x37a, 0x37a},     {0x1d2c, 0x1d6a},   {0x1d78, 0x1d78},  {0x1d9b, 0x1dbf},
    {0x2071, 0x2071},   {0x207f, 0x207f},   {0x2090, 0x209c},   {0x2170, 0x217f},  {0x24d0, 0x24e9},
    {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},   {0xa770, 0xa770},   {0xa7f8, 0xa7f9},  {0xab5c, 0xab5f},
    {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba}};
constexpr CodeRange kOtherDigit[] = {
    {0xb2, 0xb3},       {0xb9, 0xb9},       {0x1369, 0x1371},   {0x19da, 0x19da},
    {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
    {0x2474, 0x247c},   {0x2488, 0x2490},   {0x24ea, 0x24ea},   {0x24f5, 0x24fd},
    {0x24ff, 0x24ff},   {0x2776, 0x277e},   {0x2780, 0x2788},   {0x278a, 0x2792},
    {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};

template <size_t N>
bool within(const CodeRange (&ranges)[N], uint32_t c) {
  return std::any_of(ranges, ranges + N, [c](CodeRange r) { return r.first <= c && c <= r.last; });
}

utf8proc_category_t category(uint32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool case_ignorable(uint32_t c) {
  const auto k = category(c);
  return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
         k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' ||
         c == ':' || c == 0xb7 || c == 0x387 || c == 0x55f || c == 0x5f4 || c == 0x2018 ||
         c == 0x2019 || c == 0x2024 || c == 0x2027 || c == 0xfe13 || c == 0xfe52 || c == 0xfe55 ||
         c == 0xff07 || c == 0xff0e || c == 0xff1a;
}

struct Special {
  std::string upper, title;
};

const std::unordered_map<uint32_t, Special>& special_casing() {
  static const auto table = [] {
    std::unordered_map<uint32_t, Special> t;
    std::vector<std::string> words;
    for (size_t at = 0; at < kSpecialCasing.size();) {
      const size_t end = std::min(kSpecialCasing.find(' ', at), kSpecialCasing.size());
      words.emplace_back(kSpecialCasing.substr(at, end - at));
      at = end + 1;
    }
    for (size_t i = 0; i + 2 < words.size(); i += 3) {
      size_t at = 0;
      const uint32_t c = next_code(words[i], at);
      t[c] = {words[i + 1], words[i + 2]};
    }
    return t;
  }();
  return table;
}

enum class Case { kUpper, kTitle };

void append_cased(std::string& out, uint32_t c, Case wanted) {
  if (c < 0x80) {
    out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    return;
  }
  if (const auto it = special_casing().find(c); it != special_casing().end()) {
    out += wanted == Case::kUpper ? it->second.upper : it->second.title;
    return;
  }
  const auto code = static_cast<utf8proc_int32_t>(c);
  append_utf8(out, static_cast<uint32_t>(wanted == Case::kUpper ? utf8proc_toupper(code)
                                                                : utf8proc_totitle(code)));
}

/// A sigma that ends a word is a final sigma (SpecialCasing.txt, Final_Sigma).
bool final_sigma(std::string_view text, size_t at, size_t after) {
  bool cased_before = false;
  for (size_t i = at; i > 0;) {
    do --i;
    while (i > 0 && (static_cast<uint8_t>(text[i]) & 0xc0) == 0x80);
    size_t read = i;
    const uint32_t c = next_code(text, read);
    if (case_ignorable(c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  for (size_t i = after; i < text.size();) {
    const uint32_t c = next_code(text, i);
    if (case_ignorable(c)) continue;
    return !is_cased(c);
  }
  return true;
}

void append_lower(std::string& out, std::string_view text, size_t at, size_t after, uint32_t c) {
  if (c < 0x80)
    out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  else if (c == 0x3a3)
    out += final_sigma(text, at, after) ? "\u03c2" : "\u03c3";
  else if (c == 0x130)
    out += "i\u0307";
  else
    append_utf8(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

}  // namespace

String::String(std::string t, bool m) : text(std::move(t)), markup(m), chars(count_codes(text)) {}

uint32_t next_code(std::string_view text, size_t& at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  const size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 1 || at + length > text.size()) return ++at, lead;
  uint32_t c = lead & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) c = c << 6 | (static_cast<uint8_t>(text[at + i]) & 63);
  at += length;
  return c;
}

int64_t count_codes(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; });
}

size_t offset_of(const String& s, int64_t index) {
  if (s.ascii()) return static_cast<size_t>(index);
  size_t at = 0;
  for (; index > 0 && at < s.text.size(); --index) next_code(s.text, at);
  return at;
}

std::string_view codes(const String& s, int64_t from, int64_t to) {
  const size_t begin = offset_of(s, from);
  if (s.ascii()) return std::string_view(s.text).substr(begin, static_cast<size_t>(to - from));
  size_t end = begin;
  for (int64_t i = from; i < to && end < s.text.size(); ++i) next_code(s.text, end);
  return std::string_view(s.text).substr(begin, end - begin);
}

int64_t index_of_offset(const String& s, size_t offset) {
  return s.ascii() ? static_cast<int64_t>(offset)
                   : count_codes(std::string_view(s.text).substr(0, offset));
}

bool is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool is_line_end(uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_printable(uint32_t c) {
  if (c < 0x80) return c >= 0x20 && c < 0x7f;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(uint32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(uint32_t c) { return is_decimal(c) || within(kOtherDigit, c); }
bool is_numeric(uint32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}
bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || within(kOtherUpper, c); }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || within(kOtherLower, c); }
bool is_title(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }
bool is_cased(uint32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }
bool is_word(uint32_t c) { return c == '_' || is_alpha(c) || is_numeric(c); }

int decimal_value(uint32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c < 0x80 || !is_decimal(c)) return -1;
  // Decimal digits come in runs of ten; the run starts where the ten before this one end.
  if (c >= 0x1d7ce && c <= 0x1d7ff) return static_cast<int>((c - 0x1d7ce) % 10);
  uint32_t first = c;
  while (c - first < 9 && is_decimal(first - 1)) --first;
  return static_cast<int>(c - first);
}

std::string upper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) append_cased(out, next_code(text, at), Case::kUpper);
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    append_lower(out, text, start, at, c);
  }
  return out;
}

std::string casefold(std::string_view text) {
  utf8proc_uint8_t* folded = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &folded, UTF8PROC_CASEFOLD);
  if (size < 0) return lower(text);  // lone surrogates
  std::string out(reinterpret_cast<const char*>(folded), static_cast<size_t>(size));
  std::free(folded);
  return out;
}

std::string swapcase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    if (is_upper(c))
      append_lower(out, text, start, at, c);
    else if (is_lower(c))
      append_cased(out, c, Case::kUpper);
    else
      append_utf8(out, c);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    if (start == 0)
      append_cased(out, c, Case::kTitle);
    else
      append_lower(out, text, start, at, c);
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    const uint32_t c = next_code(text, at);
    if (inside)
      append_lower(out, text, start, at, c);
    else
      append_cased(out, c, Case::kTitle);
    inside = is_cased(c);
  }
  return out;
}

std::string_view strip(std::string_view text, Side side) {
  size_t begin = 0, end = text.size();
  if (side & kLeft)
    for (size_t at = 0; at < end && is_space(next_code(text, at));) begin = at;
  if (side & kRight)
    while (end > begin) {
      size_t start = end - 1;
      while (start > begin && (static_cast<uint8_t>(text[start]) & 0xc0) == 0x80) --start;
      size_t at = start;
      if (!is_space(next_code(text, at))) break;
      end = start;
    }
  return text.substr(begin, end - begin);
}

std::string_view strip(std::string_view text, std::string_view characters, Side side) {
  const auto listed = [&](std::string_view one) {
    return characters.find(one) != std::string_view::npos;
  };
  size_t begin = 0, end = text.size();
  if (side & kLeft)
    while (begin < end) {
      size_t at = begin;
      next_code(text, at);
      if (!listed(text.substr(begin, at - begin))) break;
      begin = at;
    }
  if (side & kRight)
    while (end > begin) {
      size_t start = end - 1;
      while (start > begin && (static_cast<uint8_t>(text[start]) & 0xc0) == 0x80) --start;
      if (!listed(text.substr(start, end - start))) break;
      end = start;
    }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t here = at;
    const uint32_t c = next_code(text, at);
    if (!is_line_end(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(start, (keep_ends ? at : here) - start));
    start = at;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

size_t line_list_bytes(std::string_view text) {
  // 0xc2 and 0xe2 start the line ends beyond ASCII.
  const auto may_end = [](char c) { return (c > 0 && c < 0x20) || c == '\xc2' || c == '\xe2'; };
  return (static_cast<size_t>(std::count_if(text.begin(), text.end(), may_end)) + 1) * 2 *
         sizeof(std::string_view);
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string quote(std::string_view text, bool ascii_only) {
  const bool single =
      text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char mark = single ? '\'' : '"';
  std::string out(1, mark);
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_code(text, at);
    if (c == static_cast<uint32_t>(mark) || c == '\\')
      out += '\\', out += static_cast<char>(c);
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (c < 0x80 ? is_printable(c) : !ascii_only && is_printable(c))
      append_utf8(out, c);
    else if (c < 0x100)
      out += fmt::format("\\x{:02x}", c);
    else if (c < 0x10000)
      out += fmt::format("\\u{:04x}", c);
    else
      out += fmt::format("\\U{:08x}", c);
  }
  return out += mark;
}

}  // namespace planeloom::jinja
