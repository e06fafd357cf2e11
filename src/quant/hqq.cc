// HQQ (Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023): no
// data. The step of the min-max grid stays; the zero is found by alternating a shrinkage of the
// errors d, which makes the criterion an l_p norm, and the zero's closed form:
//   d = w - (q - zero) step
//   e = sign(d) max(|d| - |d|^(p - 1) / beta, 0)
//   zero = mean(q - (w - e) / step),   beta *= kappa
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/grid.h"

namespace planeloom {
namespace {

constexpr double kNorm = 0.7, kFirstBeta = 10, kKappa = 1.01;
constexpr int kDefaultRounds = 20;

/// What one round finds out about a zero.
struct Round {
  double error;  // sum of |d|
  double next;   // the zero that the errors ask for
};

Round alternate(std::span<const float> w, double step, double zero, int top, double beta) {
  const double nothing_left = std::pow(beta, -1 / (2 - kNorm));  // no |d| up to here survives
  Round round{0, 0};
  for (const float weight : w) {
    const double value = double{weight};
    const double q = std::clamp(std::rint(value / step + zero), 0.0, static_cast<double>(top));
    const double d = value - (q - zero) * step, size = std::abs(d);
    const double e =
        size > nothing_left ? std::copysign(size - std::pow(size, kNorm - 1) / beta, d) : 0.0;
    round.error += size;
    round.next += q - (value - e) / step;
  }
  round.next /= static_cast<double>(w.size());
  return round;
}

/// Returns the rounds taken: until the error no longer falls, and the best zero is written.
int fit_group(GridOutput& out, const MethodContext& c, int64_t row, int64_t group) {
  const auto w = out.weights(row, group);
  const int top = (1 << c.options.bits) - 1;
  const auto [low, high] = std::minmax_element(w.begin(), w.end());
  double grid[kMaxCoef];
  round_grid((double{*high} - double{*low}) / top, *low, c.options.bits, out.form(), grid, nullptr);
  const double step = grid[0];
  double zero = step > 0 ? -double{*low} / step : 0, best = zero, beta = kFirstBeta,
         least = std::numeric_limits<double>::infinity();
  const int most = c.options.rounds > 0 ? c.options.rounds : kDefaultRounds;
  int rounds = 0;
  for (; step > 0 && rounds <= most; ++rounds, beta *= kKappa) {
    const Round found = alternate(w, step, zero, top, beta);
    if (!(found.error < least)) break;
    least = found.error;
    best = zero;
    zero = found.next;
  }
  out.write(row, group, step, step > 0 ? -best * step : double{*low});
  return std::min(rounds, most);
}

}  // namespace

Result<QuantResult> quantize_hqq(const MethodContext& c) {
  GridOutput out(c);
  std::vector<int> rounds(static_cast<size_t>(c.input.rows * c.groups()));
  c.pool.parallel_for(c.input.rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * c.groups(); i < end * c.groups(); ++i)
      rounds[static_cast<size_t>(i)] = fit_group(out, c, i / c.groups(), i % c.groups());
  });
  return out.encode(rounds);
}

}  // namespace planeloom
