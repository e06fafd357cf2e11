// Integer-plane dots with AVX-512 VNNI: 64 columns per instruction, sixteen int32 lanes.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own _mm512_undefined_* headers
#endif
#include <immintrin.h>

#include "kernels/simd/simd.h"

#define PL_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"), always_inline)) inline
#define PL_AVX512_ENTRY __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))

namespace planeloom::simd {
namespace {

/// Four scales -> sixteen lanes, each repeated over the four lanes of its sixteen columns.
PL_AVX512 __m512 spread(const float* scale) {
  const __m512i pick = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  return _mm512_permutexvar_ps(pick, _mm512_castps128_ps512(_mm_loadu_ps(scale)));
}

/// 16 -> 8 -> 4 -> 2 -> 1, lane j with lane j + half (the contract's order).
PL_AVX512 float fold(__m512 v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

template <int R, int T>
PL_AVX512 void tile(const PlaneRows& w, int64_t r0, const Int8Rows& x, int64_t t0, float* out,
                    int64_t out_stride) {
  const int64_t padded = w.padded, groups = padded / kScaleGroup;
  __m512 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) acc[r][t] = _mm512_setzero_ps();
  for (int64_t chunk = 0; chunk < padded / 64; ++chunk)
    for (int p = 0; p < w.planes; ++p) {
      __m512i code[R];
      __m512 scale[R];
      for (int r = 0; r < R; ++r) {
        const int64_t line = (r0 + r) * w.planes + p;
        code[r] = _mm512_loadu_si512(w.code + line * padded + chunk * 64);
        scale[r] = spread(w.scale + line * groups + chunk * 4);
      }
      for (int t = 0; t < T; ++t) {
        const __m512i xc = _mm512_loadu_si512(x.code + (t0 + t) * padded + chunk * 64);
        const __m512 xs = _mm512_loadu_ps(x.lane_scale + (t0 + t) * padded / 4 + chunk * 16);
        for (int r = 0; r < R; ++r) {
          const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), code[r], xc);
          acc[r][t] =
              _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale[r], xs), acc[r][t]);
        }
      }
    }
  for (int64_t i = 0; i < groups; i += 16) {
    const __mmask16 mask =
        groups - i >= 16 ? 0xffff : static_cast<__mmask16>((1u << (groups - i)) - 1);
    for (int t = 0; t < T; ++t) {
      const __m512 sum = _mm512_maskz_loadu_ps(mask, x.sum + (t0 + t) * groups + i);
      for (int r = 0; r < R; ++r)
        acc[r][t] = _mm512_mask3_fmadd_ps(
            _mm512_maskz_loadu_ps(mask, w.offset + (r0 + r) * groups + i), sum, acc[r][t], mask);
    }
  }
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) out[(t0 + t) * out_stride + r0 + r] = fold(acc[r][t]);
}

template <int T>
PL_AVX512_ENTRY void rows_of(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t t,
                             float* out, int64_t out_stride) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) tile<4, T>(w, r, x, t, out, out_stride);
  for (; r < rows; ++r) tile<1, T>(w, r, x, t, out, out_stride);
}

}  // namespace

PL_AVX512_ENTRY void dot_planes_avx512(const PlaneRows& w, int64_t rows, const Int8Rows& x,
                                       int64_t tokens, float* out, int64_t out_stride) {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4) rows_of<4>(w, rows, x, t, out, out_stride);
  for (; t < tokens; ++t) rows_of<1>(w, rows, x, t, out, out_stride);
}

}  // namespace planeloom::simd
