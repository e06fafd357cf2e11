#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "text/jinja/runtime.h"
#include "text/jinja/strings.h"
#include "text/unicode.h"

namespace planeloom::jinja {
namespace {

bool ascii_digit(char c) { return c >= '0' && c <= '9'; }

/// \r\n and \r become \n, and one newline at the very end goes.
std::string normalize(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

int hex_value(char c) {
  if (ascii_digit(c)) return c - '0';
  const char low = static_cast<char>(c | 32);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : storage_(normalize(source)), source_(storage_) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    emit(Tok::kEnd);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) {
    throw Raise{Fault::kTemplate, message, line_};
  }
  bool here(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }
  bool at_end() const { return at_ >= source_.size(); }
  void emit(Tok type, std::string text = {}) {
    tokens_.push_back({type, line_, std::move(text), 0, 0});
  }
  void advance(size_t n) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<long>(at_),
                                         source_.begin() + static_cast<long>(at_ + n), '\n'));
    at_ += n;
    line_starting_ = n > 0 && source_[at_ - 1] == '\n';
  }
  size_t spaces(size_t from) const {
    size_t end = from;
    for (size_t at = from; at < source_.size() && is_space(next_code(source_, at));) end = at;
    return end - from;
  }

  /// The text before a tag, stripped as the tag's sign and lstrip_blocks want it.
  void emit_data(std::string_view text, char sign, bool variable) {
    if (sign == '-') {
      text = strip(text, kRight);
    } else if (sign != '+' && !variable) {
      const size_t newline = text.rfind('\n');
      const size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if ((start > 0 || line_starting_) && strip(text.substr(start)).empty())
        text = text.substr(0, start);
    }
    if (!text.empty()) emit(Tok::kData, std::string(text));
  }

  void data() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
        emit(Tok::kData, std::string(source_.substr(at_)));
        return advance(source_.size() - at_);
      }
      if (std::string_view("{%#").find(source_[tag + 1]) != std::string_view::npos) break;
    }
    const char kind = source_[tag + 1];
    const char next = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const char sign = next == '-' || next == '+' ? next : '\0';
    emit_data(source_.substr(at_, tag - at_), sign, kind == '{');
    const size_t body = tag + 2 + (sign ? 1 : 0);
    if (const size_t raw = kind == '%' ? raw_begin(body) : 0) {
      advance(raw - at_);
      return raw_block();
    }
    advance(tag - at_);
    if (kind != '#') emit(kind == '{' ? Tok::kVariableBegin : Tok::kBlockBegin);
    advance(body - at_);
    kind == '#' ? comment() : this->tag(kind == '{');
  }

  /// Behind "raw %}" when the block that goes on at `from` is a raw block, else 0.
  size_t raw_begin(size_t from) const {
    size_t at = from + spaces(from);
    if (source_.compare(at, 3, "raw") != 0) return 0;
    at += 3;
    at += spaces(at);
    if (source_.compare(at, 3, "-%}") == 0) return at + 3 + spaces(at + 3);
    return source_.compare(at, 2, "%}") == 0 ? at + 2 : 0;
  }

  /// Bytes of a closing tag at `at`, the whitespace that it swallows included; 0 when none is
  /// there.
  size_t closing(size_t at, std::string_view mark, bool block) const {
    if (source_.compare(at, 1, "-") == 0 && source_.compare(at + 1, 2, mark) == 0)
      return 3 + spaces(at + 3);
    if (block && source_.compare(at, 1, "+") == 0 && source_.compare(at + 1, 2, mark) == 0)
      return 3;
    if (source_.compare(at, 2, mark) != 0) return 0;
    return 2 + (block && at + 2 < source_.size() && source_[at + 2] == '\n' ? 1 : 0);
  }

  void comment() {
    for (size_t at = at_; at < source_.size(); ++at)
      if (const size_t n = closing(at, "#}", true)) return advance(at + n - at_);
    fail("missing end of comment tag");
  }

  void raw_block() {
    for (size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 1)) {
      const char next = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      const char sign = next == '-' || next == '+' ? next : '\0';
      size_t at = tag + 2 + (sign ? 1 : 0);
      at += spaces(at);
      if (source_.compare(at, 6, "endraw") != 0) continue;
      at += 6;
      at += spaces(at);
      const size_t end = closing(at, "%}", true);
      if (!end) continue;
      emit_data(source_.substr(at_, tag - at_), sign, false);
      return advance(at + end - at_);
    }
    fail("missing end of raw directive");
  }

  void tag(bool variable) {
    std::vector<char> open;
    while (!at_end()) {
      if (open.empty()) {
        if (const size_t n = closing(at_, variable ? "}}" : "%}", !variable)) {
          emit(variable ? Tok::kVariableEnd : Tok::kBlockEnd);
          return advance(n);
        }
      }
      if (const size_t n = spaces(at_))
        advance(n);
      else if (ascii_digit(source_[at_]))
        number();
      else if (!name() && !string())
        operation(open);
    }
  }

  /// Behind the run of digits (single underscores between them) at `at`; `at` itself when none.
  size_t digits(size_t at) const {
    if (at >= source_.size() || !ascii_digit(source_[at])) return at;
    for (;;) {
      while (at < source_.size() && ascii_digit(source_[at])) ++at;
      if (at + 1 >= source_.size() || source_[at] != '_' || !ascii_digit(source_[at + 1]))
        return at;
      ++at;
    }
  }

  bool float_literal() {
    if (at_ > 0 && source_[at_ - 1] == '.') return false;
    size_t end = digits(at_);
    const size_t whole = end;
    if (end < source_.size() && source_[end] == '.' && digits(end + 1) > end + 1)
      end = digits(end + 1);
    if (end < source_.size() && (source_[end] | 32) == 'e') {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
        ++exponent;
      if (digits(exponent) > exponent) end = digits(exponent);
    }
    if (end == whole) return false;
    std::string text(source_.substr(at_, end - at_));
    std::erase(text, '_');
    Token token{Tok::kFloat, line_, {}, 0, 0};
    token.real = std::strtod(text.c_str(), nullptr);
    tokens_.push_back(std::move(token));
    advance(end - at_);
    return true;
  }

  void number() {
    if (float_literal()) return;
    int base = 10;
    size_t end = at_ + 1;
    const char letter = end < source_.size() ? static_cast<char>(source_[end] | 32) : '\0';
    const int prefixed = letter == 'b' ? 2 : letter == 'o' ? 8 : letter == 'x' ? 16 : 0;
    const auto digit_at = [&](size_t at, int b) {
      const int v = at < source_.size() ? hex_value(source_[at]) : -1;
      return v >= 0 && v < b;
    };
    const auto run = [&](int b) {
      for (;;) {
        if (digit_at(end, b))
          ++end;
        else if (end < source_.size() && source_[end] == '_' && digit_at(end + 1, b))
          end += 2;
        else
          return;
      }
    };
    size_t start = at_;
    if (source_[at_] == '0' && prefixed &&
        (digit_at(end + 1, prefixed) ||
         (end + 1 < source_.size() && source_[end + 1] == '_' && digit_at(end + 2, prefixed)))) {
      base = prefixed;
      start = ++end;
      run(base);
    } else {
      run(source_[at_] == '0' ? 1 : 10);
    }
    std::string text(source_.substr(start, end - start));
    std::erase(text, '_');
    Token token{Tok::kInteger, line_, {}, 0, 0};
    const auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), token.integer, base);
    if (parsed.ec != std::errc()) fail("the integer " + text + " does not fit 64 bits");
    tokens_.push_back(std::move(token));
    advance(end - at_);
  }

  bool name() {
    size_t end = at_;
    for (size_t at = at_; at < source_.size();) {
      const uint32_t c = next_code(source_, at);
      // Python's identifiers also take combining marks and a few joiners after the first character.
      if (!(is_word(c) || (c >= 0x80 && end > at_ && is_printable(c) && !is_space(c)))) break;
      end = at;
    }
    if (end == at_) return false;
    size_t first = at_;
    if (is_numeric(next_code(source_, first))) fail("invalid character in identifier");
    emit(Tok::kName, std::string(source_.substr(at_, end - at_)));
    advance(end - at_);
    return true;
  }

  bool string() {
    const char mark = source_[at_];
    if (mark != '\'' && mark != '"') return false;
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != mark) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return false;
    emit(Tok::kString, unescape(source_.substr(at_ + 1, end - at_ - 1)));
    advance(end + 1 - at_);
    return true;
  }

  /// Python's "unicode-escape" decoding.
  std::string unescape(std::string_view text) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      if (text[at] != '\\') {
        out += text[at++];
        continue;
      }
      ++at;
      escape(text, at, out);
    }
    return out;
  }

  void escape(std::string_view text, size_t& at, std::string& out) {
    if (at >= text.size()) fail("\\ at end of string");
    const char c = text[at];
    constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeant = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out += kMeant[i];
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c >= '0' && c <= '7') {
      uint32_t code = 0;
      for (int n = 0; n < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++n)
        code = code * 8 + static_cast<uint32_t>(text[at++] - '0');
      append_utf8(out, code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at;
      append_utf8(out, hex_digits(text, at, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N') {
      fail("\\N{...} is not supported");
    } else if (static_cast<uint8_t>(c) < 0x80) {
      out += '\\';
      out += c;
      ++at;
    } else {
      // jinja2 writes such a character as an escape first, and the backslash before it then escapes
      // that escape's backslash.
      const uint32_t code = next_code(text, at);
      out += code < 0x100     ? fmt::format("\\x{:02x}", code)
             : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                              : fmt::format("\\U{:08x}", code);
    }
  }

  uint32_t hex_digits(std::string_view text, size_t& at, int n) {
    uint32_t code = 0;
    for (int i = 0; i < n; ++i, ++at) {
      const int v = at < text.size() ? hex_value(text[at]) : -1;
      if (v < 0) fail("truncated escape in a string");
      code = code * 16 + static_cast<uint32_t>(v);
    }
    if (code > 0x10ffff) fail("illegal Unicode character in a string");
    return code;
  }

  void operation(std::vector<char>& open) {
    constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    size_t n = 0;
    for (const auto two : kTwo)
      if (here(two)) n = 2;
    const char c = source_[at_];
    if (n == 0 && kOne.find(c) == std::string_view::npos) {
      size_t end = at_;
      next_code(source_, end);
      fail("unexpected char '" + std::string(source_.substr(at_, end - at_)) + "'");
    }
    n = std::max<size_t>(n, 1);
    if (c == '(' || c == '[' || c == '{') open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) fail(std::string("unexpected '") + c + "'");
      open.pop_back();
    }
    emit(Tok::kOperator, std::string(source_.substr(at_, n)));
    advance(n);
  }

  const std::string storage_;
  const std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace planeloom::jinja
