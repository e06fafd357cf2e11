#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// Put pack_panel and dot_panels (float_panels.cc) into a table.
void set_float_panels_avx2(Kernels& k);
void set_float_panels_avx512(Kernels& k);
void set_float_panels_neon(Kernels& k);

}  // namespace planeloom::simd
