#pragma once
#include <cstdint>

#include "kernels/attention.h"

namespace planeloom {

/// The linears of a block, in the order in which they run, and the output head.
enum class Linear { kQ, kK, kV, kO, kGate, kUp, kDown, kHead };
inline constexpr Linear kBlockLinears[] = {Linear::kQ,    Linear::kK,  Linear::kV,   Linear::kO,
                                           Linear::kGate, Linear::kUp, Linear::kDown};

/// A borrowed (rows, cols) matrix of floats.
struct Rows {
  const float* data;
  int64_t rows, cols;
};

/// The five events of a forward pass. Calibration, sinks, policies and probes listen; nobody
/// patches a model. A listener that is not set costs one branch per layer. Called from the thread
/// that runs the pass.
class Hooks {
 public:
  enum class Flow { kContinue, kStop };
  virtual ~Hooks() = default;
  virtual void after_embedding(Rows hidden) { (void)hidden; }
  /// x: what the linear is about to read. kStop ends the pass here: what follows is not computed.
  virtual Flow before_linear(int64_t layer, Linear linear, Rows x) {
    (void)layer, (void)linear, (void)x;
    return Flow::kContinue;
  }
  /// Attention probabilities of this layer go to the returned probe, if any.
  virtual AttentionProbe* attention(int64_t layer) {
    (void)layer;
    return nullptr;
  }
  virtual void after_block(int64_t layer, Rows hidden) { (void)layer, (void)hidden; }
  virtual void at_logits(Rows logits) { (void)logits; }
};

}  // namespace planeloom
