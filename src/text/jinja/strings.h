// Python's string operations on UTF-8, by code point.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace planeloom::jinja {

/// The code point at text[at], which must exist; moves `at` behind it. Lone surrogates are read as
/// they are.
uint32_t next_code(std::string_view text, size_t& at);
int64_t count_codes(std::string_view text);
/// Byte offset of code point `index`, code points [from, to), and the code point index of a byte
/// offset.
size_t offset_of(const String& s, int64_t index);
std::string_view codes(const String& s, int64_t from, int64_t to);
int64_t index_of_offset(const String& s, size_t offset);

bool is_space(uint32_t c);
bool is_line_end(uint32_t c);
bool is_printable(uint32_t c);
bool is_alpha(uint32_t c);
bool is_decimal(uint32_t c);
bool is_digit(uint32_t c);
bool is_numeric(uint32_t c);
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);
bool is_title(uint32_t c);
bool is_cased(uint32_t c);
bool is_word(uint32_t c);       // \w
int decimal_value(uint32_t c);  // -1: none

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string casefold(std::string_view text);
std::string swapcase(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);

enum Side { kLeft = 1, kRight = 2, kBoth = 3 };
/// Without white space, or without the given characters, at the chosen ends.
std::string_view strip(std::string_view text, Side side = kBoth);
std::string_view strip(std::string_view text, std::string_view characters, Side side);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
/// An upper bound of what the result of split_lines takes.
size_t line_list_bytes(std::string_view text);
std::string escape_html(std::string_view text);
/// repr() of a string.
std::string quote(std::string_view text, bool ascii_only = false);

}  // namespace planeloom::jinja
