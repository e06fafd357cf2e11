#pragma once
#include <cmath>

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

/// What an affine group's offset is multiplied with: the sum of the activations of its columns
/// c .. c + group - 1, as the int8 codes say.
inline float group_weight(const Int8Rows& x, int64_t token, int64_t c, int64_t group) {
  float weight = 0;
  for (int64_t s = c / x.step; s < (c + group) / x.step; ++s)
    weight = std::fma(static_cast<float>(x.sums_of(token)[s]), x.scales_of(token)[s], weight);
  return weight;
}

}  // namespace planeloom::simd
