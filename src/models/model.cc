#include "models/model.h"

#include <fmt/format.h>

#include <charconv>

namespace planeloom {
namespace {

constexpr std::string_view kLinearNames[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                             "ffn_gate", "ffn_up", "ffn_down"};

/// A vector of exactly `size` floats with the family's offset added.
Result<std::vector<float>> gains(const ModelFile& file, const std::string& name, int64_t size,
                                 float offset) {
  PL_TRY(std::vector<float> values, file.vector(name));
  if (static_cast<int64_t>(values.size()) != size)
    return fail("[model] {}: {} elements, wanted {}", name, values.size(), size);
  for (float& value : values) value += offset;
  return values;
}

Result<LayerWeights> load_layer(const ModelFile& file, const Config& c, int64_t layer) {
  const std::string p = fmt::format("blk.{}.", layer);
  LayerWeights w;
  PL_TRY(w.attention_norm, gains(file, p + "attn_norm.weight", c.width, c.norm_offset));
  PL_TRY(w.ffn_norm, gains(file, p + "ffn_norm.weight", c.width, c.norm_offset));
  if (c.post_norms) {
    PL_TRY(w.post_attention_norm,
           gains(file, p + "post_attention_norm.weight", c.width, c.norm_offset));
    PL_TRY(w.post_ffn_norm, gains(file, p + "post_ffw_norm.weight", c.width, c.norm_offset));
  }
  if (c.qk_norm) {
    PL_TRY(w.q_norm, gains(file, p + "attn_q_norm.weight", c.head_dim, c.norm_offset));
    PL_TRY(w.k_norm, gains(file, p + "attn_k_norm.weight", c.head_dim, c.norm_offset));
  }
  if (c.qkv_bias) {
    PL_TRY(w.q_bias, gains(file, p + "attn_q.bias", c.q_width(), 0));
    PL_TRY(w.k_bias, gains(file, p + "attn_k.bias", c.kv_width(), 0));
    PL_TRY(w.v_bias, gains(file, p + "attn_v.bias", c.kv_width(), 0));
  }
  for (Linear linear : kBlockLinears) {
    const std::string name = linear_name(layer, linear);
    PL_TRY(w.at(linear), file.matrix(name));
    const LinearShape want = linear_shape(c, linear);
    if (w.at(linear).rows != want.rows || w.at(linear).cols != want.cols)
      return fail("[model] {}: shape {} x {}, wanted {} x {}", name, w.at(linear).rows,
                  w.at(linear).cols, want.rows, want.cols);
  }
  return w;
}

/// A layer that the configuration does not count would be left out in silence.
Status check_layer_count(const ModelFile& file, const Config& c) {
  for (const StoredTensor& t : file.tensors()) {
    int64_t layer = 0;
    const char* begin = t.name.data() + 4;
    if (!t.name.starts_with("blk.")) continue;
    const auto [end, error] = std::from_chars(begin, t.name.data() + t.name.size(), layer);
    if (error == std::errc() && layer >= c.layers)
      return fail("[model] {} is there, but the configuration counts {} layers", t.name, c.layers);
  }
  return {};
}

/// Llama 3 GGUF files carry their frequency scaling as a tensor of divisors.
Status apply_rope_factors(const ModelFile& file, Config& c) {
  if (!file.find("rope_freqs.weight")) return {};
  PL_TRY(const std::vector<float> factors, file.vector("rope_freqs.weight"));
  if (factors.size() != c.rope.frequency.size())
    return fail("[model] rope_freqs.weight: {} elements, wanted {}", factors.size(),
                c.rope.frequency.size());
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0))
      return fail("[model] rope_freqs.weight: factor {} is not positive", factors[i]);
    c.rope.frequency[i] /= factors[i];
  }
  return {};
}

}  // namespace

LinearShape linear_shape(const Config& c, Linear linear) {
  switch (linear) {
    case Linear::kQ:
      return {c.q_width(), c.width};
    case Linear::kK:
    case Linear::kV:
      return {c.kv_width(), c.width};
    case Linear::kO:
      return {c.width, c.q_width()};
    case Linear::kGate:
    case Linear::kUp:
      return {c.ffn, c.width};
    case Linear::kDown:
    case Linear::kHead:
      break;
  }
  return {c.width, c.ffn};
}

std::string linear_name(int64_t layer, Linear linear) {
  return fmt::format("blk.{}.{}.weight", layer, kLinearNames[static_cast<size_t>(linear)]);
}

Result<Model> load_model(const std::filesystem::path& path) {
  PL_TRY(auto file, ModelFile::open(path));
  return load_model(std::move(file));
}

Result<Model> load_model(std::shared_ptr<const ModelFile> file) {
  Model model;
  model.file = std::move(file);
  PL_TRY(model.config, read_config(model.file->metadata()));
  const Config& c = model.config;
  PL_CHECK(check_layer_count(*model.file, c));
  PL_CHECK(apply_rope_factors(*model.file, model.config));
  PL_TRY(model.embedding, model.file->matrix("token_embd.weight"));
  if (model.embedding.cols != c.width || model.embedding.rows < 1)
    return fail("[model] token_embd.weight: shape {} x {}, wanted vocabulary x {}",
                model.embedding.rows, model.embedding.cols, c.width);
  model.head = model.embedding;
  if (model.file->has_matrix("output.weight")) {
    PL_TRY(model.head, model.file->matrix("output.weight"));
    if (model.head.cols != c.width || model.head.rows != model.embedding.rows)
      return fail("[model] output.weight: shape {} x {}, wanted {} x {}", model.head.rows,
                  model.head.cols, model.embedding.rows, c.width);
  }
  PL_TRY(model.output_norm, gains(*model.file, "output_norm.weight", c.width, c.norm_offset));
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    PL_TRY(LayerWeights weights, load_layer(*model.file, c, layer));
    model.layers.push_back(std::move(weights));
  }
  return model;
}

LinearSize linear_size(const Model& model) {
  LinearSize size;
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      size.weights += w.rows * w.cols;
      size.bytes += static_cast<int64_t>(w.codes.size() + w.coef.size());
    }
  return size;
}

int64_t parameter_count(const Model& model) {
  int64_t count = linear_size(model).weights + model.embedding.rows * model.embedding.cols +
                  static_cast<int64_t>(model.output_norm.size());
  if (!model.tied()) count += model.head.rows * model.head.cols;
  for (const LayerWeights& w : model.layers)
    for (const auto* v : {&w.attention_norm, &w.ffn_norm, &w.post_attention_norm, &w.post_ffn_norm,
                          &w.q_norm, &w.k_norm, &w.q_bias, &w.k_bias, &w.v_bias})
      count += static_cast<int64_t>(v->size());
  return count;
}

int64_t bytes_per_token(const Model& model) {
  return linear_size(model).bytes +
         static_cast<int64_t>(model.head.codes.size() + model.head.coef.size());
}

}  // namespace planeloom
