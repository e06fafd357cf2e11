#include "base/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace planeloom {

void reserve_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free number is the one that is closed.
    const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    if (opened != fd) _exit(1);  // no /dev/null: better no run than a damaged file
  }
}

void note(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string one_line(std::string_view message) {
  constexpr size_t kMost = 2000;
  const bool cut = message.size() > kMost;
  size_t end = cut ? kMost : message.size();
  while (cut && end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  std::string line(message.substr(0, end));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return cut ? line + "…" : line;
}

}  // namespace planeloom
