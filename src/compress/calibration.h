#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "models/session.h"
#include "text/tokenizer.h"

namespace planeloom {

/// The source that stands for text which the model writes itself; any other is a text file.
inline constexpr std::string_view kSelfSource = "self";
/// The one that stands alone for no text at all: every input then counts alike.
inline constexpr std::string_view kNoSource = "none";

struct CalibrationOptions {
  std::vector<std::string> sources{std::string(kSelfSource)};  // share the windows evenly
  int64_t windows = 32;
  int64_t context = 512;
  uint64_t seed = 1;

  bool none() const { return sources.size() == 1 && sources[0] == kNoSource; }
};

/// Token windows of equal length, each read from position 0.
struct CalibrationText {
  int64_t context = 0;
  std::vector<int32_t> tokens;  // (windows, context)
  std::string description;      // for the report: where the text came from

  int64_t windows() const { return context ? static_cast<int64_t>(tokens.size()) / context : 0; }
  std::span<const int32_t> window(int64_t w) const {
    return std::span(tokens).subspan(static_cast<size_t>(w * context),
                                     static_cast<size_t>(context));
  }
  /// The first windows, at most all: every source has its turn in them.
  CalibrationText first(int64_t count) const {
    CalibrationText some{context, tokens, description};
    some.tokens.resize(static_cast<size_t>(std::min(count, windows()) * context));
    return some;
  }
  /// The last windows, at most all.
  CalibrationText last(int64_t count) const {
    const int64_t left_out = (windows() - std::min(count, windows())) * context;
    return {context, {tokens.begin() + left_out, tokens.end()}, description};
  }
};

/// Keeps self-written windows, so that an interrupted run need not write them again. Window w is
/// the model's w-th own one, however many of other sources stand between. Called from several
/// threads, each with its own window.
class WindowStore {
 public:
  virtual ~WindowStore() = default;
  /// True when window w was kept.
  virtual bool load_window(int64_t w, std::span<int32_t> tokens) const = 0;
  virtual Status save_window(int64_t w, std::span<const int32_t> tokens) const = 0;
};

/// From a file: windows spread evenly over it (all of a short one). From the model itself ("self"):
/// every window starts at a token drawn uniformly from the ordinary vocabulary and continues by
/// sampling at temperature 1 (as in LLM-QAT, arXiv 2305.17888, section 3.1); after an end of
/// generation a new start is drawn. Each window has its own seed. `kept`, when there is one, keeps
/// what the model wrote.
///
/// Of several sources each gives a window in turn, so that every beginning of the text is mixed and
/// the first sources give the windows that are left over. One file alone may be too short for all
/// windows, then there are fewer; beside others it must fill its share.
Result<CalibrationText> calibration_text(const Model& model, const Tokenizer& tokenizer,
                                         const Compute& compute, const CalibrationOptions& options,
                                         const WindowStore* kept, Progress& progress);

/// What the text depends on, but for the model: the bytes of the files, lengths and the seed. An
/// error when a file cannot be read.
Result<std::string> calibration_fingerprint(const CalibrationOptions& options);

/// The errors of calibration_text that can be told without the model's writing anything.
Status check_calibration(const Tokenizer& tokenizer, const CalibrationOptions& options);

}  // namespace planeloom
