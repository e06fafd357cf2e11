// The second moments of a layer's inputs, made ready for error feedback once and shared by every
// matrix that reads the same inputs (q, k and v; gate and up).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "quant/lanes.h"

namespace planeloom {

/// Damping of the matrix that is kept for coordinate descent, which does not divide by small
/// eigenvalues: notes measured 1 % best.
inline constexpr double kKeptDamping = 0.01;

/// A damped Hessian H_d = s R R^T in group-aware order (or another), R upper triangular. With U =
/// R^-1, H_d^-1 = U^T U / s, which is GPTQ's factor; the diagonal blocks of U are the inverses of
/// those of R, so U itself is never formed.
struct PreparedHessian {
  int64_t cols = 0;
  int group = 0;
  bool identity = false;  // no Hessian was given, or it was all zero
  double scale = 1;       // s: the mean diagonal of H
  double damping = 0;     // added to every diagonal entry, in units of s
  std::vector<int32_t>
      order;  // (cols): the original column at each position; a group's columns stay together
  std::vector<float> diagonal;  // (cols): of H_d / s, in this order
  std::vector<float> factor;    // R in strips: (cols / 8, cols, 8), zero below the diagonal
  std::vector<float> matrix;    // H / s in this order with kKeptDamping: (cols, cols), or empty
  std::vector<float> inverse;   // (cols / group, group, group): inverses of R's diagonal blocks

  float r(int64_t row, int64_t col) const {
    return factor[static_cast<size_t>((col / 8 * cols + row) * 8 + col % 8)];
  }
  /// R from `row` and `col` on, a multiple of 8. Strips, since a method goes down few columns at a
  /// time, and rows of tens of thousands of columns would be a page each.
  lanes::Strips factor_from(int64_t row, int64_t col) const {
    return {factor.data() + (col / 8 * cols + row) * 8, 8, 8 * cols};
  }
};

/// Damps, orders and factors H = 2/n sum x x^T (cols, cols), both halves filled; empty or all zero
/// means the identity. Order (GAR): columns by falling diagonal inside each group, groups by their
/// largest diagonal. `damping` is a share of the mean diagonal and grows in steps of 0.01 while the
/// factorisation fails. Errors: sizes, cols no multiple of group, entries that are not finite,
/// negative diagonal, hopelessly indefinite H.
/// With `keep`, the matrix itself is kept as well. `order`: the columns in another order than GAR.
/// Without a pool one thread does it; the bits are the same.
Result<PreparedHessian> prepare_hessian(std::span<const double> hessian, int64_t cols, int group,
                                        double damping = 0.05, bool keep = false,
                                        std::vector<int32_t> order = {}, Isa isa = Isa::kScalar,
                                        ThreadPool* pool = nullptr);

}  // namespace planeloom
