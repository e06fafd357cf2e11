#include "quant/ptqtp.h"

#include <cmath>

#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "quant/coefficients.h"
#include "quant/methods.h"

namespace planeloom {
namespace {

using lanes::kLanes;
using lanes::LaneKernels;
using lanes::Lanes;
using lanes::TritSums;

constexpr int kDefaultRounds = 50;
constexpr double kFirstRidge = 1e-8, kMaxRidge = 1.0,
                 kMaxCondition = 1e12;  // the paper's equations 2 and 3
// The paper stops at an absolute 1e-4, early for weights of 0.02 (error 0.1651 against 0.1647 of
// the norm); relative to the row's root mean square the rule means the same at every scale.
constexpr double kRelativeStep = 1e-4;

/// Equation 6: the two scales by ridge, its strength raised (and kept) while the 2 x 2 system is
/// ill conditioned.
void solve_scales(const TritSums& sums, int l, double& ridge, double* alpha) {
  const double s12 = sums.s12.v[l], b1 = sums.b1.v[l], b2 = sums.b2.v[l];
  double a11 = sums.s11.v[l] + ridge, a22 = sums.s22.v[l] + ridge,
         determinant = a11 * a22 - s12 * s12;
  const double norm = a11 * a11 + a22 * a22 + 2 * s12 * s12;
  if (const double condition = norm / std::abs(determinant); !(condition < kMaxCondition)) {
    ridge = std::fmin(ridge * std::sqrt(condition / kMaxCondition), kMaxRidge);
    a11 = sums.s11.v[l] + ridge;
    a22 = sums.s22.v[l] + ridge;
    determinant = a11 * a22 - s12 * s12;
  }
  alpha[0] = (a22 * b1 - s12 * b2) / determinant;
  alpha[1] = (a11 * b2 - s12 * b1) / determinant;
}

/// The start t1 = t2 = sign(w), sign(0) = +1, in the sums that the ridge needs.
TritSums start_sums(const Lanes* w, int64_t n) {
  TritSums sums{};
  for (int l = 0; l < kLanes; ++l) {
    double total = 0;
    for (int64_t t = 0; t < n; ++t) total += std::abs(static_cast<double>(w[t].v[l]));
    sums.s11.v[l] = sums.s22.v[l] = sums.s12.v[l] = static_cast<double>(n);
    sums.b1.v[l] = sums.b2.v[l] = total;
  }
  return sums;
}

/// Per row the largest step that counts as standing still.
void set_tolerance(const LaneKernels& kernels, const Lanes* w, int64_t n, double* tolerance) {
  lanes::DoubleLanes square;
  kernels.dot(n, w, w, &square);
  for (int l = 0; l < kLanes; ++l)
    tolerance[l] = kRelativeStep * std::sqrt(square.v[l] / static_cast<double>(n));
}

}  // namespace

TritFit fit_trits(const LaneKernels& kernels, const Lanes* w, int64_t n, int max_rounds) {
  TritFit fit{};
  double alpha[kLanes][2], ridge[kLanes], tolerance[kLanes];
  for (int l = 0; l < kLanes; ++l) {
    alpha[l][0] = alpha[l][1] = 1;
    ridge[l] = kFirstRidge;
  }
  set_tolerance(kernels, w, n, tolerance);
  TritSums sums = start_sums(w, n);
  int moving = kLanes;
  for (int round = 1; round <= max_rounds && moving > 0; ++round) {
    for (int l = 0; l < kLanes; ++l) {
      if (fit.converged[l]) continue;
      double next[2];
      solve_scales(sums, l, ridge[l], next);
      const double step = std::hypot(next[0] - alpha[l][0], next[1] - alpha[l][1]);
      for (int p = 0; p < 2; ++p) fit.alpha[p].v[l] = static_cast<float>(alpha[l][p] = next[p]);
      fit.rounds[l] = round;
      fit.converged[l] = step <= tolerance[l];
      moving -= fit.converged[l];
    }
    if (moving > 0) kernels.trit_search(n, w, fit.alpha, &sums, nullptr);
  }
  return fit;
}

TritFit fit_tied(const LaneKernels& kernels, const Lanes* w, int64_t n, int max_rounds) {
  // Where the alternation ends depends on where it begins; the best scale of Gaussian weights is
  // about 0.46 of their root mean square.
  constexpr double kStarts[] = {0.38, 0.42, 0.46, 0.50, 0.54};
  constexpr double p = kTiedRatio[0], q = kTiedRatio[1];
  TritFit fit{};
  double tolerance[kLanes], best[kLanes] = {};  // best: what a scale takes off the error
  set_tolerance(kernels, w, n, tolerance);
  for (const double start : kStarts) {
    Lanes alpha[2] = {};
    double scale[kLanes];
    for (int l = 0; l < kLanes; ++l) scale[l] = start * tolerance[l] / kRelativeStep;
    bool moving[kLanes], any = true;
    std::fill_n(moving, kLanes, true);
    for (int round = 1; round <= max_rounds && any; ++round) {
      for (int l = 0; l < kLanes; ++l) {
        alpha[0].v[l] = static_cast<float>(p * scale[l]);
        alpha[1].v[l] = static_cast<float>(q * scale[l]);
      }
      TritSums sums;
      kernels.trit_search(n, w, alpha, &sums, nullptr);
      any = false;
      for (int l = 0; l < kLanes; ++l) {
        const double product = p * sums.b1.v[l] + q * sums.b2.v[l],
                     square =
                         p * p * sums.s11.v[l] + q * q * sums.s22.v[l] + 2 * p * q * sums.s12.v[l];
        const double next = square > 0 ? product / square : 0, gain = product * next;
        if (gain > best[l]) {
          best[l] = gain;
          fit.alpha[0].v[l] = static_cast<float>(p * next);
          fit.alpha[1].v[l] = static_cast<float>(q * next);
        }
        moving[l] = std::abs(next - scale[l]) > tolerance[l];
        any |= moving[l];
        scale[l] = next;
        fit.rounds[l] = std::max(fit.rounds[l], round);
      }
    }
    for (int l = 0; l < kLanes; ++l) fit.converged[l] = !moving[l];
  }
  return fit;
}

namespace {

/// Larger scale first, both positive (the nine levels do not change), rounded as they are stored.
void round_scales(TritFit& fit, int l, const CoefficientForm& form, std::byte* to) {
  double a[2] = {std::abs(static_cast<double>(fit.alpha[0].v[l])),
                 std::abs(static_cast<double>(fit.alpha[1].v[l]))};
  if (a[0] < a[1]) std::swap(a[0], a[1]);
  if (form.stored() == Coefficients::kTied) {
    double scale = a[0] / kTiedRatio[0];
    form.round(&scale, to);
    for (int p = 0; p < 2; ++p) a[p] = kTiedRatio[p] * scale;
  } else {
    form.round(a, to);
  }
  for (int p = 0; p < 2; ++p) fit.alpha[p].v[l] = static_cast<float>(a[p]);
}

struct Outcome {
  int rounds = 0;
  int64_t sum = 0, unfinished = 0;
};

struct Output {
  CoefficientForm form;
  std::vector<uint8_t> codes;   // (rows, cols)
  std::vector<std::byte> coef;  // (rows, groups, bytes of form)
};

/// One group of 16 rows: fit, round the scales, and search once more against the scales that will
/// be served.
void quantize_block(const MethodContext& c, int64_t block, int64_t g, Output& out,
                    Outcome& outcome) {
  const int64_t group = c.options.group, first = block * kLanes;
  Lanes w[256], code[256];
  for (int64_t t = 0; t < group; ++t) w[t] = load_column(c.input, block, g * group + t);
  const int rounds = c.options.rounds > 0 ? c.options.rounds : kDefaultRounds;
  TritFit fit = out.form.stored() == Coefficients::kTied ? fit_tied(c.kernels, w, group, rounds)
                                                         : fit_trits(c.kernels, w, group, rounds);
  const int count = static_cast<int>(std::min<int64_t>(kLanes, c.input.rows - first));
  for (int l = 0; l < count; ++l) {
    round_scales(fit, l, out.form,
                 out.coef.data() + ((first + l) * c.groups() + g) * int64_t{out.form.bytes()});
    outcome.rounds = std::max(outcome.rounds, fit.rounds[l]);
    outcome.sum += fit.rounds[l];
    outcome.unfinished += !fit.converged[l];
  }
  c.kernels.trit_search(group, w, fit.alpha, nullptr, code);
  for (int l = 0; l < count; ++l)
    for (int64_t t = 0; t < group; ++t)
      out.codes[static_cast<size_t>((first + l) * c.input.cols + g * group + t)] =
          static_cast<uint8_t>(code[t].v[l]);
}

}  // namespace

Result<QuantResult> quantize_ptqtp(const MethodContext& c) {
  if (c.options.refine > 0) return refine_ptqtp(c);
  Output out{CoefficientForm::tritplanes(c.options.coefficients), {}, {}};
  out.codes.resize(static_cast<size_t>(c.input.rows * c.input.cols));
  out.coef.resize(static_cast<size_t>(c.input.rows * c.groups() * out.form.bytes()));
  std::vector<Outcome> outcomes(static_cast<size_t>(c.blocks()));
  c.pool.parallel_for(c.blocks(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t b = begin; b < end; ++b)
      for (int64_t g = 0; g < c.groups(); ++g)
        quantize_block(c, b, g, out, outcomes[static_cast<size_t>(b)]);
  });
  QuantResult result;
  PL_TRY(result.matrix, encode_tritplane(c.options.group, out.form.stored(), c.input.rows,
                                         c.input.cols, out.codes, out.coef));
  int64_t sum = 0;
  for (const Outcome& o : outcomes) {
    result.report.rounds = std::max(result.report.rounds, o.rounds);
    result.report.unfinished += o.unfinished;
    sum += o.sum;
  }
  result.report.mean_rounds =
      static_cast<double>(sum) / static_cast<double>(c.input.rows * c.groups());
  return result;
}

}  // namespace planeloom
