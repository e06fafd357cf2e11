#pragma once
#include "codecs/rotation.h"

namespace planeloom::simd {

// Kernels::rotate and unrotate (rotate.cc).
void rotate_avx2(const Rotation& r, const float* x, float* out);
void rotate_avx512(const Rotation& r, const float* x, float* out);
void rotate_neon(const Rotation& r, const float* x, float* out);
void unrotate_avx2(const Rotation& r, float* x);
void unrotate_avx512(const Rotation& r, float* x);
void unrotate_neon(const Rotation& r, float* x);

}  // namespace planeloom::simd
