// The commonest GGUF formats with AVX2 and F16C, 32 codes at a time. Layouts:
// codecs/gguf_legacy.cc, codecs/gguf_kquants.cc; those are the definition, these must give their
// bits.
//
// A Format has kBlock, kBytes, kGroup, kZero; codes(block, i): its i-th 32 codes; scales(block,
// scale, offset): its kBlock / kGroup scales, and offsets when kAffine.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define PL_AVX2 __attribute__((target("avx2,f16c"), always_inline)) inline

namespace planeloom::simd::gguf {

PL_AVX2 float half_at(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

PL_AVX2 __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// 16 bytes of nibbles -> 32 codes, the low nibbles first.
PL_AVX2 __m256i nibbles(const uint8_t* q) {
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
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

/// Scales and minima: twelve bytes hold eight pairs of six bits.
struct Q4_K {
  static constexpr int kBlock = 256, kGroup = 32, kBytes = 144, kZero = 0;
  static constexpr bool kAffine = true;
  PL_AVX2 static __m256i codes(const uint8_t* b, int i) {
    const __m256i q = load32(b + 16 + i / 2 * 32);
    return _mm256_and_si256(i % 2 ? _mm256_srli_epi16(q, 4) : q, _mm256_set1_epi8(15));
  }
  PL_AVX2 static void scales(const uint8_t* b, float* scale, float* offset) {
    const uint32_t w0 = word_at(b + 4), w1 = word_at(b + 8), w2 = word_at(b + 12);
    const uint64_t s =
        (w0 & 0x3f3f3f3full) | (uint64_t((w2 & 0x0f0f0f0f) | ((w0 >> 2) & 0x30303030)) << 32);
    const uint64_t m = (w1 & 0x3f3f3f3full) |
                       (uint64_t(((w2 >> 4) & 0x0f0f0f0f) | ((w1 >> 2) & 0x30303030)) << 32);
    _mm256_storeu_ps(scale, times(half_at(b), s));
    _mm256_storeu_ps(offset, _mm256_xor_ps(times(half_at(b + 2), m), _mm256_set1_ps(-0.0f)));
  }

 private:
  PL_AVX2 static __m256 times(float d, uint64_t eight) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(eight)));
    return _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(wide));
  }
};

struct Q6_K {
  static constexpr int kBlock = 256, kGroup = 16, kBytes = 210, kZero = 32;
  static constexpr bool kAffine = false;
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
    const __m256 d = _mm256_set1_ps(half_at(b + 208));
    for (int h = 0; h < 2; ++h) {
      const __m128i s8 = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 192 + 8 * h));
      _mm256_storeu_ps(scale + 8 * h,
                       _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s8))));
    }
  }
};

}  // namespace planeloom::simd::gguf
