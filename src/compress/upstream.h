// What a linear should give so that the model as it was comes out, although earlier layers already
// are quantized: its target is W x + r, x what the unquantized model feeds it, r what the residual
// stream lacks, given x' that the quantized model feeds it. The least-squares solution
//   W* = (W E[x x'^T] + E[r x'^T]) E[x' x'^T]^-1 = W + (W E[(x - x') x'^T] + E[r x'^T]) H^-1
// is quantized instead of W, on the Hessian of x' (GPTAQ, arXiv 2504.02692, has the first term).
#pragma once
#include <optional>
#include <vector>

#include "compress/statistics.h"

namespace planeloom {

/// Sums of outer products: 2 / tokens sum a b^T. Same bits for any thread count and ISA.
class CrossMoments {
 public:
  CrossMoments(int64_t rows, int64_t cols)
      : rows_(rows), cols_(cols), sum_(static_cast<size_t>(rows * cols)) {}
  /// a: (tokens, rows), b: (tokens, cols), tokens alike.
  void add(const Compute& compute, Rows a, Rows b);
  /// (rows, cols), in place of the sums.
  std::vector<float> mean() &&;

 private:
  int64_t rows_, cols_, tokens_ = 0;
  std::vector<float> sum_;  // (rows, cols)
  std::vector<float> panels_a_, panels_b_;
};

/// The correction of every linear that reads the same input.
class UpstreamTarget {
 public:
  static constexpr int64_t kSolvedRows = 1024;  // right sides at a time, which bounds memory

  /// hessian: (cols, cols), as SecondMoments has it. drift: (cols, cols) = E[x' (x - x')^T], E as
  /// 2 / tokens sum. lack: (outputs, cols) = E[r x'^T], or empty. `damping` is a share of the mean
  /// diagonal and grows until the matrix can be inverted; directions that the text hardly shows
  /// keep W, all of them where it shows none. Errors: numbers that are not finite, cols no multiple
  /// of 16.
  static Result<UpstreamTarget> make(const Compute& compute, std::span<const double> hessian,
                                     int64_t cols, std::vector<float> drift,
                                     std::vector<float> lack, double damping);
  /// weights: (rows, cols) W becomes W + strength (W* - W).
  void apply(const Compute& compute, double strength, int64_t rows, std::span<float> weights) const;

 private:
  int64_t cols_ = 0;
  std::vector<double> factor_;  // of the damped Hessian, as quant/cholesky.h leaves it, or empty
  std::vector<float> drift_, lack_;
};

}  // namespace planeloom
