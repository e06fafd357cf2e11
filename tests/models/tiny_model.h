// Tiny random models that need no file: the weights come from a formula, the same in
// tools/make_golden.py.
//
// Element i of tensor NAME is draw i of Rng(fnv1a(NAME)), its upper 24 bits mapped to [-1, 1) and
// scaled:
//   matrices  2 / sqrt(cols)    token_embd.weight  1    norm gains  1 + 0.1 u    biases  0.5 u
// Llama's q and k rows are permuted as GGUF stores them and Gemma's gains have their +1, unless
// `hugging_face`.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "codecs/encode_simple.h"
#include "codecs/planes.h"
#include "formats/model_file.h"
#include "tensor/half.h"

namespace planeloom {

struct TinyOptions {
  std::string architecture = "llama";  // llama, qwen2, qwen3, gemma3
  int64_t vocab = 48, width = 64, heads = 4, kv_heads = 2, head_dim = 16, ffn = 96, layers = 2;
  int64_t context = 256;
  bool tied = false;            // no output.weight
  bool hugging_face = false;    // rows and gains as a Hugging Face folder has them
  std::string storage = "F32";  // of the blocks' matrices: F32, F16, BF16, Q8_0, Q4_0, "bitplane
                                // ...", "tritplane ..."
  std::string embedding =
      "F32";  // of token_embd.weight and output.weight: a GGUF type of that list
  std::vector<std::pair<std::string, MetaValue>> metadata;  // set last: adds and overrides keys
};

/// A model in memory that tests may change before they load it. Spans point into its own buffers.
class TinyModel : public ModelFile {
 public:
  TinyModel() = default;
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;

  void set(std::string key, MetaValue value) { metadata_.set(std::move(key), std::move(value)); }
  void remove(const std::string& name);
  /// Replaces a tensor of the same name. The bytes need not fit the shape: hostile tests count on
  /// it.
  void add(const std::string& name, DType type, std::vector<int64_t> dims,
           std::vector<std::byte> bytes);
  void add_floats(const std::string& name, std::vector<int64_t> dims,
                  const std::vector<float>& values);
  /// A matrix of (rows, cols) in the named codec: one tensor, or the pair of a Planeloom plane
  /// format.
  void add_matrix(const std::string& name, const std::string& codec, int64_t rows, int64_t cols,
                  const std::vector<float>& values);

 private:
  std::deque<std::vector<std::byte>> buffers_;
};

/// `count` draws in [-1, 1) for the tensor of this name.
inline std::vector<float> tiny_draws(const std::string& name, int64_t count) {
  Rng rng(fnv1a(std::as_bytes(std::span(name))));
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) v = static_cast<float>(rng.next() >> 40) * 0x1.0p-23f - 1.0f;
  return values;
}

