// Levels of the plane formats in registers (codecs/level_pairs.h), and how fields of two bits look
// them up: what the fused dots of bit-planes and trit-planes share.
#pragma once
#include <cstddef>

#include "codecs/level_pairs.h"
#include "kernels/simd/avx512.h"
#include "kernels/simd/byte_levels.h"

namespace planeloom::simd {

/// Sixteen half coefficients, one per row.
PL_AVX512 __m512 coefficient(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

/// The same, what is not finite being 0.
PL_AVX512 __m512 finite_coefficient(const std::byte* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i exponent = _mm256_set1_epi16(0x7c00);
  const __mmask16 finite = _mm256_cmpneq_epu16_mask(_mm256_and_si256(bits, exponent), exponent);
  return _mm512_maskz_cvtph_ps(finite, bits);
}

PL_AVX512 __m512i magnitude(__m512 v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

/// Four levels of sixteen rows in two orders within each 16-byte lane of four rows: by_row has byte
/// 4 r + k = level k of row r, by_level byte 4 k + r.
struct LevelTable {
  __m512i by_row, by_level;
};

/// A field in bits 0-1 of a nibble looks up by_row at 4 r + field; one in bits 2-3 is 4 * field
/// already and looks up by_level at 4 * field + r. So one shift by four serves four fields.
struct FieldPlaces {
  __m512i four_r, r;
};
PL_AVX512 FieldPlaces field_places() {
  return {_mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
          _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3))};
}

/// v & mask | base in every byte.
PL_AVX512 __m512i pick(__m512i base, __m512i v, char mask) {
  return _mm512_ternarylogic_epi32(base, v, _mm512_set1_epi8(mask), 0xf8);
}

/// Levels of the fields in bits 0-1 and 2-3 of every byte's lower nibble.
PL_AVX512 __m512i first_field(const FieldPlaces& places, const LevelTable& t, __m512i v) {
  return _mm512_shuffle_epi8(t.by_row, pick(places.four_r, v, 3));
}
PL_AVX512 __m512i second_field(const FieldPlaces& places, const LevelTable& t, __m512i v) {
  return _mm512_shuffle_epi8(t.by_level, pick(places.r, v, 12));
}

/// quantize_levels: the common scale of tables whose largest magnitudes add up to `top`.
struct LevelScale {
  __m512 scale, inverse;
};
PL_AVX512 LevelScale level_scale(__m512i top, LevelDepth depth) {
  const __m512i exponent = _mm512_max_epi32(_mm512_and_si512(top, _mm512_set1_epi32(kExponentMask)),
                                            _mm512_set1_epi32(kSmallestExponent));
  const __m512i power = _mm512_sub_epi32(exponent, _mm512_set1_epi32(depth.shift));
  return {_mm512_castsi512_ps(power),
          _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(kInverseBase), power))};
}

PL_AVX512 LevelTable both_orders(__m512i by_level) {
  const __m512i turn =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return {_mm512_shuffle_epi8(by_level, turn), by_level};
}

/// Four levels, rounded and saturated.
PL_AVX512 LevelTable level_table(const __m512 level[4], __m512 inverse) {
  __m512i q[4];
  for (int k = 0; k < 4; ++k) q[k] = _mm512_cvtps_epi32(_mm512_mul_ps(level[k], inverse));
  const __m512i by_level =
      _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
  return both_orders(by_level);
}

/// Sixteen bytes, one per row, in every lane.
PL_AVX512 __m512i byte_coefficient(const std::byte* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
PL_AVX512 __m512i placed(__m512i coefficient, const TablePlaces& places) {
  return _mm512_shuffle_epi8(coefficient, _mm512_load_si512(places.data()));
}
/// byte_scale of sixteen exponents.
PL_AVX512 __m512 byte_scales(const std::byte* p) {
  const __m128i e = _mm_min_epu8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)),
                                 _mm_set1_epi8(static_cast<char>(kLargestExponent)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(e), 23));
}

/// Signed levels -> codes.
PL_AVX512 __m512i to_code(__m512i level, LevelDepth depth) {
  return _mm512_add_epi8(level, _mm512_set1_epi8(static_cast<char>(depth.zero)));
}

}  // namespace planeloom::simd
