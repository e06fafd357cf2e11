// Quantizing to the trellis format (codecs/trellis.h): of all rows of bits, one whose levels come
// near in the Hessian. Method: docs/trellis.md.
#pragma once
#include <cstdint>
#include <vector>

namespace planeloom {

/// Columns of one sequence that are decided together, and how many after them the search looks at
/// before it decides.
inline constexpr int64_t kTrellisSegment = 64, kTrellisAhead = 16,
                         kTrellisColumns = kTrellisSegment + kTrellisAhead;

/// The order in which columns are quantized: 4 * kTrellisSegment neighbours after another, of each
/// such piece the columns of one sequence (c mod 4 alike), then of the next.
std::vector<int32_t> trellis_order(int64_t cols);

}  // namespace planeloom
