// Sixteen rows of a trellis while they are fitted: what the sweep and the refinement share.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quant/methods.h"
#include "quant/trellis.h"
#include "quant/trellis_search.h"

namespace planeloom {

/// Columns of one sequence that are decided together, and those of its next piece that the search
/// goes on to: positions in trellis_order.
struct TrellisSpan {
  int64_t first, n, next, total;  // total: n and what follows at position next
  int64_t position(int64_t t) const { return t < n ? first + t : next + t - n; }
};
/// All of them in order, sequence i mod 4, each with up to `after` columns that follow.
std::vector<TrellisSpan> trellis_spans(int64_t cols, int64_t after);

/// Sixteen rows in trellis_order.
struct TrellisRows {
  explicit TrellisRows(int64_t cols)
      : weight(static_cast<size_t>(cols)),
        error(weight.size()),
        window(static_cast<size_t>(cols * lanes::kLanes)) {}

  int64_t count = 0;                        // rows that are there
  std::vector<lanes::Lanes> weight, error;  // (cols): W and D = W - W'
  std::vector<uint16_t> window;             // (cols, 16): the newest symbol lowest
  float scale[lanes::kLanes];               // as they are stored
};

/// What the search wants to know of a span, and how its targets are found: R upper triangular.
struct TrellisFactor {
  std::vector<float> weight, push;  // (kTrellisColumns), (kTrellisColumns, kTrellisColumns)
  /// r(t, k) for t <= k < total.
  template <class R>
  TrellisFactor(int64_t total, const R& r)
      : weight(kTrellisColumns), push(kTrellisColumns * kTrellisColumns) {
    for (int64_t k = 0; k < total; ++k) {
      weight[static_cast<size_t>(k)] = r(k, k) * r(k, k);
      for (int64_t t = 0; t < k; ++t)
        push[static_cast<size_t>(t * kTrellisColumns + k)] = r(t, k) / r(k, k);
    }
  }
};

}  // namespace planeloom
