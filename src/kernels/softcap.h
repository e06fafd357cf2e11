#pragma once
#include <cmath>
#include <cstdint>

namespace planeloom {

/// x[i] = cap * tanh(x[i] / cap), of scores or logits; a cap of 0 is none.
inline void softcap(float cap, float* x, int64_t n) {
  if (cap <= 0) return;
  for (int64_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

}  // namespace planeloom
