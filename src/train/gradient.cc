#include "train/gradient.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "kernels/rope.h"
#include "kernels/scratch.h"

namespace planeloom {
namespace {

/// Logits held at a time: 128 MiB of them, and as many of the reference.
constexpr int64_t kLogits = int64_t{1} << 25;

/// x (tokens, n) times a factor for each column.
void scale_columns(const Compute& compute, std::span<const float> factor, int64_t tokens,
                   float* x) {
  const auto n = static_cast<int64_t>(factor.size());
  compute.pool->parallel_for(tokens, 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t i = 0; i < n; ++i) x[t * n + i] *= factor[static_cast<size_t>(i)];
  });
}

void add_columns(std::span<const float> bias, int64_t tokens, float* x) {
  const size_t n = bias.size();
  for (int64_t t = 0; n && t < tokens; ++t, x += n)
    for (size_t i = 0; i < n; ++i) x[i] += bias[i];
}

/// (tokens, heads, dim) -> (heads, tokens, dim), or back.
void swap_heads(const float* from, int64_t outer, int64_t inner, int64_t dim, float* to) {
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i)
      std::copy_n(from + (o * inner + i) * dim, dim, to + (i * outer + o) * dim);
}

}  // namespace

Result<Gradient> Gradient::make(const Model& model, const Compute& compute, ActivationMode mode) {
  if (!known(model))
    return fail(
        "[gradient] {} has soft-capped attention or logits, whose backward pass is not here",
        model.config.architecture);
  return Gradient(model, compute, mode);
}

uint64_t Gradient::bytes(const Model& model, int64_t tokens) {
  const Config& c = model.config;
  const int64_t widest = std::max({c.width, c.q_width(), c.ffn}), q = c.q_width(),
                kv = c.kv_width(), tape = 4 * c.width + 3 * q + 4 * kv + 2 * c.ffn,
                passing = 5 * c.width + 2 * (q + kv) + c.ffn;
  // Beside those: a linear's share of dx, its inputs as panels, keys' and values' gradients by
  // head, logits, and a slice of turned weights.
  const int64_t per_token = c.layers * tape + passing + 2 * widest + 2 * q,
                logits = std::min(tokens, std::max<int64_t>(16, kLogits / model.vocab())) *
                         model.vocab();
  return static_cast<uint64_t>(tokens * per_token + logits + kBackwardSlice * widest) *
         sizeof(float);
}

void Gradient::reserve(int64_t tokens) {
  if (tokens == tokens_) return;
  tokens_ = tokens;
  const Config& c = model_.config;
  const auto size = [&](int64_t width) { return static_cast<size_t>(tokens * width); };
  tape_.resize(model_.layers.size());
  for (Tape& t : tape_) {
    for (auto* x : {&t.hidden, &t.attention, &t.middle, &t.down}) x->resize(size(c.width));
    for (auto* x : {&t.q_plain, &t.q, &t.mixed}) x->resize(size(c.q_width()));
    for (auto* x : {&t.k_plain, &t.v_plain, &t.keys, &t.values}) x->resize(size(c.kv_width()));
    for (auto* x : {&t.gate, &t.up}) x->resize(size(c.ffn));
  }
  for (auto* x : {&last_, &normed_, &d_, &d_normed_, &d_update_}) x->resize(size(c.width));
  for (auto* x : {&d_mixed_, &d_q_}) x->resize(size(c.q_width()));
  for (auto* x : {&d_k_, &d_v_}) x->resize(size(c.kv_width()));
  d_gate_.resize(size(c.ffn));
}

const float* Gradient::scaled_gain(int64_t layer, Norm norm, const Scalars& factors) {
  const std::vector<float>& gain = gain_of(model_.layers[static_cast<size_t>(layer)], norm);
  const std::span<const float> factor = factors.gains(layer, norm);
  gain_.resize(gain.size());
  for (size_t i = 0; i < gain.size(); ++i) gain_[i] = gain[i] * factor[i];
  return gain_.data();
}

void Gradient::norm(const float* x, const float* gain, int64_t rows, int64_t n, float* out) const {
  compute_.pool->parallel_for(rows, 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r)
      compute_.kernels->rms_norm(x + r * n, gain, model_.config.norm_eps, n, out + r * n);
  });
}

