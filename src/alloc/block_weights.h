// One layer as the measures of weights take it.
#pragma once
#include <cstdint>
#include <span>

#include "alloc/spectrum.h"

namespace planeloom {

/// A block's matrices, (outputs, inputs), with the gains of the norms before and after them.
struct BlockWeights {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  MatrixView q, k, v, o, gate, up, down;
  std::span<const float> attention_norm, ffn_norm;            // (width): of what q, k, v; gate, up
                                                              // read
  std::span<const float> post_attention_norm, post_ffn_norm;  // (width) or none: of what is written
  std::span<const float> q_norm, k_norm;                      // (head_dim) or none
  double attention_scale = 0;                                 // of logits
  bool gelu = false;                                          // the gate's activation; else silu
};

}  // namespace planeloom
