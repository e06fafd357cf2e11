// Tiles of integer codes against int8 activations with AVX2: eight rows per register.
#include <immintrin.h>

#include "kernels/simd/simd.h"

#define PL_AVX2 __attribute__((target("avx2,fma"), always_inline)) inline
#define PL_AVX2_ENTRY __attribute__((target("avx2,fma")))

namespace planeloom::simd {
namespace {

PL_AVX2 __m256i load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// Eight rows of a tile (half = 0 or 1) against T tokens of the block, from `first` on.
template <int T>
PL_AVX2 void half_tile(const TileView& w, int half, const Int8Block& x, int64_t first, float* y,
                       int64_t y_stride) {
  const int64_t groups = w.cols / w.form.group, steps = w.form.group / w.form.step,
                width = x.tokens;
  const __m256i ones = _mm256_set1_epi16(1);
  // maddubs saturates above 32767; |code - zero| <= 128 against |x| <= 127 stays below. So zero is
  // taken from the codes, and `start` is not needed.
  const __m256i zero = _mm256_set1_epi8(static_cast<char>(w.form.zero));
  const uint8_t* line = w.code + 32 * half;
  const int8_t* code = x.code + 4 * first;
  const float* x_scale = x.scale + first;
  __m256 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm256_loadu_ps(y + t * y_stride + 8 * half);
  for (int64_t g = 0; g < groups; ++g) {
    __m256 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm256_setzero_ps();
    for (int64_t s = 0; s < steps; ++s, x_scale += width) {
      __m256i exact[T];
      for (int t = 0; t < T; ++t) exact[t] = _mm256_setzero_si256();
      for (int64_t i = 0; i < w.form.step; i += 4, line += kTileRows * 4, code += 4 * width) {
        const __m256i q = _mm256_sub_epi8(load(line), zero), size = _mm256_abs_epi8(q);
        for (int t = 0; t < T; ++t) {
          int32_t four;
          __builtin_memcpy(&four, code + 4 * t, 4);
          const __m256i products =
              _mm256_maddubs_epi16(size, _mm256_sign_epi8(_mm256_set1_epi32(four), q));
          exact[t] = _mm256_add_epi32(exact[t], _mm256_madd_epi16(products, ones));
        }
      }
      for (int t = 0; t < T; ++t)
        sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact[t]), _mm256_set1_ps(x_scale[t]), sum[t]);
    }
    const __m256 scale = _mm256_loadu_ps(w.scale + g * kTileRows + 8 * half);
    for (int t = 0; t < T; ++t) acc[t] = _mm256_fmadd_ps(sum[t], scale, acc[t]);
    if (!w.form.affine) continue;
    const __m256 offset = _mm256_loadu_ps(w.offset + g * kTileRows + 8 * half);
    for (int t = 0; t < T; ++t)
      acc[t] = _mm256_fmadd_ps(_mm256_set1_ps(x.weight[g * width + first + t]), offset, acc[t]);
  }
  for (int t = 0; t < T; ++t) _mm256_storeu_ps(y + t * y_stride + 8 * half, acc[t]);
}

template <int T>
PL_AVX2_ENTRY void tokens_of(const TileView& w, const Int8Block& x, int64_t first, float* y,
                             int64_t y_stride) {
  for (int half = 0; half < 2; ++half)
    half_tile<T>(w, half, x, first, y + first * y_stride, y_stride);
}

}  // namespace

void dot_tile_avx2(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  int64_t t = 0;
  for (; t + 3 <= x.tokens; t += 3) tokens_of<3>(w, x, t, y, y_stride);
  for (; t < x.tokens; ++t) tokens_of<1>(w, x, t, y, y_stride);
}

}  // namespace planeloom::simd
