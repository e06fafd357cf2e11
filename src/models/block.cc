// One transformer block, on one screen each half. Numerics live in kernels/.
#include "codecs/encode_simple.h"
#include "models/session.h"

namespace planeloom {

bool Session::run_layer(int64_t layer, float* hidden, int64_t tokens, int64_t past) {
  return run_attention(layer, hidden, tokens, past) && run_ffn(layer, hidden, tokens);
}

bool Session::run_attention(int64_t layer, float* hidden, int64_t tokens, int64_t past) {
  reserve(tokens);
  const Config& c = model_.config;
  const LayerWeights& w = model_.layers[static_cast<size_t>(layer)];
  norm_rows(hidden, w.attention_norm, tokens, normed_.data());
  input_.set(normed_.data(), c.width, tokens, c.width);
  if (!project(layer, Linear::kQ, w.q_bias, input_, q_.data())) return false;
  if (!project(layer, Linear::kK, w.k_bias, input_, k_.data())) return false;
  if (!project(layer, Linear::kV, w.v_bias, input_, v_.data())) return false;
  if (c.qk_norm) norm_rows(q_.data(), w.q_norm, tokens * c.heads, q_.data());
  if (c.qk_norm) norm_rows(k_.data(), w.k_norm, tokens * c.kv_heads, k_.data());
  rotate_and_store(layer, tokens, past);
  const AttentionShape shape{
      c.heads,           c.kv_heads,          c.head_dim,
      c.attention_scale, c.attention_softcap, c.local[static_cast<size_t>(layer)] ? c.window : 0};
  {
    const Timed timed(profile_, Profile::kAttention);
    attention(compute_, shape, cache_view(layer), q_.data(), tokens, past, attention_scratch_,
              hooks_ ? hooks_->attention(layer) : nullptr, mixed_.data());
  }
  input_.set(mixed_.data(), c.q_width(), tokens, c.q_width());
  if (!project(layer, Linear::kO, {}, input_, update_.data())) return false;
  if (c.post_norms) norm_rows(update_.data(), w.post_attention_norm, tokens, update_.data());
  for (int64_t i = 0; i < tokens * c.width; ++i) hidden[i] += update_[i];
  return true;
}

bool Session::run_ffn(int64_t layer, float* hidden, int64_t tokens) {
  reserve(tokens);
  const Config& c = model_.config;
  const LayerWeights& w = model_.layers[static_cast<size_t>(layer)];
  norm_rows(hidden, w.ffn_norm, tokens, normed_.data());
  input_.set(normed_.data(), c.width, tokens, c.width);
  if (!project(layer, Linear::kGate, {}, input_, gate_.data())) return false;
  if (!project(layer, Linear::kUp, {}, input_, up_.data())) return false;
  gate_rows(tokens);
  input_.set(gate_.data(), c.ffn, tokens, c.ffn);
  if (!project(layer, Linear::kDown, {}, input_, update_.data())) return false;
  if (c.post_norms) norm_rows(update_.data(), w.post_ffn_norm, tokens, update_.data());
  for (int64_t i = 0; i < tokens * c.width; ++i) hidden[i] += update_[i];
  if (hooks_) hooks_->after_block(layer, {hidden, tokens, c.width});
  return true;
}

bool Session::project(int64_t layer, Linear which, std::span<const float> bias, LinearInput& input,
                      float* out) {
  if (hooks_ && hooks_->before_linear(layer, which, {input.x(), input.tokens(), input.cols()}) ==
                    Hooks::Flow::kStop)
    return false;
  const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(which);
  const Timed timed(profile_, which);
  linear(compute_, w, bias, input, mode_, scratch_, out, w.rows);
  return true;
}

/// gate_ = activation(gate_) * up_.
void Session::gate_rows(int64_t tokens) {
  const Timed timed(profile_, Profile::kGate);
  const int64_t ffn = model_.config.ffn;
  const bool silu = model_.config.gate == Gate::kSilu;
  const auto gated = silu ? compute_.kernels->silu_mul : compute_.kernels->gelu_mul;
  compute_.pool->parallel_for(tokens, 4, [&](int64_t begin, int64_t end, int) {
    gated(gate_.data() + begin * ffn, up_.data() + begin * ffn, (end - begin) * ffn);
  });
}

void Session::norm_rows(const float* x, std::span<const float> gain, int64_t rows, float* out) {
  const auto n = static_cast<int64_t>(gain.size());
  compute_.pool->parallel_for(rows, 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      compute_.kernels->rms_norm(x + r * n, gain.data(), model_.config.norm_eps, n, out + r * n);
  });
}

void Session::rotate_and_store(int64_t layer, int64_t tokens, int64_t past) {
  const Timed timed(profile_, Profile::kRope);
  const Config& c = model_.config;
  const RopeTable& rope = c.local[static_cast<size_t>(layer)] ? c.rope_local : c.rope;
  const auto half = static_cast<int64_t>(rope.frequency.size());
  const int64_t row_bytes = cache_row_bytes(cache_type_, c.head_dim),
                layer_base = layer * c.kv_heads * context_;
  const auto store = [&](const float* row, std::byte* to) {  // create() has checked that it fits
    (void)encode_simple(cache_type_, {row, static_cast<size_t>(c.head_dim)},
                        {to, static_cast<size_t>(row_bytes)});
  };
  compute_.pool->parallel_for(tokens, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float *cosine = cosine_.data() + t * half, *sine = sine_.data() + t * half;
      rope_angles(rope, past + t, cosine, sine);
      for (int64_t h = 0; h < c.heads; ++h)
        rope_rotate(q_.data() + (t * c.heads + h) * c.head_dim, cosine, sine, half, c.rope_pairs);
      for (int64_t h = 0; h < c.kv_heads; ++h) {
        float* key = k_.data() + (t * c.kv_heads + h) * c.head_dim;
        const float* value = v_.data() + (t * c.kv_heads + h) * c.head_dim;
        rope_rotate(key, cosine, sine, half, c.rope_pairs);
        const int64_t at = (layer_base + h * context_ + past + t) * row_bytes;
        store(key, keys_.data() + at);
        store(value, values_.data() + at);
      }
    }
  });
}

CacheView Session::cache_view(int64_t layer) const {
  const Config& c = model_.config;
  const int64_t at = layer * c.kv_heads * context_ * cache_row_bytes(cache_type_, c.head_dim);
  return {keys_.data() + at, values_.data() + at, cache_type_, context_};
}

}  // namespace planeloom
