// PTQTP (arXiv 2509.16989) on sixteen rows of one group: w ~ a1 t1 + a2 t2, trits in {-1, 0, 1}. Method: docs/ptqtp.md.
#pragma once
#include <cstdint>

#include "quant/lanes.h"

namespace planeloom {

/// The nine pairs (t1, t2) in the order that decides ties: zero, then the sparser, then the second plane first. The two
/// planes start equal, so ties occur, and the order must be the same everywhere.
inline constexpr float kTritCandidates[9][2] = {{0, 0},  {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                                {1, -1}, {-1, 1}, {1, 1},  {-1, -1}};

/// Where the alternation ended, per row.
struct TritFit {
  lanes::Lanes alpha[2];
  int rounds[lanes::kLanes];
  bool converged[lanes::kLanes];
};

/// The alternation of the paper's algorithm 1: ridge for the two scales, exhaustive search for the trits, until the
/// scales move by less than 1e-4 of the row's root mean square. w: (n), finite. Scales are not yet rounded.
TritFit fit_trits(const lanes::LaneKernels& kernels, const lanes::Lanes* w, int64_t n, int max_rounds);

}  // namespace planeloom
