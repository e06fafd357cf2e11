#define PL_LANES_NAMESPACE avx2
#define PL_LANES_TARGET __attribute__((target("avx2")))
#define PL_LANES_WIDTH 8
#define PL_LANES_TILE 4
#include "quant/lanes_kernels.inc"
