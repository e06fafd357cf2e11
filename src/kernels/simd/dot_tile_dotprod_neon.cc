// Tiles with the dot products of ARMv8.2 (FEAT_DotProd), which sum four columns of a row at once.
#include <arm_neon.h>

#define PL_NEON_TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#define PL_NEON_NAME dot_tile_neon_dotprod

namespace planeloom::simd {
namespace {

struct Exact {
  static constexpr int kTokens = 4;
  int32x4_t sum = vdupq_n_s32(0);

  /// Four columns a, and four columns b, of four rows.
  PL_NEON_TARGET void add(int8x16_t a, int8x16_t xa, int8x16_t b, int8x16_t xb) {
    sum = vdotq_s32(vdotq_s32(sum, a, xa), b, xb);
  }
  int32x4_t total() const { return sum; }
};

}  // namespace
}  // namespace planeloom::simd

#include "kernels/simd/dot_tile_neon.inc"
