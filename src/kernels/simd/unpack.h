#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// The AVX2 version of a codec's unpack_row, or null when there is none.
UnpackRow find_unpack_avx2(const Codec& codec);

}  // namespace planeloom::simd