inline void TinyModel::remove(const std::string& name) {
  std::erase_if(tensors_, [&](const StoredTensor& t) { return t.name == name; });
  index_.clear();
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

inline void TinyModel::add(const std::string& name, DType type, std::vector<int64_t> dims,
                           std::vector<std::byte> bytes) {
  remove(name);
  StoredTensor tensor;
  tensor.name = name;
  tensor.type = type;
  tensor.n_dims = static_cast<int>(dims.size());
  std::copy(dims.begin(), dims.end(), tensor.dims.begin());
  buffers_.push_back(std::move(bytes));
  tensor.data = buffers_.back();
  file_bytes_ += tensor.data.size();
  index_[name] = tensors_.size();
  tensors_.push_back(tensor);
}

inline void TinyModel::add_floats(const std::string& name, std::vector<int64_t> dims,
                                  const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  add(name, DType::kF32, std::move(dims), {bytes.begin(), bytes.end()});
}

// Plain encoders for tests: not good quantizers, only deterministic ones.

/// Blocks of 32: an fp16 scale, 16 bytes of two codes; value = scale * (code - 8).
inline std::vector<std::byte> tiny_q4_0(const std::vector<float>& values) {
  std::vector<std::byte> out;
  for (size_t begin = 0; begin < values.size(); begin += 32) {
    float top = 0;
    for (size_t i = begin; i < begin + 32; ++i) top = std::max(top, std::fabs(values[i]));
    const uint16_t half = float_to_half(top / 7);
    const float scale = half_to_float(half);
    const auto code = [&](size_t i) {
      const float q = scale > 0 ? std::nearbyint(values[i] / scale) : 0.0f;
      return static_cast<unsigned>(std::clamp(q, -8.0f, 7.0f) + 8.0f);
    };
    out.push_back(static_cast<std::byte>(half & 255));
    out.push_back(static_cast<std::byte>(half >> 8));
    for (size_t j = begin; j < begin + 16; ++j)
      out.push_back(static_cast<std::byte>(code(j) | code(j + 16) << 4));
  }
  return out;
}

/// Evenly spaced levels between a group's extremes.
inline Result<EncodedMatrix> tiny_bitplane(CodecLayout layout, int64_t rows, int64_t cols,
                                           const std::vector<float>& values) {
  const auto group = static_cast<size_t>(layout.group);
  const float levels = static_cast<float>((1 << layout.planes) - 1);
  std::vector<uint8_t> codes;
  std::vector<uint16_t> coef;
  for (size_t begin = 0; begin < values.size(); begin += group) {
    const auto [low, high] =
        std::minmax_element(values.begin() + static_cast<std::ptrdiff_t>(begin),
                            values.begin() + static_cast<std::ptrdiff_t>(begin + group));
    const float step = std::max((*high - *low) / levels, 1e-6f), bias = *low;
    for (int p = 0; p < layout.planes; ++p)
      coef.push_back(float_to_half(step * static_cast<float>(1 << p)));
    coef.push_back(float_to_half(bias));
    for (size_t i = begin; i < begin + group; ++i)
      codes.push_back(static_cast<uint8_t>(
          std::clamp(std::nearbyint((values[i] - bias) / step), 0.0f, levels)));
  }
  return encode_bitplane(layout.planes, layout.group, rows, cols, codes, coef);
}

/// Two fixed steps, 0.6 and 0.2 of a group's largest value; each plane rounds what is left.
inline Result<EncodedMatrix> tiny_tritplane(CodecLayout layout, int64_t rows, int64_t cols,
                                            const std::vector<float>& values) {
  const auto group = static_cast<size_t>(layout.group);
  std::vector<uint8_t> codes;
  std::vector<uint16_t> coef;
  for (size_t begin = 0; begin < values.size(); begin += group) {
    float top = 1e-3f;
    for (size_t i = begin; i < begin + group; ++i) top = std::max(top, std::fabs(values[i]));
    const float a = 0.6f * top, b = 0.2f * top;
    coef.push_back(float_to_half(a));
    coef.push_back(float_to_half(b));
    for (size_t i = begin; i < begin + group; ++i) {
      const float t = std::clamp(std::nearbyint(values[i] / a), -1.0f, 1.0f);
      const float u = std::clamp(std::nearbyint((values[i] - t * a) / b), -1.0f, 1.0f);
      codes.push_back(static_cast<uint8_t>(t + 1 + 3 * (u + 1)));
    }
  }
  return encode_tritplane(layout.group, rows, cols, codes, coef);
}

inline void TinyModel::add_matrix(const std::string& name, const std::string& codec_name,
                                  int64_t rows, int64_t cols, const std::vector<float>& values) {
  const auto codec = codec_by_name(codec_name);
  ASSERT_TRUE(codec) << codec.error().message;
  const CodecLayout layout = (*codec)->layout();
  if (layout.kind == CodecLayout::Kind::kGguf) {
    std::vector<std::byte> bytes(static_cast<size_t>(rows * (*codec)->code_bytes(cols)));
    if (layout.type == DType::kQ4_0)
      bytes = tiny_q4_0(values);
    else
      ASSERT_TRUE(encode_simple(layout.type, values, bytes)) << name;
    add(name, layout.type, {cols, rows}, std::move(bytes));
    return;
  }
  auto w = layout.kind == CodecLayout::Kind::kBitplane ? tiny_bitplane(layout, rows, cols, values)
                                                       : tiny_tritplane(layout, rows, cols, values);
  ASSERT_TRUE(w) << w.error().message;
  const auto size = [](const std::vector<std::byte>& v) { return static_cast<int64_t>(v.size()); };
  add(name + ".planes", DType::kI8, {size(w->codes)}, w->codes);
  add(name + ".coef", DType::kI8, {size(w->coef)}, w->coef);
  set("planeloom.layout", int64_t{3});
  set("planeloom.codec." + name, codec_name);
  set("planeloom.shape." + name, std::vector<int64_t>{rows, cols});
}

/// Row (head, half, i) of a Hugging Face q or k becomes row (head, i, half) of a GGUF.
inline std::vector<float> tiny_permute(const std::vector<float>& values, int64_t head_dim,
                                       int64_t cols) {
  std::vector<float> out(values.size());
  const int64_t rows = static_cast<int64_t>(values.size()) / cols, half = head_dim / 2;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t d = r % head_dim, to = r - d + 2 * (d % half) + d / half;
    std::copy_n(values.begin() + r * cols, cols, out.begin() + to * cols);
  }
  return out;
}

