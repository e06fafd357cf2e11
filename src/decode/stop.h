#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// Finds stop strings in text that arrives in pieces. Lets through everything but what may still
/// become a stop string, and never a byte of one. The stream ends where the first stop string is
/// complete; of several that end there the longest is cut away. How the text was cut into pieces
/// does not matter, and whole UTF-8 characters in are whole characters out.
class StopMatcher {
 public:
  static constexpr size_t kMostStops = 64, kLongestStop = 1024;

  /// An error when a stop string is empty, too long, or begins inside a UTF-8 character.
  static Result<StopMatcher> create(std::vector<std::string> stops);
  StopMatcher(StopMatcher&&) = default;  // not copied: found() points into the object
  StopMatcher& operator=(StopMatcher&&) = default;

  /// Takes more text and returns what may be shown, valid until the next call. Nothing comes after
  /// stopped().
  std::string_view push(std::string_view piece);
  /// The stream is over: returns what was held back. Ready for a new stream then.
  std::string_view flush();

  bool stopped() const { return found_ != nullptr; }
  /// The stop string that ended the stream, or null.
  const std::string* found() const { return found_; }

 private:
  /// Knuth-Morris-Pratt over one stop string.
  struct Stop {
    std::string text;
    std::vector<uint16_t> shorter;  // (length): the next shorter prefix that also ends there
    size_t matched = 0;             // bytes of `text` that the stream ends with
  };
  explicit StopMatcher(std::vector<Stop> stops) : stops_(std::move(stops)) {}
  static void advance(Stop& stop, char c);

  std::vector<Stop> stops_;
  std::string held_;  // what may become a stop string: the longest match of all
  std::string shown_;
  const std::string* found_ = nullptr;
};

}  // namespace planeloom
