#pragma once
#include <cstdint>
#include <vector>

#include "kernels/compute.h"
#include "tensor/dtype.h"

namespace planeloom {

/// Bytes of one head's key or value at one position, stored as F32, F16 or Q8_0 (head_dim then a
/// multiple of 32); 0 for other types and sizes.
int64_t cache_row_bytes(DType type, int64_t head_dim);

/// Keys and values of one layer and one sequence. Layout (kv_heads, capacity, head_dim), so a
/// head's rows are adjacent.
struct CacheView {
  const std::byte* keys;
  const std::byte* values;
  DType type;
  int64_t capacity;  // positions allocated

  int64_t row_bytes(int64_t head_dim) const { return cache_row_bytes(type, head_dim); }
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  float scale;         // usually 1 / sqrt(head_dim)
  float softcap = 0;   // score = softcap * tanh(score / softcap); 0: none
  int64_t window = 0;  // a token sees the last `window` positions, itself included; 0: all
};

/// Query rows against some positions: a softmax that is not divided by its sum yet, so that such
/// parts can be added (rows of a tile: token by token, the heads of a group together).
struct AttentionPart {
  std::vector<float> top;  // (rows): the largest score
  std::vector<float> sum;  // (rows): of exp(score - top); 0: the row sees none of these positions
  std::vector<float> out;  // (rows, head_dim): sum of exp(score - top) times the value
};

/// Room that grows on first use.
struct AttentionScratch {
  struct Worker {
    std::vector<float> scores;  // (rows of a tile, positions of a block, or all for a probe)
    std::vector<float> block;   // (kBlock, head_dim): converted keys or values
    std::vector<float> query;   // (rows of a tile, head_dim)
    AttentionPart part, total;
  };
  std::vector<Worker> workers;
  std::vector<AttentionPart> parts;  // (kv heads, blocks) when one token's context is shared out
};

/// Scores of one layer as they are used, for hooks: row (token, head) -> probabilities of positions
/// [first, first + n).
struct AttentionProbe {
  virtual ~AttentionProbe() = default;
  /// Called from worker threads, in no fixed order.
  virtual void row(int64_t token, int64_t head, int64_t first, const float* probability,
                   int64_t n) = 0;
};

/// out[t] = concat_h softmax(scale q_h K^T) V for tokens at positions past .. past + tokens - 1,
/// whose own keys and values are already in the cache. q: (tokens, heads * head_dim); out: the same
/// shape. Causal; grouped queries share a key-value head. Positions are taken in blocks at fixed
/// places, whose parts are added in rising order (online softmax: Milakov and Gimelshein 2018), so
/// memory does not grow with the context and results do not depend on batch or threads: few tokens
/// are shared out over blocks, many over (kv head, tokens).
void attention(const Compute& compute, const AttentionShape& shape, const CacheView& cache,
               const float* q, int64_t tokens, int64_t past, AttentionScratch& scratch,
               AttentionProbe* probe, float* out);

}  // namespace planeloom
