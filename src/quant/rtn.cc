// Round to nearest on a uniform grid per row and group, written as bit-planes: from min to max, or
// clipped where that is better.
#include <algorithm>
#include <vector>

#include "quant/grid.h"

namespace planeloom {
namespace {

using lanes::kLanes;
using lanes::Lanes;

/// The step of a min-max grid is (max - min) / top.
void round_rows(GridOutput& out, const MethodContext& c, int64_t first, int64_t last) {
  const int top = (1 << c.options.bits) - 1;
  for (int64_t r = first; r < last; ++r)
    for (int64_t g = 0; g < c.groups(); ++g) {
      const auto w = out.weights(r, g);
      const auto [low, high] = std::minmax_element(w.begin(), w.end());
      out.write(r, g, (double{*high} - double{*low}) / top, *low);
    }
}

/// What an error in each column of the original order weighs.
std::vector<float> column_weights(const MethodContext& c) {
  std::vector<float> weight(static_cast<size_t>(c.input.cols), 1.0f);
  for (size_t n = 0; c.hessian && n < weight.size(); ++n)
    weight[static_cast<size_t>(c.hessian->order[n])] = c.hessian->diagonal[n];
  return weight;
}

void clip_block(GridOutput& out, const MethodContext& c, const std::vector<float>& weight,
                int64_t block) {
  const int64_t group = c.options.group, row0 = block * kLanes;
  const int64_t count = std::min<int64_t>(kLanes, c.input.rows - row0);
  std::vector<Lanes> w(static_cast<size_t>(group));
  for (int64_t g = 0; g < c.groups(); ++g) {
    for (int64_t t = 0; t < group; ++t)
      w[static_cast<size_t>(t)] = load_column(c.input, block, g * group + t);
    Lanes coef[kMaxCoef];
    search_grid(c, out.form(), GridZero::kFree, w.data(), weight.data() + g * group, coef);
    for (int l = 0; l < static_cast<int>(count); ++l)
      out.write(row0 + l, g, coef[0].v[l], coef[c.options.bits].v[l]);
  }
}

}  // namespace

Result<QuantResult> quantize_rtn(const MethodContext& c) {
  GridOutput out(c);
  if (c.options.clip) {
    const std::vector<float> weight = column_weights(c);
    c.pool.parallel_for(c.blocks(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t b = begin; b < end; ++b) clip_block(out, c, weight, b);
    });
  } else {
    c.pool.parallel_for(c.input.rows, 8,
                        [&](int64_t begin, int64_t end, int) { round_rows(out, c, begin, end); });
  }
  const int one[] = {1};
  return out.encode(one);
}

}  // namespace planeloom
