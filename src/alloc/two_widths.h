// The allocation that NSDS and LieQ publish: a few sensitive layers at four bits, the rest at two,
// scales not counted.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace planeloom {

inline constexpr int kLowBits = 2, kHighBits = 4;

/// Bits of every layer so that they average `bits` (2 to 4): with f = (bits - 2) / 2 the layers of
/// the highest score, round(f L) of them where all have as many weights, else the fewest whose
/// weights are at least f of all (LieQ, arXiv 2508.03332; NSDS, arXiv 2603.17354, whose n4 is the
/// same). So the average may be a little above `bits`; allocate() keeps to a budget.
Result<std::vector<int>> two_widths(std::span<const double> score, std::span<const int64_t> weights,
                                    double bits);

/// sum of bits times weights / sum of weights.
double average_bits(std::span<const int> bits, std::span<const int64_t> weights);

}  // namespace planeloom
