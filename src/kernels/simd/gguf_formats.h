// GGUF formats with AVX2 and F16C, 32 codes at a time. Layouts: codecs/gguf_*.cc; those are the
// definition, these must give their bits.
//
// A Format has kBlock, kBytes, kGroup, kZero; codes(block, i): its i-th 32 codes; scales(block,
// scale, offset): its kBlock / kGroup scales, and offsets when kAffine.
#pragma once
#include "kernels/simd/avx2.h"

namespace planeloom::simd::gguf {

PL_AVX2 float half_at(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

/// 16 bytes of nibbles -> 32 codes, the low nibbles first.
PL_AVX2 __m256i nibbles(const uint8_t* q) {
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/// The i-th 32 of the nibbles of 32-byte lines: the low ones of a line, then the high ones.
PL_AVX2 __m256i nibbles32(const uint8_t* q, int i) {
  const __m256i line = load32(q + i / 2 * 32);
  return _mm256_and_si256(i % 2 ? _mm256_srli_epi16(line, 4) : line, _mm256_set1_epi8(15));
}

/// Bit c of a 32-bit word -> byte c, `value` where it is set.
PL_AVX2 __m256i spread_bits(uint32_t word, char value) {
  const __m256i bytes =
      _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word)),
                          _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                           2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit),
                          _mm256_set1_epi8(value));
}

PL_AVX2 uint32_t word_at(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

template <int kBytesOf, int kZeroOf, bool kAffineOf = false>
struct Block32 {
  static constexpr int kBlock = 32, kGroup = 32, kBytes = kBytesOf, kZero = kZeroOf;
  static constexpr bool kAffine = kAffineOf;
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_at(b);
    if (kAffine) offset[0] = half_at(b + 2);
  }
};

struct Q4_0 : Block32<18, 8> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) { return nibbles(b + 2); }
};
struct Q4_1 : Block32<20, 0, true> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) { return nibbles(b + 4); }
};
struct Q5_0 : Block32<22, 16> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) {
    return _mm256_or_si256(nibbles(b + 6), spread_bits(word_at(b + 2), 16));
  }
};
struct Q5_1 : Block32<24, 0, true> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) {
    return _mm256_or_si256(nibbles(b + 8), spread_bits(word_at(b + 4), 16));
  }
};
struct Q8_0 : Block32<34, 128> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) {
    return _mm256_xor_si256(load32(b + 2), _mm256_set1_epi8(-128));
  }
};

/// Four-bit indices into the fixed table of the IQ4 types, plus 127 (codecs/gguf_iq4.cc).
PL_AVX2 __m256i iq4_codes(const uint8_t* q) {
  const __m128i table =
      _mm_setr_epi8(0, 23, 44, 62, 78, 92, 105, 117, -128, -116, -104, -91, -76, -60, -40, -16);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(q));
}
struct IQ4_NL : Block32<18, 127> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int) { return iq4_codes(b + 2); }
};

/// Two-bit fields of 64 bytes: those of 128 columns share 32 bytes.
PL_AVX2 __m256i crumbs(const uint8_t* q, int i) {
  const __m256i shifted = _mm256_srl_epi16(load32(q + i / 4 * 32), _mm_cvtsi32_si128(i % 4 * 2));
  return _mm256_and_si256(shifted, _mm256_set1_epi8(3));
}

/// Bit i of each of 32 bytes, as `value`, a power of two.
PL_AVX2 __m256i bit_of_bytes(const uint8_t* bytes, int i, char value) {
  const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << i));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(load32(bytes), bit), bit),
                          _mm256_set1_epi8(value));
}

/// Signed bytes times d: eight, or sixteen.
PL_AVX2 void times_eight(float d, __m128i bytes, float* out) {
  _mm256_storeu_ps(
      out, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))));
}
PL_AVX2 void times_sixteen(float d, __m128i bytes, float* out) {
  times_eight(d, bytes, out);
  times_eight(d, _mm_srli_si128(bytes, 8), out + 8);
}

/// Scales and minima: twelve bytes hold eight pairs of six bits.
PL_AVX2 void scales_and_minima(const uint8_t* b, float* scale, float* offset) {
  const uint32_t w0 = word_at(b + 4), w1 = word_at(b + 8), w2 = word_at(b + 12);
  const uint64_t s =
      (w0 & 0x3f3f3f3full) | (uint64_t((w2 & 0x0f0f0f0f) | ((w0 >> 2) & 0x30303030)) << 32);
  const uint64_t m =
      (w1 & 0x3f3f3f3full) | (uint64_t(((w2 >> 4) & 0x0f0f0f0f) | ((w1 >> 2) & 0x30303030)) << 32);
  times_eight(half_at(b), _mm_cvtsi64_si128(static_cast<int64_t>(s)), scale);
  times_eight(-half_at(b + 2), _mm_cvtsi64_si128(static_cast<int64_t>(m)), offset);
}

