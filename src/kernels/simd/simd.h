#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// Float operations from the Highway sources (float_ops.cc), integer dots from the intrinsic
/// regions.
const Kernels& avx2_table();
const Kernels& avx512_table();
const Kernels& neon_table();
/// AVX-512's, and dot_tiles (dot_tiles_amx.cc).
const Kernels& amx_table();

// Integer dots (dot_tile_*.cc); contract in kernels/kernels.h.
void dot_tile_avx2(const TileView& w, const Int8Block& x, float* y, int64_t y_stride);
void dot_tile_avx512(const TileView& w, const Int8Block& x, float* y, int64_t y_stride);
void dot_tile_neon(const TileView& w, const Int8Block& x, float* y, int64_t y_stride);
void dot_tile_neon_dotprod(const TileView& w, const Int8Block& x, float* y, int64_t y_stride);
/// The one of these that suits this CPU.
decltype(Kernels::dot_tile) find_dot_tile_neon();
/// Dots on packed bytes, or null: bit-planes, trit-planes, rows of GGUF types (dot_*_*.cc).
DotPacked find_dot_bitplane_avx512(const Codec& codec, int64_t tokens);
DotPacked find_dot_tritplane_avx512(const Codec& codec, int64_t tokens);
DotPacked find_dot_trellis_avx512(const Codec& codec, int64_t tokens);
DotPacked find_dot_gguf_avx512(const Codec& codec, int64_t tokens);

DotPacked find_dot_bitplane_avx2(const Codec& codec, int64_t tokens);
DotPacked find_dot_tritplane_avx2(const Codec& codec, int64_t tokens);
DotPacked find_dot_trellis_avx2(const Codec& codec, int64_t tokens);
DotPacked find_dot_gguf_avx2(const Codec& codec, int64_t tokens);

inline DotPacked find_dot_avx2(const Codec& codec, int64_t tokens) {
  switch (codec.layout().kind) {
    case CodecLayout::Kind::kBitplane:
      return find_dot_bitplane_avx2(codec, tokens);
    case CodecLayout::Kind::kTritplane:
      return find_dot_tritplane_avx2(codec, tokens);
    case CodecLayout::Kind::kTrellis:
      return find_dot_trellis_avx2(codec, tokens);
    case CodecLayout::Kind::kGguf:
      break;
  }
  return find_dot_gguf_avx2(codec, tokens);
}

inline DotPacked find_dot_avx512(const Codec& codec, int64_t tokens) {
  switch (codec.layout().kind) {
    case CodecLayout::Kind::kBitplane:
      return find_dot_bitplane_avx512(codec, tokens);
    case CodecLayout::Kind::kTritplane:
      return find_dot_tritplane_avx512(codec, tokens);
    case CodecLayout::Kind::kTrellis:
      return find_dot_trellis_avx512(codec, tokens);
    case CodecLayout::Kind::kGguf:
      break;
  }
  return find_dot_gguf_avx512(codec, tokens);
}

}  // namespace planeloom::simd
