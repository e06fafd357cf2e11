#include "quant/grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace planeloom {
namespace {

using lanes::DoubleLanes;
using lanes::kLanes;
using lanes::Lanes;

// GPTQModel steps by 1 % down to a fifth of the range, AutoAWQ by 5 % down to a half.
constexpr int kWholeRange = 50, kLeastRange = 10;

/// min ... max of each row.
struct Range {
  Lanes low, high;
};

Range range_of(const Lanes* w, int64_t n, GridZero zero) {
  Range r{w[0], w[0]};
  if (zero == GridZero::kInteger) r = {};
  for (int64_t t = 0; t < n; ++t)
    for (int l = 0; l < kLanes; ++l) {
      r.low.v[l] = std::fmin(r.low.v[l], w[t].v[l]);
      r.high.v[l] = std::fmax(r.high.v[l], w[t].v[l]);
    }
  return r;
}

}  // namespace

void round_grid(double step, double bias, int planes, const CoefficientForm& form, double* c,
                std::byte* to) {
  for (int pass = 0; pass < 2; ++pass) {
    for (int p = 0; p < planes; ++p) c[p] = step * (1 << p);
    c[planes] = bias;
    form.round(c, pass == 1 ? to : nullptr);
    step = c[0];
    bias = c[planes];
  }
}

void search_grid(const MethodContext& context, const CoefficientForm& form, GridZero zero,
                 const Lanes* w, const float* weight, Lanes* coef) {
  const int64_t group = context.options.group;
  const int planes = context.options.bits, top = (1 << planes) - 1;
  const Range range = range_of(w, group, zero);
  double best[kLanes];
  std::fill_n(best, kLanes, std::numeric_limits<double>::infinity());
  const int ways = zero == GridZero::kInteger ? 2 : 1;  // the integers on both sides of -low / step
  for (int part = kWholeRange; part >= kLeastRange; --part)
    for (int way = 0; way < ways; ++way) {
      Lanes candidate[kMaxCoef];
      for (int l = 0; l < kLanes; ++l) {
        const double low = double{range.low.v[l]} * part / kWholeRange;
        double step = (double{range.high.v[l]} - double{range.low.v[l]}) * part / kWholeRange / top;
        double bias = low, c[kMaxCoef];
        if (zero == GridZero::kInteger) {
          // The stored step is what the zero multiplies.
          round_grid(step, low, planes, form, c, nullptr);
          const double at = step > 0 ? -low / step : 0;
          step = c[0];
          bias = -std::clamp(std::floor(at) + way, 0.0, static_cast<double>(top)) * step;
        }
        round_grid(step, bias, planes, form, c, nullptr);
        for (int p = 0; p <= planes; ++p) candidate[p].v[l] = static_cast<float>(c[p]);
      }
      Lanes level[kMaxLevels];
      levels_of(form, candidate, level);
      DoubleLanes error;
      context.kernels.level_error(group, form.levels(), level, weight, w, &error);
      for (int l = 0; l < kLanes; ++l) {
        if (!(error.v[l] < best[l])) continue;
        best[l] = error.v[l];
        for (int p = 0; p <= planes; ++p) coef[p].v[l] = candidate[p].v[l];
      }
    }
}

GridOutput::GridOutput(const MethodContext& c)
    : c_(c),
      form_(CoefficientForm::bitplanes(c.options.coefficients, c.options.bits)),
      codes_(static_cast<size_t>(c.input.rows * c.input.cols)),
      coef_(static_cast<size_t>(c.input.rows * c.groups() * form_.bytes())) {}

std::span<const float> GridOutput::weights(int64_t row, int64_t group) const {
  const auto size = static_cast<size_t>(c_.options.group);
  return c_.input.weights.subspan(static_cast<size_t>(row * c_.groups() + group) * size, size);
}

void GridOutput::write(int64_t row, int64_t group, double step, double bias) {
  const int planes = c_.options.bits, top = (1 << planes) - 1;
  const int64_t index = row * c_.groups() + group;
  double c[kMaxCoef];
  round_grid(step, bias, planes, form_, c, coef_.data() + index * form_.bytes());
  const auto served = static_cast<float>(c[0]), zero = static_cast<float>(c[planes]);
  uint8_t* code = codes_.data() + index * c_.options.group;
  for (const float w : weights(row, group)) {
    const float nearest = served > 0 ? std::rint((w - zero) / served) : 0.0f;
    *code++ = static_cast<uint8_t>(std::clamp(nearest, 0.0f, static_cast<float>(top)));
  }
}

Result<QuantResult> GridOutput::encode(std::span<const int> rounds) const {
  QuantResult result;
  PL_TRY(result.matrix, encode_bitplane(c_.options.bits, c_.options.group, form_.stored(),
                                        c_.input.rows, c_.input.cols, codes_, coef_));
  result.report.rounds = *std::ranges::max_element(rounds);
  result.report.mean_rounds =
      std::accumulate(rounds.begin(), rounds.end(), 0.0) / static_cast<double>(rounds.size());
  return result;
}

}  // namespace planeloom
