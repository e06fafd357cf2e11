// Tiles of integer codes against int8 activations with AVX-512 VNNI: the sixteen rows of a tile are
// the lanes, four columns one instruction.
#include <algorithm>

#include "kernels/simd/avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

/// T tokens. The instruction wants unsigned codes; the exact sum starts at -zero * sum of x.
template <int T>
PL_AVX512_ENTRY void tokens_of(const TileView& w, const Int8Rows& x, float* y, int64_t y_stride) {
  const int64_t group = w.form.group, step = w.form.step;
  for (int64_t g = 0; g < w.cols / group; ++g) {
    __m512 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
    for (int64_t c = g * group; c < (g + 1) * group; c += step) {
      __m512i exact[T];
      for (int t = 0; t < T; ++t)
        exact[t] = _mm512_set1_epi32(-w.form.zero * x.sums_of(t)[c / step]);
      for (int64_t i = c; i < c + step; i += 4) {
        const __m512i code = _mm512_loadu_si512(w.code + i * kTileRows);
        for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], code, x.codes_of(t) + i);
      }
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]),
                                 _mm512_set1_ps(x.scales_of(t)[c / step]), sum[t]);
    }
    const __m512 scale = _mm512_loadu_ps(w.scale + g * kTileRows);
    for (int t = 0; t < T; ++t) {
      float* out = y + t * y_stride;
      __m512 acc = _mm512_fmadd_ps(sum[t], scale, _mm512_loadu_ps(out));
      if (w.form.affine)
        acc = _mm512_fmadd_ps(_mm512_set1_ps(group_weight(x, t, g * group, group)),
                              _mm512_loadu_ps(w.offset + g * kTileRows), acc);
      _mm512_storeu_ps(out, acc);
    }
  }
}

}  // namespace

void dot_tile_avx512(const TileView& w, const Int8Rows& x, int64_t tokens, float* y,
                     int64_t y_stride) {
  int64_t t = 0;
  for (; t + 12 <= tokens; t += 12) tokens_of<12>(w, x.from_token(t), y + t * y_stride, y_stride);
  for (; t + 4 <= tokens; t += 4) tokens_of<4>(w, x.from_token(t), y + t * y_stride, y_stride);
  for (; t < tokens; ++t) tokens_of<1>(w, x.from_token(t), y + t * y_stride, y_stride);
}

}  // namespace planeloom::simd
