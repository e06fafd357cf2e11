// What the AVX-512 VNNI sources share.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12's own _mm512_undefined_* headers
#endif
#include <immintrin.h>

#include <cstdint>

#define PL_AVX512_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c"
#define PL_AVX512 __attribute__((target(PL_AVX512_TARGET), always_inline)) inline
#define PL_AVX512_ENTRY __attribute__((target(PL_AVX512_TARGET)))
// Beyond what Isa::kAvx512 promises: asked for where it is used.
#define PL_VBMI __attribute__((target(PL_AVX512_TARGET ",avx512vbmi"), always_inline)) inline
#define PL_VBMI_ENTRY __attribute__((target(PL_AVX512_TARGET ",avx512vbmi")))

namespace planeloom::simd {

/// acc += dot of four unsigned codes per lane with the four int8 at x, the same for every lane. In
/// assembly because GCC 12 does not fold the broadcast into the instruction's memory operand.
PL_AVX512 __m512i dot4(__m512i acc, __m512i code, const int8_t* x) {
  struct Four {
    int8_t v[4];
  };
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(code), "m"(*reinterpret_cast<const Four*>(x)));
  return acc;
}

}  // namespace planeloom::simd