void Gradient::norm_back(int64_t layer, Norm norm, const float* x, int64_t rows, int64_t n,
                         const Scalars& factors, const float* dy, bool add, float* dx,
                         Scalars& gradient) {
  const float* gain = scaled_gain(layer, norm, factors);
  d_gain_.assign(static_cast<size_t>(n), 0.0f);
  norm_backward(compute_, x, gain, model_.config.norm_eps, rows, n, dy, add, backward_, dx,
                d_gain_.data());
  const std::vector<float>& plain = gain_of(model_.layers[static_cast<size_t>(layer)], norm);
  const std::span<float> to = gradient.gains(layer, norm);
  for (size_t i = 0; i < to.size(); ++i) to[i] += d_gain_[i] * plain[i];
}

void Gradient::project(int64_t layer, Linear linear_, const Scalars& factors,
                       std::vector<float>& out) {
  const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear_);
  linear(compute_, w, {}, input_, mode_, scratch_, out.data(), w.rows);
  scale_columns(compute_, factors.rows(layer, linear_), tokens_, out.data());
}

void Gradient::project_backward(int64_t layer, Linear linear, const Scalars& factors,
                                const float* out, float* d, bool add, float* dx,
                                Scalars& gradient) {
  const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear);
  if (hook_) (*hook_)(layer, linear, {d, tokens_, w.rows});
  const std::span<const float> factor = factors.rows(layer, linear);
  const std::span<float> to = gradient.rows(layer, linear);
  compute_.pool->parallel_for(w.rows, 64, [&](int64_t begin, int64_t end, int) {
    float sum[64] = {};
    for (int64_t t = 0; t < tokens_; ++t)
      for (int64_t r = begin; r < end; ++r)
        sum[r - begin] += d[t * w.rows + r] * out[t * w.rows + r];
    for (int64_t r = begin; r < end; ++r) {
      const auto i = static_cast<size_t>(r);
      if (factor[i] != 0) to[i] += sum[r - begin] / factor[i];
    }
  });
  scale_columns(compute_, factor, tokens_, d);
  linear_backward(compute_, w, d, tokens_, add, backward_, dx);
}

void Gradient::turn(int64_t layer, int64_t heads, bool back, float* x) const {
  const Config& c = model_.config;
  const RopeTable& rope = c.local[static_cast<size_t>(layer)] ? c.rope_local : c.rope;
  const auto half = static_cast<int64_t>(rope.frequency.size());
  compute_.pool->parallel_for(tokens_, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> cosine(static_cast<size_t>(half)), sine(static_cast<size_t>(half));
    for (int64_t t = begin; t < end; ++t) {
      rope_angles(rope, t, cosine.data(), sine.data());
      if (back)  // the transposed turn
        for (float& s : sine) s = -s;
      for (int64_t h = 0; h < heads; ++h)
        rope_rotate(x + (t * heads + h) * c.head_dim, cosine.data(), sine.data(), half,
                    c.rope_pairs);
    }
  });
}

AttentionShape Gradient::shape(int64_t layer) const {
  const Config& c = model_.config;
  return {c.heads,           c.kv_heads, c.head_dim,
          c.attention_scale, 0,          c.local[static_cast<size_t>(layer)] ? c.window : 0};
}

