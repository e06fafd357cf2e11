#include "kernels/kernels.h"

#include "kernels/ref/ref.h"
#include "kernels/simd/simd.h"

namespace planeloom {

const Kernels& kernels_for(Isa isa) {
  switch (isa) {
#if defined(__aarch64__)
    case Isa::kNeon:
      return simd::neon_table();
#elif defined(__x86_64__)
    case Isa::kAmx:
      return simd::amx_table();
    case Isa::kAvx512:
      return simd::avx512_table();
    case Isa::kAvx2:
      return simd::avx2_table();
#endif
    default:  // scalar; another processor's are never asked for
      return ref::table();
  }
}

}  // namespace planeloom
