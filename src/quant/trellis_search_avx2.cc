#define PL_LANES_NAMESPACE avx2
#define PL_LANES_TARGET __attribute__((target("avx2")))
#define PL_LANES_WIDTH 8
#include "quant/trellis_search.inc"
