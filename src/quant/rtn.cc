// Round to nearest on a uniform min-max grid per row and group, written as bit-planes: c_i = 2^i
// scale, bias = min.
#include <algorithm>
#include <cmath>

#include "codecs/planes.h"
#include "quant/methods.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

/// w: (group). The grid is rounded to fp16 before the codes are chosen, so that they fit the served
/// grid.
void round_group(std::span<const float> w, int bits, uint8_t* code, uint16_t* coef) {
  const auto [low, high] = std::minmax_element(w.begin(), w.end());
  const int top = (1 << bits) - 1;
  const uint16_t step_bits = round_to_half((double{*high} - double{*low}) / top),
                 bias_bits = round_to_half(*low);
  const float step = half_to_float(step_bits), bias = half_to_float(bias_bits);
  for (int p = 0; p < bits; ++p)
    coef[p] = round_to_half(std::ldexp(double{step}, p));  // exact unless clamped
  coef[bits] = bias_bits;
  for (size_t i = 0; i < w.size(); ++i) {
    const float nearest = step > 0 ? std::rint((w[i] - bias) / step) : 0.0f;
    code[i] = static_cast<uint8_t>(std::clamp(nearest, 0.0f, static_cast<float>(top)));
  }
}

}  // namespace

Result<QuantResult> quantize_rtn(const MethodContext& c) {
  const int64_t rows = c.input.rows, cols = c.input.cols, groups = c.groups();
  const int bits = c.options.bits, group = c.options.group;
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  std::vector<uint16_t> coef(static_cast<size_t>(rows * groups * (bits + 1)));
  c.pool.parallel_for(rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * groups; i < end * groups; ++i)
      round_group(
          c.input.weights.subspan(static_cast<size_t>(i * group), static_cast<size_t>(group)), bits,
          codes.data() + i * group, coef.data() + i * (bits + 1));
  });
  QuantResult result;
  PL_TRY(result.matrix, encode_bitplane(bits, group, rows, cols, codes, coef));
  result.report.rounds = 1;
  result.report.mean_rounds = 1;
  return result;
}

}  // namespace planeloom
