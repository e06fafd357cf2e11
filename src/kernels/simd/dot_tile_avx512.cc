// Tiles of integer codes against int8 activations with AVX-512 VNNI: the sixteen rows of a tile are
// the lanes, four columns one instruction.
#include "kernels/simd/avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

/// T tokens: an integer and a float accumulator of each stay in registers.
template <int T>
PL_AVX512_ENTRY void tokens_of(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  const int64_t groups = w.cols / w.form.group, steps = w.form.group / w.form.step,
                lines = w.form.step / 4;
  const uint8_t* line = w.code;
  const int8_t* code = x.code;
  const float *x_scale = x.scale, *weight = x.weight;
  const int32_t* start = x.start;
  for (int64_t g = 0; g < groups; ++g) {
    __m512 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
    for (int64_t s = 0; s < steps; ++s, x_scale += T, start += T) {
      __m512i exact[T];
      for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
      for (int64_t i = 0; i < lines; i += 4)
        for (int k = 0; k < 4; ++k, line += kTileRows * 4, code += 4 * T) {
          const __m512i v = _mm512_loadu_si512(line);
          for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], v, code + 4 * t);
        }
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]), _mm512_set1_ps(x_scale[t]), sum[t]);
    }
    const __m512 scale = _mm512_loadu_ps(w.scale + g * kTileRows);
    for (int t = 0; t < T; ++t)
      sum[t] = _mm512_fmadd_ps(sum[t], scale, _mm512_loadu_ps(y + t * y_stride));
    if (w.form.affine) {
      const __m512 offset = _mm512_loadu_ps(w.offset + g * kTileRows);
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(_mm512_set1_ps(weight[t]), offset, sum[t]);
      weight += T;
    }
    for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, sum[t]);
  }
}

}  // namespace

void dot_tile_avx512(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  constexpr decltype(&tokens_of<1>) kTokens[kBlockTokens] = {
      tokens_of<1>, tokens_of<2>, tokens_of<3>, tokens_of<4>,  tokens_of<5>,  tokens_of<6>,
      tokens_of<7>, tokens_of<8>, tokens_of<9>, tokens_of<10>, tokens_of<11>, tokens_of<12>};
  kTokens[x.tokens - 1](w, x, y, y_stride);
}

}  // namespace planeloom::simd
