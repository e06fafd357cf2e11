#include "compress/upstream.h"

#include <algorithm>
#include <cmath>

#include "codecs/codec.h"
#include "kernels/linear.h"
#include "quant/cholesky.h"

namespace planeloom {
namespace {

constexpr int kTries = 8;  // damping doubles each time

}  // namespace

void CrossMoments::add(const Compute& compute, Rows a, Rows b) {
  const std::span<const float> left = column_panels(compute, a, panels_a_),
                               right = column_panels(compute, b, panels_b_);
  const int64_t size = panel_size(a.rows), steps = panel_steps(a.rows),
                blocks = (rows_ + kPanelRows - 1) / kPanelRows;
  compute.pool->parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int) {
    float tile[kPanelRows * kPanelRows];
    for (int64_t p = begin; p < end; ++p)
      for (int64_t j = 0; j < cols_; j += kPanelRows) {
        const int64_t i = p * kPanelRows, rows = std::min<int64_t>(kPanelRows, rows_ - i),
                      cols = std::min<int64_t>(kPanelRows, cols_ - j);
        compute.kernels->dot_panels(right.data() + j / kPanelRows * size, steps,
                                    left.data() + p * size, rows, cols, tile, kPanelRows);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c)
            sum_[static_cast<size_t>((i + r) * cols_ + j + c)] += tile[r * kPanelRows + c];
      }
  });
  tokens_ += a.rows;
}

std::vector<float> CrossMoments::mean() && {
  const double scale = tokens_ ? 2.0 / static_cast<double>(tokens_) : 0.0;
  for (float& v : sum_) v = static_cast<float>(scale * static_cast<double>(v));
  return std::move(sum_);
}

Result<UpstreamTarget> UpstreamTarget::make(const Compute& compute, std::span<const double> hessian,
                                            int64_t cols, std::vector<float> drift,
                                            std::vector<float> lack, double damping) {
  if (cols % kCholeskyUnit != 0)
    return fail("[upstream] {} columns, a multiple of {} wanted", cols, kCholeskyUnit);
  UpstreamTarget target;
  target.cols_ = cols;
  target.drift_ = std::move(drift);
  target.lack_ = std::move(lack);
  const auto finite = [](const auto& values) {
    return std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
  };
  if (!finite(hessian) || !finite(target.drift_) || !finite(target.lack_))
    return fail("[upstream] the statistics of the calibration text are not finite");
  double mean = 0;
  for (int64_t i = 0; i < cols; ++i) mean += hessian[static_cast<size_t>(i * cols + i)];
  mean /= static_cast<double>(cols);
  if (!(mean > 0)) return target;  // nothing was fed: nothing to make up for
  for (int step = 0; step < kTries; ++step, damping *= 2) {
    target.factor_.assign(hessian.begin(), hessian.end());
    for (int64_t i = 0; i < cols; ++i)
      target.factor_[static_cast<size_t>(i * cols + i)] += damping * mean;
    if (cholesky(compute.kernels->isa, *compute.pool, cols, target.factor_.data())) return target;
  }
  return fail("[upstream] {} x {}: not positive definite even with {} of the mean diagonal added",
              cols, cols, damping / 2);
}

void UpstreamTarget::apply(const Compute& compute, double strength, int64_t rows,
                           std::span<float> weights) const {
  if (factor_.empty()) return;
  // W E[(x - x') x'^T]: the rows of W are the tokens of a linear whose weights are `drift`.
  std::vector<float> want(static_cast<size_t>(rows * cols_));
  const PackedMatrix drift{
      gguf_codec(DType::kF32), cols_, cols_, std::as_bytes(std::span(drift_)), {}};
  LinearInput input;
  LinearScratch scratch;
  input.set(weights.data(), cols_, rows, cols_);
  linear(compute, drift, {}, input, ActivationMode::kFloat, scratch, want.data(), cols_);
  const auto add = [&](int64_t first, int64_t count) {
    const int64_t panels = (count + kCholeskyUnit - 1) / kCholeskyUnit;
    std::vector<double> right(static_cast<size_t>(panels * cols_ * kCholeskyUnit));
    const auto each = [&](const auto& visit) {
      compute.pool->parallel_for(count, kCholeskyUnit, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r)
          for (int64_t c = 0; c < cols_; ++c)
            visit(static_cast<size_t>((first + r) * cols_ + c),
                  right[static_cast<size_t>((r / kCholeskyUnit * cols_ + c) * kCholeskyUnit +
                                            r % kCholeskyUnit)]);
      });
    };
    each([&](size_t at, double& x) {
      x = static_cast<double>(want[at]) + (lack_.empty() ? 0.0 : static_cast<double>(lack_[at]));
    });
    cholesky_solve(compute.kernels->isa, *compute.pool, cols_, factor_.data(), panels,
                   right.data());
    each([&](size_t at, double& x) { weights[at] += static_cast<float>(strength * x); });
  };
  for (int64_t first = 0; first < rows; first += kSolvedRows)
    add(first, std::min(kSolvedRows, rows - first));
}

}  // namespace planeloom
