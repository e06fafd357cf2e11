// How the distance of a quantized model from its original depends on the scalars that distillation
// may change: one forward and one backward pass over a window.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "models/model.h"
#include "train/backward.h"
#include "train/scalars.h"

namespace planeloom {

class Gradient {
 public:
  /// Whether the backward pass knows all that the model does: no soft-capped attention or logits.
  static bool known(const Model& model) {
    return model.config.attention_softcap <= 0 && model.config.final_softcap <= 0;
  }
  /// The model must outlive it. With kInt8 the forward pass rounds activations as serving does, and
  /// the backward pass takes the rounding for none ("straight through"). An error unless
  /// known().
  static Result<Gradient> make(const Model& model, const Compute& compute, ActivationMode mode);

  /// About how many bytes a pass over so many tokens takes.
  static uint64_t bytes(const Model& model, int64_t tokens);

  /// What the unquantized model says after `rows` tokens from `first` on: (rows, vocab), valid
  /// until the next call.
  using Reference = FunctionRef<const float*(int64_t first, int64_t rows)>;

  /// The mean over a window's tokens of KL(reference || model) in nats, the model's rows and gains
  /// being its own times `factors`. `weight` times its gradient by the factors is added to
  /// `gradient`. Tokens must be of the vocabulary.
  double add(std::span<const int32_t> tokens, const Scalars& factors, Reference reference,
             float weight, Scalars& gradient);
  /// Called with the loss's gradient by a linear's outputs, (tokens, rows).
  using OutputHook = FunctionRef<void(int64_t layer, Linear linear, Rows gradient)>;
  /// The gradients of -sum log p(t) by every linear's outputs, last layer first, t drawn from what
  /// the model itself says after each token: their second moments are the curvature of the
  /// divergence from the model as it is (Fisher information; Martens, arXiv 1412.1193, section 9).
  /// The gradient by the scalars is added to `gradient`. The same draws for the same seed.
  void fisher(std::span<const int32_t> tokens, uint64_t seed, OutputHook hook, Scalars& gradient);

  /// The divergence alone.
  double loss(std::span<const int32_t> tokens, const Scalars& factors, Reference reference);

 private:
  /// What the backward pass of a block needs of the forward pass.
  struct Tape {
    std::vector<float> hidden;            // (tokens, width): what the block reads
    std::vector<float> q_plain, k_plain;  // (tokens, outputs) of the linears, factors applied
    std::vector<float> v_plain;
    std::vector<float> q;             // (tokens, heads * head_dim): normed and turned
    std::vector<float> keys, values;  // (kv_heads, tokens, head_dim)
    std::vector<float> mixed;         // (tokens, heads * head_dim): what attention gives
    std::vector<float> attention;     // (tokens, width): the linear's output
    std::vector<float> middle;        // (tokens, width): what the feed-forward half reads
    std::vector<float> gate, up;      // (tokens, ffn)
    std::vector<float> down;          // (tokens, width): the linear's output
  };

  Gradient(const Model& model, const Compute& compute, ActivationMode mode)
      : model_(model), compute_(compute), mode_(mode) {}
  void reserve(int64_t tokens);
  void forward(int64_t layer, const Scalars& factors, float* next);
  void attention_forward(int64_t layer, const Scalars& factors);
  void backward(int64_t layer, const Scalars& factors, Scalars& gradient);
  void ffn_backward(int64_t layer, const Scalars& factors, Scalars& gradient);
  void attention_half_backward(int64_t layer, const Scalars& factors, Scalars& gradient);
  void forward_all(std::span<const int32_t> tokens, const Scalars& factors);
  /// Turns logits of rows first ... into their gradient; returns what is summed.
  using Loss = FunctionRef<double(int64_t first, int64_t rows)>;
  double head(const Scalars& factors, Loss loss, Scalars* gradient);
  void draw_rows(int64_t first, int64_t rows, uint64_t seed);
  double head_rows(int64_t rows, const float* reference, float weight);

  /// out (tokens, rows) = factor * (W x).
  void project(int64_t layer, Linear linear, const Scalars& factors, std::vector<float>& out);
  /// dx (+)= d W of a linear that gave `out`, and its factors' gradient. d is scaled by the
  /// factors.
  void project_backward(int64_t layer, Linear linear, const Scalars& factors, const float* out,
                        float* d, bool add, float* dx, Scalars& gradient);
  /// Gains times their factors.
  const float* scaled_gain(int64_t layer, Norm norm, const Scalars& factors);
  void norm(const float* x, const float* gain, int64_t rows, int64_t n, float* out) const;
  void norm_back(int64_t layer, Norm norm, const float* x, int64_t rows, int64_t n,
                 const Scalars& factors, const float* dy, bool add, float* dx, Scalars& gradient);
  /// Turns heads by their positions' angles, or back.
  void turn(int64_t layer, int64_t heads, bool back, float* x) const;
  AttentionShape shape(int64_t layer) const;

  const Model& model_;
  Compute compute_;
  ActivationMode mode_;
  int64_t tokens_ = 0;
  const OutputHook* hook_ = nullptr;
  std::vector<Tape> tape_;     // (layers)
  std::vector<float> last_;    // (tokens, width): what the final norm reads
  std::vector<float> normed_;  // (tokens, width)
  std::vector<float> gain_, d_gain_;
  std::vector<float> logits_;                              // (rows, vocab), then their gradient
  std::vector<float> d_, d_normed_, d_update_;             // (tokens, width)
  std::vector<float> d_mixed_, d_q_, d_k_, d_v_, d_gate_;  // of these names
  LinearInput input_;
  LinearScratch scratch_;
  AttentionScratch attention_scratch_;
  BackwardScratch backward_;
};

}  // namespace planeloom
