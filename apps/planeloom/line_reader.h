#pragma once
#include <string>

namespace planeloom {

/// Lines of a terminal or a pipe. Unlike std::getline it notices Ctrl-C whichever thread the signal
/// reaches, and at whatever moment.
class LineReader {
 public:
  explicit LineReader(int file) : file_(file) {}
  /// The next line without its end; false at the end of the input or once interrupted().
  bool next(std::string& line);

 private:
  bool read_more();

  static constexpr size_t kLongestLine = size_t{1} << 24;
  int file_;
  bool ended_ = false;
  std::string held_;
};

}  // namespace planeloom
