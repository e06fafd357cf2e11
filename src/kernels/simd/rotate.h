#pragma once
#include "codecs/rotation.h"

namespace planeloom::simd {

// Kernels::rotate (rotate.cc).
void rotate_avx2(const Rotation& r, const float* x, float* out);
void rotate_avx512(const Rotation& r, const float* x, float* out);
void rotate_neon(const Rotation& r, const float* x, float* out);

}  // namespace planeloom::simd