/// Fills a TinyModel from TinyOptions.
class TinyBuilder {
 public:
  explicit TinyBuilder(const TinyOptions& options)
      : o_(options), model_(std::make_shared<TinyModel>()) {}

  std::shared_ptr<TinyModel> build() {
    metadata();
    matrix("token_embd.weight", o_.embedding, o_.vocab, o_.width);
    if (!o_.tied) matrix("output.weight", o_.embedding, o_.vocab, o_.width);
    gain("output_norm.weight", o_.width);
    for (int64_t layer = 0; layer < o_.layers; ++layer) block("blk." + std::to_string(layer) + ".");
    for (const auto& [key, value] : o_.metadata) model_->set(key, value);
    return model_;
  }

 private:
  bool is(const char* architecture) const { return o_.architecture == architecture; }
  void count(const char* name, int64_t value) {
    model_->set(o_.architecture + "." + name, static_cast<uint32_t>(value));
  }

  void metadata() {
    model_->set("general.architecture", o_.architecture);
    if (o_.hugging_face) model_->set("planeloom.source", std::string("huggingface"));
    count("block_count", o_.layers);
    count("context_length", o_.context);
    count("embedding_length", o_.width);
    count("feed_forward_length", o_.ffn);
    count("attention.head_count", o_.heads);
    count("attention.head_count_kv", o_.kv_heads);
    count("attention.key_length", o_.head_dim);
    count("attention.value_length", o_.head_dim);
    count("vocab_size", o_.vocab);
    model_->set(o_.architecture + ".rope.freq_base", 10000.0f);
    model_->set(o_.architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
  }

  void matrix(const std::string& name, const std::string& codec, int64_t rows, int64_t cols,
              bool permute = false) {
    std::vector<float> values = tiny_draws(name, rows * cols);
    const double scale =
        name == "token_embd.weight" ? 1.0 : 2.0 / std::sqrt(static_cast<double>(cols));
    for (float& v : values) v *= static_cast<float>(scale);
    if (permute) values = tiny_permute(values, o_.head_dim, cols);
    model_->add_matrix(name, codec, rows, cols, values);
  }

  void gain(const std::string& name, int64_t size) {
    std::vector<float> values = tiny_draws(name, size);
    const float one = is("gemma3") && o_.hugging_face ? 0.0f : 1.0f;
    for (float& v : values) v = one + 0.1f * v;
    model_->add_floats(name, {size}, values);
  }

  void bias(const std::string& name, int64_t size) {
    std::vector<float> values = tiny_draws(name, size);
    for (float& v : values) v *= 0.5f;
    model_->add_floats(name, {size}, values);
  }

  void block(const std::string& p) {
    const int64_t q = o_.heads * o_.head_dim, kv = o_.kv_heads * o_.head_dim;
    const bool permute = is("llama") && !o_.hugging_face;
    gain(p + "attn_norm.weight", o_.width);
    gain(p + "ffn_norm.weight", o_.width);
    if (is("gemma3")) gain(p + "post_attention_norm.weight", o_.width);
    if (is("gemma3")) gain(p + "post_ffw_norm.weight", o_.width);
    for (const char* name : {"attn_q_norm.weight", "attn_k_norm.weight"})
      if (is("gemma3") || is("qwen3")) gain(p + name, o_.head_dim);
    for (const auto& [name, size] :
         {std::pair{"attn_q.bias", q}, {"attn_k.bias", kv}, {"attn_v.bias", kv}})
      if (is("qwen2")) bias(p + name, size);
    matrix(p + "attn_q.weight", o_.storage, q, o_.width, permute);
    matrix(p + "attn_k.weight", o_.storage, kv, o_.width, permute);
    matrix(p + "attn_v.weight", o_.storage, kv, o_.width);
    matrix(p + "attn_output.weight", o_.storage, o_.width, q);
    matrix(p + "ffn_gate.weight", o_.storage, o_.ffn, o_.width);
    matrix(p + "ffn_up.weight", o_.storage, o_.ffn, o_.width);
    matrix(p + "ffn_down.weight", o_.storage, o_.width, o_.ffn);
  }

  const TinyOptions& o_;
  std::shared_ptr<TinyModel> model_;
};

/// The model of these options; may still be changed.
inline std::shared_ptr<TinyModel> make_tiny_model(const TinyOptions& options) {
  return TinyBuilder(options).build();
}

inline std::vector<int32_t> random_tokens(int64_t n, int64_t vocab) {
  Rng rng(7);
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab))));
  return tokens;
}

}  // namespace planeloom
