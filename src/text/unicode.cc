#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>

namespace planeloom {
namespace {

/// Bounds of the second byte of a sequence by its lead byte (Unicode 15, table 3-7), and its
/// length; length 0: no lead.
struct Lead {
  int length;
  uint8_t low, high;
};

Lead lead_of(uint8_t b) {
  if (b < 0x80) return {1, 0, 0};
  if (b >= 0xc2 && b <= 0xdf) return {2, 0x80, 0xbf};
  if (b == 0xe0) return {3, 0xa0, 0xbf};
  if (b == 0xed) return {3, 0x80, 0x9f};
  if (b >= 0xe1 && b <= 0xef) return {3, 0x80, 0xbf};
  if (b == 0xf0) return {4, 0x90, 0xbf};
  if (b >= 0xf1 && b <= 0xf3) return {4, 0x80, 0xbf};
  if (b == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

/// Bytes from `at` on that agree with the start of a valid sequence (at least 1).
int good_prefix(std::string_view text, size_t at, const Lead& lead) {
  int n = 1;
  for (; n < lead.length && at + static_cast<size_t>(n) < text.size(); ++n) {
    const auto b = static_cast<uint8_t>(text[at + static_cast<size_t>(n)]);
    if (b < (n == 1 ? lead.low : 0x80) || b > (n == 1 ? lead.high : 0xbf)) break;
  }
  return n;
}

}  // namespace

int utf8_length(std::string_view text, size_t at) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[at]));
  return lead.length && good_prefix(text, at, lead) == lead.length ? lead.length : 0;
}

int utf8_broken_length(std::string_view text, size_t at) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[at]));
  return lead.length ? good_prefix(text, at, lead) : 1;
}

bool utf8_incomplete(std::string_view text, size_t at) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[at]));
  const auto left = static_cast<int>(std::min<size_t>(text.size() - at, 4));
  return lead.length > left && good_prefix(text, at, lead) == left;
}

std::string sanitize_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    if (const int n = utf8_length(text, at)) {
      out.append(text, at, static_cast<size_t>(n));
      at += static_cast<size_t>(n);
    } else {
      out += kReplacement;
      at += static_cast<size_t>(utf8_broken_length(text, at));
    }
  }
  return out;
}

std::string nfc(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) return std::string(text);
  std::string out(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
  std::free(composed);
  return out;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) return put(c);
  if (c < 0x800) return put(0xc0 | c >> 6), put(0x80 | (c & 63));
  if (c < 0x10000) return put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
  put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
}

const std::array<uint32_t, 256>& byte_to_unicode() {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> t{};
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool printable =
          (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
      t[b] = printable ? b : next++;
    }
    return t;
  }();
  return table;
}

std::string byte_level_of(std::string_view bytes) {
  std::string out;
  for (char c : bytes) append_utf8(out, byte_to_unicode()[static_cast<uint8_t>(c)]);
  return out;
}

std::string bytes_of_byte_level(std::string_view token) {
  static const std::array<int16_t, 512> back = [] {
    std::array<int16_t, 512> t{};
    t.fill(-1);
    for (int b = 0; b < 256; ++b)
      t[byte_to_unicode()[static_cast<size_t>(b)]] = static_cast<int16_t>(b);
    return t;
  }();
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const int n = utf8_length(token, at);
    const auto first = static_cast<uint8_t>(token[at]);
    uint32_t code = 0xffff;
    if (n == 1) code = first;
    if (n == 2) code = (first & 31u) << 6 | (static_cast<uint8_t>(token[at + 1]) & 63u);
    const size_t width = n ? static_cast<size_t>(n) : 1;
    if (code < back.size() && back[code] >= 0)
      out += static_cast<char>(back[code]);
    else
      out.append(token, at, width);
    at += width;
  }
  return out;
}

}  // namespace planeloom
