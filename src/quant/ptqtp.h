// PTQTP (arXiv 2509.16989) on sixteen rows of one group: w ~ a1 t1 + a2 t2, trits in {-1, 0, 1}.
// Method: docs/ptqtp.md.
#pragma once
#include <cstdint>

#include "quant/lanes.h"

namespace planeloom {

/// The nine pairs (t1, t2) in the order that decides ties: zero first, then the sparser, then by
/// (t1, t2) rising. The planes start equal, so the first search ties (1, 0) with (0, 1) everywhere,
/// and the order decides where a group ends. By this one a negative weight goes to plane 1 and a
/// positive one to plane 2. An order blind to the sign sends half of all Gaussian groups to a worse
/// solution (ratio near 2.9 instead of 1.5, error 0.1685 instead of 0.1656).
inline constexpr float kTritCandidates[9][2] = {{0, 0},   {-1, 0}, {0, -1}, {0, 1}, {1, 0},
                                                {-1, -1}, {-1, 1}, {1, -1}, {1, 1}};

/// Where the alternation ended, per row.
struct TritFit {
  lanes::Lanes alpha[2];
  int rounds[lanes::kLanes];
  bool converged[lanes::kLanes];
};

/// The alternation of the paper's algorithm 1: ridge for the two scales, exhaustive search for the
/// trits, until the scales move by less than 1e-4 of the row's root mean square. w: (n), finite.
/// Scales are not yet rounded.
TritFit fit_trits(const lanes::LaneKernels& kernels, const lanes::Lanes* w, int64_t n,
                  int max_rounds);

/// The same with one scale in the ratio 3 : 2, not the paper's: the alternation from several
/// starts, the best per row.
TritFit fit_tied(const lanes::LaneKernels& kernels, const lanes::Lanes* w, int64_t n,
                 int max_rounds);

}  // namespace planeloom
