#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// Float operations from the Highway sources (float_ops.cc), integer dots from the intrinsic
/// regions.
const Kernels& avx2_table();
const Kernels& avx512_table();

// Integer-plane dots (dot_planes_*.cc); contract in kernels/kernels.h.
void dot_planes_avx2(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t tokens,
                     float* out, int64_t out_stride);
void dot_planes_avx512(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t tokens,
                       float* out, int64_t out_stride);

}  // namespace planeloom::simd
