#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "kernels/linear.h"
#include "models/model.h"
#include "models/profile.h"

namespace planeloom {

struct SessionOptions {
  int64_t context = 0;  // positions of the cache; 0: the model's trained length, at most 4096
  ActivationMode activations = ActivationMode::kInt8;
  DType cache = DType::kF16;  // of keys and values: F16, F32 or Q8_0
};

/// One sequence being read or written: its cache, its position, and the scratch of a forward pass.
class Session {
 public:
  /// The model must outlive the session; its weights may be replaced between passes (compress/
  /// does).
  static Result<std::unique_ptr<Session>> create(const Model& model, Compute compute,
                                                 const SessionOptions& options);

  /// Receives logits of `n` consecutive tokens, the first of which is token `first` of the call.
  /// (n, vocab).
  using LogitsSink = FunctionRef<void(int64_t first, int64_t n, const float* logits)>;

  /// Reads tokens at positions position().. and hands the logits of tokens from `logits_from` on to
  /// the sink. Fails when a token is outside the vocabulary or the context is full; nothing is kept
  /// then. When a hook stops the pass it succeeds without (further) logits, and nothing is kept
  /// either.
  Status forward(std::span<const int32_t> tokens, int64_t logits_from, LogitsSink sink);
  /// The same, returning the last token's logits: (vocab), valid until the next call. An error when
  /// a hook stopped it.
  Result<std::span<const float>> decode(std::span<const int32_t> tokens);

  const Model& model() const { return model_; }
  int64_t position() const { return position_; }
  int64_t context() const { return context_; }
  /// Forgets everything from `position` on.
  void truncate(int64_t position) {
    position_ = std::max<int64_t>(0, std::min(position_, position));
  }
  /// Goes on at `position`, at most context(), as if tokens had been read; what the cache holds
  /// there stays, at first zeros. For measuring what a long context costs without reading it.
  void skip_to(int64_t position) { position_ = std::max(position_, std::min(position, context_)); }
  /// Listener for the next passes; null for none. Not owned.
  void set_hooks(Hooks* hooks) { hooks_ = hooks; }
  /// Where the next passes add their time, by operation; null for nowhere. Not owned.
  void set_profile(Profile* profile) { profile_ = profile; }

  // One step at a time, for layer-wise calibration. hidden: (tokens, width), changed in place.
  Status embed(std::span<const int32_t> tokens, float* hidden);
  /// Runs one block, or its attention half and then its feed-forward half, on tokens at positions
  /// past.. ; false when a hook stopped it: hidden is then as the half that was stopped found it.
  bool run_layer(int64_t layer, float* hidden, int64_t tokens, int64_t past);
  bool run_attention(int64_t layer, float* hidden, int64_t tokens, int64_t past);
  bool run_ffn(int64_t layer, float* hidden, int64_t tokens);
  /// Final norm and head of `tokens` rows of hidden. logits: (tokens, vocab). False when a hook
  /// stopped it.
  bool logits(const float* hidden, int64_t tokens, float* out);
  /// The final norm alone. out: (tokens, width).
  void head_input(const float* hidden, int64_t tokens, float* out) {
    norm_rows(hidden, model_.output_norm, tokens, out);
  }

 private:
  Session(const Model& model, Compute compute, const SessionOptions& options);
  void reserve(int64_t tokens);
  bool project(int64_t layer, Linear linear, std::span<const float> bias, LinearInput& input,
               float* out);
  void gate_rows(int64_t tokens);
  void norm_rows(const float* x, std::span<const float> gain, int64_t rows, float* out);
  void rotate_and_store(int64_t layer, int64_t tokens, int64_t past);
  CacheView cache_view(int64_t layer) const;

  const Model& model_;
  Compute compute_;
  ActivationMode mode_;
  DType cache_type_;
  int64_t context_ = 0, position_ = 0;
  Hooks* hooks_ = nullptr;
  Profile* profile_ = nullptr;

  std::vector<std::byte> keys_, values_;  // (layers, kv_heads, context, head_dim)
  int64_t reserved_ = 0;                  // tokens that the buffers below hold
  std::vector<float> hidden_;             // (tokens, width)
  std::vector<float> normed_;             // (tokens, width)
  std::vector<float> q_, mixed_;          // (tokens, heads * head_dim)
  std::vector<float> k_, v_;              // (tokens, kv_heads * head_dim)
  std::vector<float> update_;         // (tokens, width): what a half adds to the residual stream
  std::vector<float> gate_, up_;      // (tokens, ffn)
  std::vector<float> cosine_, sine_;  // (tokens, rotary / 2) of the layer's kind
  std::vector<float> logits_;         // (kLogitRows, vocab)
  LinearInput input_;
  LinearScratch scratch_;
  AttentionScratch attention_scratch_;
};

/// Bytes of keys and values at a context length.
int64_t cache_bytes(const Config& config, int64_t context, DType type);

}  // namespace planeloom