/// What the K-quants share.
template <int kBytesOf, int kGroupOf, int kZeroOf, bool kAffineOf>
struct Block256 {
  static constexpr int kBlock = 256, kGroup = kGroupOf, kBytes = kBytesOf, kZero = kZeroOf;
  static constexpr bool kAffine = kAffineOf;
};

struct Q2_K : Block256<84, 16, 0, true> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) { return crumbs(b + 16, i); }
  /// Sixteen bytes: a scale in the low nibble, a minimum in the high one.
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float* offset) {
    const __m256i both = nibbles(b);
    times_sixteen(half_at(b + 80), _mm256_castsi256_si128(both), scale);
    times_sixteen(-half_at(b + 82), _mm256_extracti128_si256(both, 1), offset);
  }
};

struct Q3_K : Block256<110, 16, 4, false> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) {
    return _mm256_or_si256(crumbs(b + 32, i), bit_of_bytes(b, i, 4));
  }
  /// Six-bit scales: eight bytes of nibbles, then four of crumbs.
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float*) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 96)),
                  nibble = _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)),
                                         _mm_set1_epi8(15));
    const __m128i top = _mm_srlv_epi32(_mm_set1_epi32(static_cast<int>(word_at(b + 104))),
                                       _mm_setr_epi32(0, 2, 4, 6)),
                  high = _mm_slli_epi16(_mm_and_si128(top, _mm_set1_epi8(3)), 4);
    times_sixteen(half_at(b + 108), _mm_sub_epi8(_mm_or_si128(nibble, high), _mm_set1_epi8(32)),
                  scale);
  }
};

struct Q4_K : Block256<144, 32, 0, true> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) { return nibbles32(b + 16, i); }
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float* offset) {
    scales_and_minima(b, scale, offset);
  }
};

struct Q5_K : Block256<176, 32, 0, true> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) {
    return _mm256_or_si256(nibbles32(b + 48, i), bit_of_bytes(b + 16, i, 16));
  }
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float* offset) {
    scales_and_minima(b, scale, offset);
  }
};

struct Q6_K : Block256<210, 16, 32, false> {
  /// Per 128 columns: 64 bytes of nibbles, and 32 bytes of crumbs at 128.
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) {
    const int n = i / 4, part = i % 4;
    const __m256i q = load32(b + 64 * n + 32 * (part % 2)), crumbs = load32(b + 128 + 32 * n);
    const __m256i low = part < 2 ? q : _mm256_srli_epi16(q, 4);
    const __m256i high = part == 0   ? _mm256_slli_epi16(crumbs, 4)
                         : part == 1 ? _mm256_slli_epi16(crumbs, 2)
                         : part == 2 ? crumbs
                                     : _mm256_srli_epi16(crumbs, 2);
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)),
                           _mm256_and_si256(high, _mm256_set1_epi8(48)));
  }
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float*) {
    times_sixteen(half_at(b + 208), _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 192)),
                  scale);
  }
};

struct IQ4_XS : Block256<136, 32, 127, false> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) { return iq4_codes(b + 8 + 16 * i); }
  /// Eight scales of six bits: two bytes of crumbs, then four of nibbles.
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float*) {
    const uint32_t head = word_at(b), low = word_at(b + 4);
    const __m256i column = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                  nibble = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(low)),
                                             _mm256_slli_epi32(column, 2)),
                  crumb = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(head >> 16)),
                                            _mm256_slli_epi32(column, 1));
    const __m256i six =
        _mm256_or_si256(_mm256_and_si256(nibble, _mm256_set1_epi32(15)),
                        _mm256_slli_epi32(_mm256_and_si256(crumb, _mm256_set1_epi32(3)), 4));
    _mm256_storeu_ps(
        scale, _mm256_mul_ps(_mm256_set1_ps(half_at(b)),
                             _mm256_cvtepi32_ps(_mm256_sub_epi32(six, _mm256_set1_epi32(32)))));
  }
};

struct TQ2_0 : Block256<66, 256, 1, false> {
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) { return crumbs(b, i); }
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float*) { scale[0] = half_at(b + 64); }
};

}  // namespace planeloom::simd::gguf
