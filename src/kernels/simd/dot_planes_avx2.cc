// Integer-plane dots with AVX2: 32 columns per instruction, the sixteen lanes in two registers.
#include <immintrin.h>

#include "kernels/simd/simd.h"

#define PL_AVX2 __attribute__((target("avx2,fma"), always_inline)) inline
#define PL_AVX2_ENTRY __attribute__((target("avx2,fma")))

namespace planeloom::simd {
namespace {

/// Exact int32 sums of four neighbouring products, eight lanes. maddubs saturates above 32767:
/// codes up to 127 stay below (2 * 127 * 127); wider ones take |code - 128| with the sign moved to
/// x.
template <bool kWide>
PL_AVX2 __m256i dot4(__m256i code, __m256i x) {
  const __m256i ones = _mm256_set1_epi16(1);
  if (!kWide) return _mm256_madd_epi16(_mm256_maddubs_epi16(code, x), ones);
  const __m256i centred = _mm256_xor_si256(code, _mm256_set1_epi8(-128));  // code - 128 as int8
  const __m256i part = _mm256_madd_epi16(
      _mm256_maddubs_epi16(_mm256_abs_epi8(centred), _mm256_sign_epi8(x, centred)), ones);
  const __m256i sum_x = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), x), ones);
  return _mm256_add_epi32(part, _mm256_slli_epi32(sum_x, 7));
}

/// Two scales -> eight lanes, each over four.
PL_AVX2 __m256 spread(const float* scale) {
  return _mm256_set_m128(_mm_broadcast_ss(scale + 1), _mm_broadcast_ss(scale));
}

PL_AVX2 float fold(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// One row against T tokens. acc[t][h]: lanes 8h..8h+7.
template <bool kWide, int T>
PL_AVX2 void tile(const PlaneRows& w, int64_t r, const Int8Rows& x, int64_t t0, float* out,
                  int64_t out_stride) {
  const int64_t padded = w.padded, groups = padded / kScaleGroup;
  __m256 acc[T][2];
  for (int t = 0; t < T; ++t) acc[t][0] = acc[t][1] = _mm256_setzero_ps();
  for (int64_t chunk = 0; chunk < padded / 64; ++chunk)
    for (int p = 0; p < w.planes; ++p) {
      const int64_t line = r * w.planes + p;
      for (int h = 0; h < 2; ++h) {
        const __m256i code = _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(w.code + line * padded + chunk * 64 + 32 * h));
        const __m256 scale = spread(w.scale + line * groups + chunk * 4 + 2 * h);
        for (int t = 0; t < T; ++t) {
          const __m256i xc = _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(x.code + (t0 + t) * padded + chunk * 64 + 32 * h));
          const __m256 xs =
              _mm256_loadu_ps(x.lane_scale + (t0 + t) * padded / 4 + chunk * 16 + 8 * h);
          acc[t][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot4<kWide>(code, xc)),
                                      _mm256_mul_ps(scale, xs), acc[t][h]);
        }
      }
    }
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  for (int64_t i = 0; i < groups; i += 8) {
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(groups - i)), lane);
    const __m256 offset = _mm256_maskload_ps(w.offset + r * groups + i, mask);
    for (int t = 0; t < T; ++t) {
      const __m256 sum = _mm256_maskload_ps(x.sum + (t0 + t) * groups + i, mask);
      __m256& into = acc[t][i / 8 % 2];
      into = _mm256_fmadd_ps(offset, sum, into);
    }
  }
  for (int t = 0; t < T; ++t) out[(t0 + t) * out_stride + r] = fold(acc[t][0], acc[t][1]);
}

template <bool kWide>
PL_AVX2_ENTRY void all_tiles(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t tokens,
                             float* out, int64_t out_stride) {
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4)
    for (int64_t r = 0; r < rows; ++r) tile<kWide, 4>(w, r, x, t, out, out_stride);
  for (; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) tile<kWide, 1>(w, r, x, t, out, out_stride);
}

}  // namespace

void dot_planes_avx2(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t tokens,
                     float* out, int64_t out_stride) {
  w.wide ? all_tiles<true>(w, rows, x, tokens, out, out_stride)
         : all_tiles<false>(w, rows, x, tokens, out, out_stride);
}

}  // namespace planeloom::simd
