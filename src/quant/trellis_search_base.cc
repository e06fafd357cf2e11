#define PL_LANES_NAMESPACE base
#define PL_LANES_TARGET
#define PL_LANES_WIDTH 4
#include "quant/trellis_search.inc"

namespace planeloom {

#if defined(__x86_64__)
namespace trellis_lanes::avx2 {
TrellisSearch find(int bits);
}
namespace trellis_lanes::avx512 {
TrellisSearch find(int bits);
}
#endif

TrellisSearch trellis_search(Isa isa, int bits) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512 || isa == Isa::kAmx) return trellis_lanes::avx512::find(bits);
  if (isa == Isa::kAvx2) return trellis_lanes::avx2::find(bits);
#endif
  return trellis_lanes::base::find(bits);
}

}  // namespace planeloom
