#define PL_LANES_NAMESPACE avx512
#define PL_LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define PL_LANES_WIDTH 16
#include "quant/trellis_search.inc"