void Gradient::attention_forward(int64_t layer, const Scalars& factors) {
  const Config& c = model_.config;
  const LayerWeights& w = model_.layers[static_cast<size_t>(layer)];
  Tape& tape = tape_[static_cast<size_t>(layer)];
  norm(tape.hidden.data(), scaled_gain(layer, Norm::kAttention, factors), tokens_, c.width,
       normed_.data());
  input_.set(normed_.data(), c.width, tokens_, c.width);
  project(layer, Linear::kQ, factors, tape.q_plain);
  project(layer, Linear::kK, factors, tape.k_plain);
  project(layer, Linear::kV, factors, tape.v_plain);
  std::vector<float>&k = d_k_, &v = d_v_;  // free until the backward pass
  tape.q = tape.q_plain;
  k = tape.k_plain;
  v = tape.v_plain;
  add_columns(w.q_bias, tokens_, tape.q.data());
  add_columns(w.k_bias, tokens_, k.data());
  add_columns(w.v_bias, tokens_, v.data());
  if (c.qk_norm) {
    norm(tape.q.data(), scaled_gain(layer, Norm::kQ, factors), tokens_ * c.heads, c.head_dim,
         tape.q.data());
    norm(k.data(), scaled_gain(layer, Norm::kK, factors), tokens_ * c.kv_heads, c.head_dim,
         k.data());
  }
  turn(layer, c.heads, false, tape.q.data());
  turn(layer, c.kv_heads, false, k.data());
  swap_heads(k.data(), tokens_, c.kv_heads, c.head_dim, tape.keys.data());
  swap_heads(v.data(), tokens_, c.kv_heads, c.head_dim, tape.values.data());
  const CacheView cache{std::as_bytes(std::span(tape.keys)).data(),
                        std::as_bytes(std::span(tape.values)).data(), DType::kF32, tokens_};
  attention(compute_, shape(layer), cache, tape.q.data(), tokens_, 0, attention_scratch_, nullptr,
            tape.mixed.data());
  input_.set(tape.mixed.data(), c.q_width(), tokens_, c.q_width());
  project(layer, Linear::kO, factors, tape.attention);
}

void Gradient::forward(int64_t layer, const Scalars& factors, float* next) {
  const Config& c = model_.config;
  Tape& tape = tape_[static_cast<size_t>(layer)];
  const auto add = [&](const float* x, const std::vector<float>& update, Norm post, float* out) {
    const float* u = update.data();
    if (c.post_norms) {
      norm(u, scaled_gain(layer, post, factors), tokens_, c.width, d_update_.data());
      u = d_update_.data();
    }
    for (int64_t i = 0; i < tokens_ * c.width; ++i) out[i] = x[i] + u[i];
  };
  attention_forward(layer, factors);
  add(tape.hidden.data(), tape.attention, Norm::kPostAttention, tape.middle.data());
  norm(tape.middle.data(), scaled_gain(layer, Norm::kFfn, factors), tokens_, c.width,
       normed_.data());
  input_.set(normed_.data(), c.width, tokens_, c.width);
  project(layer, Linear::kGate, factors, tape.gate);
  project(layer, Linear::kUp, factors, tape.up);
  d_gate_ = tape.gate;
  const auto gated =
      c.gate == Gate::kSilu ? compute_.kernels->silu_mul : compute_.kernels->gelu_mul;
  compute_.pool->parallel_for(tokens_, 4, [&](int64_t begin, int64_t end, int) {
    gated(d_gate_.data() + begin * c.ffn, tape.up.data() + begin * c.ffn, (end - begin) * c.ffn);
  });
  input_.set(d_gate_.data(), c.ffn, tokens_, c.ffn);
  project(layer, Linear::kDown, factors, tape.down);
  add(tape.middle.data(), tape.down, Norm::kPostFfn, next);
}

void Gradient::ffn_backward(int64_t layer, const Scalars& factors, Scalars& gradient) {
  const Config& c = model_.config;
  Tape& tape = tape_[static_cast<size_t>(layer)];
  d_update_ = d_;
  if (c.post_norms)
    norm_back(layer, Norm::kPostFfn, tape.down.data(), tokens_, c.width, factors, d_.data(), false,
              d_update_.data(), gradient);
  project_backward(layer, Linear::kDown, factors, tape.down.data(), d_update_.data(), false,
                   d_gate_.data(), gradient);
  // The outputs of gate and up are still needed for their factors: gate_backward works on a copy.
  std::vector<float> d_gate = tape.gate;
  gate_backward(compute_, c.gate == Gate::kSilu, tokens_ * c.ffn, d_gate.data(), tape.up.data(),
                d_gate_.data());
  project_backward(layer, Linear::kGate, factors, tape.gate.data(), d_gate.data(), false,
                   d_normed_.data(), gradient);
  project_backward(layer, Linear::kUp, factors, tape.up.data(), d_gate_.data(), true,
                   d_normed_.data(), gradient);
  norm_back(layer, Norm::kFfn, tape.middle.data(), tokens_, c.width, factors, d_normed_.data(),
            true, d_.data(), gradient);
}

