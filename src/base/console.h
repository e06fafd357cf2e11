// The standard streams as a careful program uses them.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace planeloom {

/// Call first in main. A standard stream that the caller closed would give its number to the next
/// file opened, and what is printed would land in that file; such a number is taken by /dev/null,
/// opened so that writing to it fails as writing to a closed stream does.
void reserve_standard_streams();

/// To stderr, as it stands. That nobody can read it is no error.
void note(std::string_view text);
template <class... A>
void note(fmt::format_string<A...> format, A&&... a) {
  note(std::string_view(fmt::format(format, std::forward<A>(a)...)));
}

/// `message` fit for a terminal: one line without control characters, at most 2,000 bytes. Names in
/// it come from files.
std::string one_line(std::string_view message);

}  // namespace planeloom
