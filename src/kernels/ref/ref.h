#pragma once
#include "kernels/kernels.h"

namespace planeloom::ref {

/// The scalar reference: always built, the definition of every kernel and the oracle of the tests.
const Kernels& table();

/// exp(x) as every ISA computes it: Cody-Waite reduction and a degree-7 polynomial, all
/// multiply-adds fused. Relative error below 2e-7 on [-87, 88]; smaller arguments give 0, larger
/// are clamped to 88.
float exp_f32(float x);

}  // namespace planeloom::ref
