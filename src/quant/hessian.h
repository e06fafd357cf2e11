// The second moments of a layer's inputs, made ready for error feedback once and shared by every
// matrix that reads the same inputs (q, k and v; gate and up).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// A damped Hessian H_d = s R R^T in group-aware order, R upper triangular. With U = R^-1, H_d^-1 =
/// U^T U / s, which is GPTQ's factor; the diagonal blocks of U are the inverses of those of R, so U
/// itself is never formed.
struct PreparedHessian {
  int64_t cols = 0;
  int group = 0;
  bool identity = false;  // no Hessian was given, or it was all zero
  double scale = 1;       // s: the mean diagonal of H
  double damping = 0;     // added to every diagonal entry, in units of s
  std::vector<int32_t>
      order;  // (cols): the original column at each position; a group's columns stay together
  std::vector<float> factor;   // R: (cols, cols) row-major, zero below the diagonal
  std::vector<float> inverse;  // (cols / group, group, group): inverses of R's diagonal blocks
};

/// Damps, orders and factors H = 2/n sum x x^T (cols, cols), both halves filled; empty or all zero
/// means the identity. Order (GAR): columns by falling diagonal inside each group, groups by their
/// largest diagonal. `damping` is a share of the mean diagonal and grows in steps of 0.01 while the
/// factorisation fails. Errors: sizes, cols no multiple of group, entries that are not finite,
/// negative diagonal, hopelessly indefinite H.
Result<PreparedHessian> prepare_hessian(std::span<const double> hessian, int64_t cols, int group,
                                        double damping = 0.05);

}  // namespace planeloom
