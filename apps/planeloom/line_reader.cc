#include "line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "base/progress.h"

namespace planeloom {

/// False when nothing more will come.
bool LineReader::read_more() {
  constexpr int kPatienceMs = 100;  // between two looks at Ctrl-C
  struct pollfd input{file_, POLLIN, 0};
  int ready = 0;
  while (ready == 0 && !interrupted()) ready = poll(&input, 1, kPatienceMs);
  if (interrupted()) return false;
  char bytes[4096];
  const ssize_t count = read(file_, bytes, sizeof bytes);
  if (count < 0 && errno == EINTR) return true;
  if (count <= 0) return false;
  held_.append(bytes, static_cast<size_t>(count));
  return true;
}

bool LineReader::next(std::string& line) {
  size_t end;
  while ((end = held_.find('\n')) == std::string::npos && !ended_)
    if (held_.size() > kLongestLine || !read_more()) ended_ = true;
  if (interrupted()) return false;
  if (end == std::string::npos && held_.empty()) return false;
  line = held_.substr(0, end);
  held_.erase(0, end == std::string::npos ? end : end + 1);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

}  // namespace planeloom
