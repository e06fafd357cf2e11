#include <immintrin.h>

#include <cstdint>

#define PL_LANES_NAMESPACE avx512
#define PL_LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))

namespace planeloom::trellis_lanes::avx512 {
namespace {

/// keep() of trellis_search.inc for four, eight and sixteen survivors.
PL_LANES_TARGET __attribute__((always_inline)) inline int keep_4(const int32_t* best, int32_t first,
                                                                 int32_t limit, int32_t* alive) {
  const __m128i all = _mm_add_epi32(_mm_set1_epi32(first), _mm_setr_epi32(0, 1, 2, 3));
  const __mmask8 kept = _mm_cmple_epi32_mask(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(best)), _mm_set1_epi32(limit));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(alive), _mm_maskz_compress_epi32(kept, all));
  return __builtin_popcount(kept);
}
PL_LANES_TARGET __attribute__((always_inline)) inline int keep_8(const int32_t* best, int32_t first,
                                                                 int32_t limit, int32_t* alive) {
  const __m256i all =
      _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  const __mmask8 kept = _mm256_cmple_epi32_mask(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(best)), _mm256_set1_epi32(limit));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(alive), _mm256_maskz_compress_epi32(kept, all));
  return __builtin_popcount(kept);
}
PL_LANES_TARGET __attribute__((always_inline)) inline int keep_16(const int32_t* best,
                                                                  int32_t first, int32_t limit,
                                                                  int32_t* alive) {
  const __m512i all =
      _mm512_add_epi32(_mm512_set1_epi32(first),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __mmask16 kept =
      _mm512_cmple_epi32_mask(_mm512_loadu_si512(best), _mm512_set1_epi32(limit));
  _mm512_storeu_si512(alive, _mm512_maskz_compress_epi32(kept, all));
  return __builtin_popcount(kept);
}

}  // namespace
}  // namespace planeloom::trellis_lanes::avx512

#define PL_LANES_KEEP
#define PL_LANES_WIDTH 16
#include "quant/trellis_search.inc"
