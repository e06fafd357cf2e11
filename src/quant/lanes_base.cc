#define PL_LANES_NAMESPACE base
#define PL_LANES_TARGET
#define PL_LANES_WIDTH 4
#define PL_LANES_TILE 2
#include "quant/lanes_kernels.inc"

namespace planeloom::lanes {

const LaneKernels& lane_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || isa == Isa::kAmx) return avx512::table();
  if (isa == Isa::kAvx2) return avx2::table();
#endif
  return base::table();
}

}  // namespace planeloom::lanes
