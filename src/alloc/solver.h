// Which of its forms every item takes when all together must fit.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// One form that an item may take: its size, and what it costs the model (any unit, the less the
/// better).
struct Choice {
  int64_t bytes = 0;
  double cost = 0;
};

/// For every item the index of its choice, so that the sum of the costs is the least of all that
/// take at most `budget` bytes together: a multiple-choice knapsack by dynamic programming. Exact
/// when sizes have a common divisor of which the largest forms together take at most 2^18; else
/// sizes are rounded up to a 2^18-th of those (0.0004 %), and the result is the best of what fits
/// when rounded. A larger budget never costs more. Among equal costs earlier choices are taken.
/// Errors: an item without choices or with more than 255, a negative size, a cost that is not
/// finite, a budget that the smallest choices exceed.
Result<std::vector<int>> allocate(std::span<const std::vector<Choice>> items, int64_t budget);

}  // namespace planeloom
