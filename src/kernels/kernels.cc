#include "kernels/kernels.h"

#include "kernels/ref/ref.h"
#include "kernels/simd/simd.h"

namespace planeloom {

const Kernels& kernels_for(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return simd::avx512_table();
    case Isa::kAvx2:
      return simd::avx2_table();
    case Isa::kScalar:
      break;
  }
  return ref::table();
}

}  // namespace planeloom
