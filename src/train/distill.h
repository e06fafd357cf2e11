// End-to-end distillation of what a quantized model's codes leave free: a factor of every row and
// the norms' gains are changed until the model's next-token distribution is nearest to the
// unquantized model's, KL(original || quantized), on some text. Codes stay as they are, and so do
// size and speed. docs/distill.md.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compress/calibration.h"

namespace planeloom {

inline constexpr double kMostDistillMinutes = 525600;  // a year

struct DistillOptions {
  double minutes = 0;   // how long, as the steps so far tell; or
  int64_t steps = 0;    // how many steps, then minutes does not count
  int64_t windows = 2;  // of each step
  /// Of Adam, relative: the largest change of a factor in a step, about. 0: rate_for(divergence
  /// at the first step).
  double rate = 0;
  CalibrationOptions text;  // what it reads, over and over when the steps ask for more
};

/// The rate that suits a model of this mean KL from the original: what is nearly right is left
/// nearly alone (docs/distill.md has the measurements).
double rate_for(double kl);

/// What windows that no step reads say of the result.
struct HeldOut {
  int64_t tokens = 0;
  double before = 0, after = 0;  // mean KL
  /// How much of the way the written scales go, 0 to 1: whichever of none, half and all is best.
  double share = 1;
};

struct DistillSummary {
  int64_t steps = 0, tokens = 0, resumed_steps = 0;
  double rate = 0;
  std::optional<HeldOut> held_out;  // none when the text is short
  std::string text;                 // where it came from
  std::vector<double> kl;           // of each step, before it
  double seconds = 0;
};

/// Writes `quantized` with better scales to `out`. A sixteenth of the text's windows, at most
/// eight, is held out: what is written is never worse on them than `quantized`. The progress is
/// kept in OUT.partial: a run that was interrupted goes on there and gives the same bytes, whatever
/// the threads. Ctrl-C stops it between steps with an error that says so. Errors: models of
/// different shapes, a rate below 0, formats without fp16 scales of rows (codecs/scale_rows.h),
/// losses that are not finite.
Result<DistillSummary> distill(const Model& original, const Model& quantized,
                               const std::filesystem::path& out, const DistillOptions& options,
                               const Compute& compute, Progress& progress);

}  // namespace planeloom
