// What Highway compiles each of its sources for; comes before hwy/foreach_target.h. AVX2, AVX3 and
// NEON only (the baseline pass is empty): the scalar path is our own reference, whose multiply-adds
// are fused, unlike Highway's.
#pragma once

#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE_256 | HWY_SVE2 | HWY_SVE2_128)
