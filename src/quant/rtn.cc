// Round to nearest on a uniform min-max grid per row and group, written as bit-planes: c_i = 2^i
// scale, bias = min.
#include <algorithm>
#include <cmath>

#include "codecs/planes.h"
#include "quant/coefficients.h"
#include "quant/methods.h"

namespace planeloom {
namespace {

/// w: (group). The grid is rounded as it is stored before the codes are chosen, so that they fit
/// the served grid: c_0 and the bias first, the other planes being multiples of c_0.
void round_group(std::span<const float> w, int bits, const CoefficientForm& form, uint8_t* code,
                 std::byte* coef) {
  const auto [low, high] = std::minmax_element(w.begin(), w.end());
  const int top = (1 << bits) - 1;
  double c[kMaxPlanes + 1];
  const auto set_grid = [&](double step, double bias) {
    for (int p = 0; p < bits; ++p) c[p] = std::ldexp(step, p);
    c[bits] = bias;
  };
  set_grid((double{*high} - double{*low}) / top, *low);
  form.round(c, nullptr);
  set_grid(c[0], c[bits]);
  form.round(c, coef);
  const auto step = static_cast<float>(c[0]), bias = static_cast<float>(c[bits]);
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
  const CoefficientForm form = CoefficientForm::bitplanes(c.options.coefficients, bits);
  std::vector<std::byte> coef(static_cast<size_t>(rows * groups * form.bytes()));
  c.pool.parallel_for(rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * groups; i < end * groups; ++i)
      round_group(
          c.input.weights.subspan(static_cast<size_t>(i * group), static_cast<size_t>(group)), bits,
          form, codes.data() + i * group, coef.data() + i * form.bytes());
  });
  QuantResult result;
  PL_TRY(result.matrix, encode_bitplane(bits, group, form.stored(), rows, cols, codes, coef));
  result.report.rounds = 1;
  result.report.mean_rounds = 1;
  return result;
}

}  // namespace planeloom
