#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace planeloom {

/// The bytes of the UTF-8 character that starts at text[at] (1..4), or 0 when the bytes there are
/// not valid UTF-8 (overlong forms, surrogates and values above U+10FFFF included). `text` may end
/// inside the character: then 0 too.
int utf8_length(std::string_view text, size_t at);

/// How many bytes at text[at] form one "maximal subpart" of broken UTF-8: what one U+FFFD stands
/// for (Unicode 15, section 3.9, table 3-8; Python's errors="replace").
int utf8_broken_length(std::string_view text, size_t at);

/// Whether text[at..] could still become a valid character if more bytes followed.
bool utf8_incomplete(std::string_view text, size_t at);

/// Valid UTF-8: every maximal broken subpart becomes U+FFFD.
std::string sanitize_utf8(std::string_view text);

/// Canonical composition; the text unchanged when it cannot be composed. `text` is valid UTF-8.
std::string nfc(std::string_view text);

void append_utf8(std::string& out, uint32_t code_point);

/// GPT-2's printable stand-ins: byte b is written as the code point byte_to_unicode()[b] in
/// byte-level vocabularies.
const std::array<uint32_t, 256>& byte_to_unicode();
/// A byte-level token back to its bytes; characters that stand for no byte are kept as they are.
std::string bytes_of_byte_level(std::string_view token);
/// Bytes as a byte-level token.
std::string byte_level_of(std::string_view bytes);

inline constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

}  // namespace planeloom
