#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// Float operations from the Highway sources (float_ops.cc), integer dots from the intrinsic
/// regions.
const Kernels& avx2_table();
const Kernels& avx512_table();

// Integer dots (dot_tile_*.cc); contract in kernels/kernels.h.
void dot_tile_avx2(const TileView& w, const Int8Rows& x, int64_t tokens, float* y,
                   int64_t y_stride);
void dot_tile_avx512(const TileView& w, const Int8Rows& x, int64_t tokens, float* y,
                     int64_t y_stride);
/// Dots on packed bit-planes (dot_bitplane_avx512.cc) and on the rows of GGUF types
/// (dot_gguf_avx512.cc), or null.
DotPacked find_dot_avx512(const Codec& codec, int64_t tokens);
DotPacked find_dot_gguf_avx512(const Codec& codec, int64_t tokens);

/// The sum of the activation codes of `step` (16 or 32) columns from c on.
inline int32_t code_sum(const Int8Rows& x, int64_t token, int64_t c, int64_t step) {
  const int32_t* sum = x.sums_of(token) + c / 16;
  return step == kActivationGroup ? sum[0] + sum[1] : sum[0];
}
/// What an affine group's offset is multiplied with: their sum as numbers.
inline float group_weight(const Int8Rows& x, int64_t token, int64_t c, int64_t step) {
  return x.scales_of(token)[c / kActivationGroup] * static_cast<float>(code_sum(x, token, c, step));
}

}  // namespace planeloom::simd
