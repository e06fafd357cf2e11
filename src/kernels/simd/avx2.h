// What the AVX2 sources share.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define PL_AVX2_TARGET "avx2,fma,f16c"
#define PL_AVX2 __attribute__((target(PL_AVX2_TARGET), always_inline)) inline
#define PL_AVX2_ENTRY __attribute__((target(PL_AVX2_TARGET)))

namespace planeloom::simd {

PL_AVX2 __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
PL_AVX2 __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

/// Four neighbouring activations in every lane.
PL_AVX2 __m256i four(const int8_t* x) {
  int32_t word;
  std::memcpy(&word, x, 4);
  return _mm256_set1_epi32(word);
}

}  // namespace planeloom::simd
