// Sixteen rows at a time: the inner loops of the quantizers, one source compiled per ISA.
//
// A block of 16 rows is stored column by column (Lanes = one column of 16 rows), so that every loop
// is elementwise over the rows and each row's sums run over columns in one order, whatever the
// vector width. No multiply-add is fused
// (-ffp-contract=off): every ISA gives the same bits.
#pragma once
#include <cstdint>

#include "base/cpu.h"

namespace planeloom::lanes {

inline constexpr int kLanes = 16;

/// One value for each of 16 rows.
struct alignas(64) Lanes {
  float v[kLanes];
};

/// Sums that must not lose digits: floats are added up over 32 columns, doubles beyond.
struct alignas(64) DoubleLanes {
  double v[kLanes];
};

/// The sums that PTQTP's ridge needs, per row.
struct TritSums {
  DoubleLanes s11, s22, s12, b1, b2;
};

/// A matrix in strips of eight columns: entry (t, j) is data[t * row + j / 8 * strip + j % 8]. With
/// strips of 8 it lies row by row.
struct Strips {
  const float* data;
  int64_t row, strip = 8;
};

/// n and cols are multiples of 32 in every call, levels at most 16.
struct LaneKernels {
  /// out[j] += sum_t x[t] * r(t, j), t rising. With `upper`, r is zero for t > j and those terms
  /// are skipped.
  void (*multiply_add)(const Lanes* x, int64_t n, Strips r, int64_t cols, bool upper, Lanes* out);

  /// Babai's nearest plane: column by column the nearest of the row's levels (first one on a tie),
  /// the error pushed to the columns after it by u (n, n), the inverse factor. work: (n), the
  /// target, spoilt. code: (n), index of the level.
  void (*sweep)(int64_t n, int levels, const float* u, const Lanes* level, Lanes* work,
                Lanes* code);

  /// One pass of coordinate descent over columns whose errors weigh h (n rows of `stride`), t
  /// rising: the value that the gradient G = (W - Q) H asks for, value[t] + gradient[t] / h[t][t],
  /// becomes the nearest level; its change is taken from the gradient of all n columns and added to
  /// change[t]. code: (n), index of the level.
  void (*descend)(int64_t n, int levels, const float* h, int64_t stride, const Lanes* level,
                  Lanes* gradient, Lanes* value, Lanes* code, Lanes* change);

  /// out = sum_t weight[t] (w[t] - the nearest level)^2.
  void (*level_error)(int64_t n, int levels, const Lanes* level, const float* weight,
                      const Lanes* w, DoubleLanes* out);

  /// plane[t] = digit[code[t]].
  void (*look_up)(int64_t n, const float* digit, const Lanes* code, Lanes* plane);

  /// out = sum_t a[t] * b[t].
  void (*dot)(int64_t n, const Lanes* a, const Lanes* b, DoubleLanes* out);

  /// out = sum_t (y[t] - sum_p coef[p] z[p * n + t])^2, p rising.
  void (*residual)(int64_t n, int count, const Lanes* y, const Lanes* z, const Lanes* coef,
                   DoubleLanes* out);

  /// For each w the nearest a1 t1 + a2 t2 over the nine pairs of trits (candidate order in
  /// ptqtp.h). alpha: (2). sums and code may be null; code: (t1 + 1) + 3 (t2 + 1).
  void (*trit_search)(int64_t n, const Lanes* w, const Lanes* alpha, TritSums* sums, Lanes* code);

  /// c[j * c_stride + r] -= p[16 t + r] * q[t * q_stride + j] for 16 r and 8 j, one t after
  /// another; any n.
  void (*subtract_products)(int64_t n, const double* p, const double* q, int64_t q_stride,
                            double* c, int64_t c_stride);
};

const LaneKernels& lane_kernels(Isa isa);

namespace base {
const LaneKernels& table();
}
namespace avx2 {
const LaneKernels& table();
}
namespace avx512 {
const LaneKernels& table();
}

}  // namespace planeloom::lanes
