// The AVX2 sibling of plane_levels_avx512.h: levels of eight rows, half a line, in a register.
#pragma once
#include <cstddef>

#include "codecs/level_pairs.h"
#include "kernels/simd/avx2.h"
#include "kernels/simd/byte_levels.h"

namespace planeloom::simd {

/// Eight half coefficients, one per row; and the same, what is not finite being 0.
PL_AVX2 __m256 coefficient(const std::byte* p) { return _mm256_cvtph_ps(load16(p)); }
PL_AVX2 __m256 finite_coefficient(const std::byte* p) {
  const __m128i bits = load16(p), exponent = _mm_set1_epi16(0x7c00);
  const __m128i odd = _mm_cmpeq_epi16(_mm_and_si128(bits, exponent), exponent);
  return _mm256_cvtph_ps(_mm_andnot_si128(odd, bits));
}

PL_AVX2 __m256i magnitude(__m256 v) {
  return _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
}
/// Of floats by their magnitudes: infinite or no number.
PL_AVX2 bool any_odd(__m256i magnitudes) {
  const __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(kExponentMask), magnitudes);
  return _mm256_movemask_epi8(below) != -1;
}

/// quantize_levels: the common scale of tables whose largest magnitudes add up to `top`.
struct LevelScale {
  __m256 scale, inverse;
};
PL_AVX2 LevelScale level_scale(__m256i top, LevelDepth depth) {
  const __m256i exponent = _mm256_max_epi32(_mm256_and_si256(top, _mm256_set1_epi32(kExponentMask)),
                                            _mm256_set1_epi32(kSmallestExponent));
  const __m256i power = _mm256_sub_epi32(exponent, _mm256_set1_epi32(depth.shift));
  return {_mm256_castsi256_ps(power),
          _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(kInverseBase), power))};
}

/// Four levels of eight rows in two orders within each 16-byte lane of four rows: by_row has byte
/// 4 r + k = level k of row r, by_level byte 4 k + r.
struct LevelTable {
  __m256i by_row, by_level;
};
PL_AVX2 LevelTable both_orders(__m256i by_level) {
  const __m256i turn = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return {_mm256_shuffle_epi8(by_level, turn), by_level};
}
PL_AVX2 LevelTable level_table(const __m256 level[4], __m256 inverse) {
  __m256i q[4];
  for (int k = 0; k < 4; ++k) q[k] = _mm256_cvtps_epi32(_mm256_mul_ps(level[k], inverse));
  return both_orders(
      _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3])));
}

/// Byte coefficients of sixteen rows, in both lanes; `placed` takes rows 8 half ... of them.
PL_AVX2 __m256i byte_coefficient(const std::byte* p) {
  return _mm256_broadcastsi128_si256(load16(p));
}
PL_AVX2 __m256i placed(__m256i coefficient, const TablePlaces& places, int half) {
  return _mm256_shuffle_epi8(coefficient, load32(places.data() + 32 * half));
}
/// byte_scale of eight exponents.
PL_AVX2 __m256 byte_scales(const std::byte* p) {
  const __m128i e = _mm_min_epu8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                                 _mm_set1_epi8(static_cast<char>(kLargestExponent)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(e), 23));
}

}  // namespace planeloom::simd