void Gradient::attention_half_backward(int64_t layer, const Scalars& factors, Scalars& gradient) {
  const Config& c = model_.config;
  const LayerWeights& w = model_.layers[static_cast<size_t>(layer)];
  Tape& tape = tape_[static_cast<size_t>(layer)];
  d_update_ = d_;
  if (c.post_norms)
    norm_back(layer, Norm::kPostAttention, tape.attention.data(), tokens_, c.width, factors,
              d_.data(), false, d_update_.data(), gradient);
  project_backward(layer, Linear::kO, factors, tape.attention.data(), d_update_.data(), false,
                   d_mixed_.data(), gradient);
  // The gradients of keys and values come head by head, into what the tape no longer needs.
  std::vector<float>&dk = d_k_, &dv = d_v_;
  attention_backward(compute_, shape(layer), tape.q.data(), tape.keys.data(), tape.values.data(),
                     tape.mixed.data(), d_mixed_.data(), tokens_, backward_, d_q_.data(), dk.data(),
                     dv.data());
  swap_heads(dk.data(), c.kv_heads, tokens_, c.head_dim, tape.keys.data());
  swap_heads(dv.data(), c.kv_heads, tokens_, c.head_dim, tape.values.data());
  dk.swap(tape.keys);
  dv.swap(tape.values);
  turn(layer, c.heads, true, d_q_.data());
  turn(layer, c.kv_heads, true, dk.data());
  if (c.qk_norm) {
    std::vector<float>& biased = tape.q;
    biased = tape.q_plain;
    add_columns(w.q_bias, tokens_, biased.data());
    norm_back(layer, Norm::kQ, biased.data(), tokens_ * c.heads, c.head_dim, factors, d_q_.data(),
              false, d_q_.data(), gradient);
    biased = tape.k_plain;
    add_columns(w.k_bias, tokens_, biased.data());
    norm_back(layer, Norm::kK, biased.data(), tokens_ * c.kv_heads, c.head_dim, factors, dk.data(),
              false, dk.data(), gradient);
  }
  project_backward(layer, Linear::kQ, factors, tape.q_plain.data(), d_q_.data(), false,
                   d_normed_.data(), gradient);
  project_backward(layer, Linear::kK, factors, tape.k_plain.data(), dk.data(), true,
                   d_normed_.data(), gradient);
  project_backward(layer, Linear::kV, factors, tape.v_plain.data(), dv.data(), true,
                   d_normed_.data(), gradient);
  norm_back(layer, Norm::kAttention, tape.hidden.data(), tokens_, c.width, factors,
            d_normed_.data(), true, d_.data(), gradient);
}

void Gradient::backward(int64_t layer, const Scalars& factors, Scalars& gradient) {
  ffn_backward(layer, factors, gradient);
  attention_half_backward(layer, factors, gradient);
}

/// logits_ become their gradient, (softmax(logits) - softmax(reference)) weight / tokens. Returns
/// the rows' summed KL.
double Gradient::head_rows(int64_t rows, const float* reference, float weight) {
  const int64_t vocab = model_.vocab();
  const float scale = weight / static_cast<float>(tokens_);
  std::vector<double> kl(static_cast<size_t>(rows));
  compute_.pool->parallel_for(rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> p, q;
    for (int64_t r = begin; r < end; ++r) {
      float* own = logits_.data() + r * vocab;
      const float* wanted = reference + r * vocab;
      p.assign(wanted, wanted + vocab);
      q.assign(own, own + vocab);
      float top_p = 0, top_q = 0;
      const float sum_p = compute_.kernels->exp_sum(p.data(), vocab, &top_p),
                  sum_q = compute_.kernels->exp_sum(q.data(), vocab, &top_q);
      double sum = 0;
      for (int64_t i = 0; i < vocab; ++i) {
        const auto k = static_cast<size_t>(i);
        sum += static_cast<double>(p[k]) * (static_cast<double>(wanted[i]) - own[i]);
        own[i] = (q[k] / sum_q - p[k] / sum_p) * scale;
      }
      kl[static_cast<size_t>(r)] = sum / sum_p + (top_q + std::log(static_cast<double>(sum_q))) -
                                   (top_p + std::log(static_cast<double>(sum_p)));
    }
  });
  double total = 0;
  for (const double x : kl) total += x;
  return total;
}

