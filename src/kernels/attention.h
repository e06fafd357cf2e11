#pragma once
#include <cstdint>
#include <vector>

#include "kernels/compute.h"

namespace planeloom {

/// Element type of cached keys and values.
enum class CacheType { kF16, kF32 };

/// Keys and values of one layer and one sequence. Layout (kv_heads, capacity, head_dim), so a
/// head's rows are adjacent.
struct CacheView {
  const std::byte* keys;
  const std::byte* values;
  CacheType type;
  int64_t capacity;  // positions allocated
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  float scale;         // usually 1 / sqrt(head_dim)
  float softcap = 0;   // score = softcap * tanh(score / softcap); 0: none
  int64_t window = 0;  // a token sees the last `window` positions, itself included; 0: all
};

/// Room per worker for scores and one block of converted keys or values.
struct AttentionScratch {
  struct Worker {
    std::vector<float> scores;  // (query rows of a tile, positions)
    std::vector<float> block;   // (kBlock, head_dim)
    std::vector<float> query;   // (query rows of a tile, head_dim)
  };
  std::vector<Worker> workers;
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
/// shape. Causal; grouped queries share a key-value head. Cut into tiles by (kv head, tokens) only,
/// so results do not depend on batch or threads.
void attention(const Compute& compute, const AttentionShape& shape, const CacheView& cache,
               const float* q, int64_t tokens, int64_t past, AttentionScratch& scratch,
               AttentionProbe* probe, float* out);

}  // namespace planeloom
