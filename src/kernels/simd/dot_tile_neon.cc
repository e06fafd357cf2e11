// Tiles with the NEON of every 64-bit ARM processor (ARMv8.0).
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

#define PL_NEON_TARGET
#define PL_NEON_NAME dot_tile_neon

namespace planeloom::simd {
namespace {

/// Products are int16, and two of them fit: |code - zero| <= 128 and |x| <= 127, together at most
/// 32512. Pairs of them are added to int32.
struct Exact {
  static constexpr int kTokens = 3;
  int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);  // rows 0, 0, 1, 1 and 2, 2, 3, 3

  /// Four columns a, and four columns b, of four rows.
  void add(int8x16_t a, int8x16_t xa, int8x16_t b, int8x16_t xb) {
    const int16x8_t first = vmull_s8(vget_low_s8(a), vget_low_s8(xa));
    low = vpadalq_s16(low, vmlal_s8(first, vget_low_s8(b), vget_low_s8(xb)));
    high = vpadalq_s16(high, vmlal_high_s8(vmull_high_s8(a, xa), b, xb));
  }
  int32x4_t total() const { return vpaddq_s32(low, high); }
};

}  // namespace
}  // namespace planeloom::simd

#include "kernels/simd/dot_tile_neon.inc"

namespace planeloom::simd {

decltype(Kernels::dot_tile) find_dot_tile_neon() {
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? dot_tile_neon_dotprod : dot_tile_neon;
}

}  // namespace planeloom::simd