/// logits_ become softmax(logits) less the token that is drawn from it.
void Gradient::draw_rows(int64_t first, int64_t rows, uint64_t seed) {
  const int64_t vocab = model_.vocab();
  compute_.pool->parallel_for(rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      float* own = logits_.data() + r * vocab;
      float top = 0;
      const float sum = compute_.kernels->exp_sum(own, vocab, &top);
      Rng rng(seed + static_cast<uint64_t>(first + r));
      double left = rng.uniform() * static_cast<double>(sum);
      int64_t drawn = 0;
      while (drawn + 1 < vocab && (left -= static_cast<double>(own[drawn])) >= 0) ++drawn;
      for (int64_t i = 0; i < vocab; ++i) own[i] /= sum;
      own[drawn] -= 1;
    }
  });
}

/// Without a `gradient` the divergence alone.
double Gradient::head(const Scalars& factors, Loss loss, Scalars* gradient) {
  const int64_t width = model_.config.width, vocab = model_.vocab();
  const int64_t at_once = std::clamp<int64_t>(kLogits / vocab, 16, tokens_);
  const std::span<const float> factor = factors.output_gains();
  std::vector<float> gain(model_.output_norm);
  for (size_t i = 0; i < gain.size(); ++i) gain[i] *= factor[i];
  norm(last_.data(), gain.data(), tokens_, width, normed_.data());
  double total = 0;
  for (int64_t first = 0; first < tokens_; first += at_once) {
    const int64_t rows = std::min(at_once, tokens_ - first);
    at_least(logits_, rows * vocab);
    input_.set(normed_.data() + first * width, width, rows, width);
    linear(compute_, model_.head, {}, input_, mode_, scratch_, logits_.data(), vocab);
    total += loss(first, rows);
    if (gradient)
      linear_backward(compute_, model_.head, logits_.data(), rows, false, backward_,
                      d_normed_.data() + first * width);
  }
  if (!gradient) return total / static_cast<double>(tokens_);
  d_gain_.assign(static_cast<size_t>(width), 0.0f);
  norm_backward(compute_, last_.data(), gain.data(), model_.config.norm_eps, tokens_, width,
                d_normed_.data(), false, backward_, d_.data(), d_gain_.data());
  const std::span<float> to = gradient->output_gains();
  for (size_t i = 0; i < to.size(); ++i) to[i] += d_gain_[i] * model_.output_norm[i];
  return total / static_cast<double>(tokens_);
}

void Gradient::forward_all(std::span<const int32_t> tokens, const Scalars& factors) {
  reserve(static_cast<int64_t>(tokens.size()));
  const int64_t layers = model_.config.layers, width = model_.config.width;
  for (int64_t t = 0; t < tokens_; ++t)
    embed_token(model_, *compute_.kernels, tokens[static_cast<size_t>(t)],
                tape_[0].hidden.data() + t * width);
  for (int64_t l = 0; l < layers; ++l)
    forward(l, factors,
            l + 1 < layers ? tape_[static_cast<size_t>(l + 1)].hidden.data() : last_.data());
}

double Gradient::add(std::span<const int32_t> tokens, const Scalars& factors, Reference reference,
                     float weight, Scalars& gradient) {
  forward_all(tokens, factors);
  const auto loss = [&](int64_t first, int64_t rows) {
    return head_rows(rows, reference(first, rows), weight);
  };
  const double kl = head(factors, loss, &gradient);
  for (int64_t l = model_.config.layers; l-- > 0;) backward(l, factors, gradient);
  return kl;
}

void Gradient::fisher(std::span<const int32_t> tokens, uint64_t seed, OutputHook hook,
                      Scalars& gradient) {
  const Scalars ones(model_, 1.0f);
  forward_all(tokens, ones);
  const auto drawn = [&](int64_t first, int64_t rows) {
    draw_rows(first, rows, seed);
    return 0.0;
  };
  head(ones, drawn, &gradient);
  hook_ = &hook;
  for (int64_t l = model_.config.layers; l-- > 0;) backward(l, ones, gradient);
  hook_ = nullptr;
}

double Gradient::loss(std::span<const int32_t> tokens, const Scalars& factors,
                      Reference reference) {
  forward_all(tokens, factors);
  return head(
      factors,
      [&](int64_t first, int64_t rows) { return head_rows(rows, reference(first, rows), 0); },
      nullptr);
}

}  // namespace planeloom
