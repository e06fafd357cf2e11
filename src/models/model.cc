#include "models/model.h"

#include <fmt/format.h>

#include <set>

#include "codecs/row_parts.h"
#include "formats/planes_pair.h"
#include "models/norms.h"

namespace planeloom {
namespace {

constexpr std::string_view kLinearNames[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                             "ffn_gate", "ffn_up", "ffn_down"};

/// Reads a model's tensors and remembers which.
class WeightReader {
 public:
  explicit WeightReader(const ModelFile& file) : file_(file) {}

  bool has(std::string_view name) const { return file_.has_matrix(name); }

  Result<PackedMatrix> matrix(const std::string& name, LinearShape want) {
    PL_TRY(PackedMatrix w, file_.matrix(name));
    if (w.parts)
      for (size_t i = 0; i < w.parts->size(); ++i) note_read(part_name(name, i));
    else
      note_read(name);
    if (w.rows != want.rows || w.cols != want.cols)
      return fail("[model] {}: shape {} x {}, wanted {} x {}", name, w.rows, w.cols, want.rows,
                  want.cols);
    return w;
  }

  /// A vector of exactly `size` floats with the family's offset added.
  Result<std::vector<float>> gains(const std::string& name, int64_t size, float offset) {
    read_.insert(name);
    PL_TRY(std::vector<float> values, file_.vector(name));
    if (static_cast<int64_t>(values.size()) != size)
      return fail("[model] {}: {} elements, wanted {}", name, values.size(), size);
    for (float& value : values) value += offset;
    return values;
  }

  /// A tensor that was not read would be left out of the computation in silence.
  Status check_all_read(const Config& c) const {
    for (const StoredTensor& t : file_.tensors()) {
      if (read_.contains(t.name)) continue;
      // Rotary frequencies that follow from the configuration; old converters wrote them.
      if (t.name.find(".attn_rot_embd") != std::string::npos) continue;
      return fail("[model] {} is there, but a {} model of {} layers has no use for it", t.name,
                  c.architecture, c.layers);
    }
    return {};
  }

 private:
  void note_read(const std::string& name) {
    if (file_.metadata().has(codec_key(name)))
      read_.insert({planes_name(name), coef_name(name)});
    else
      read_.insert(name);
  }

  const ModelFile& file_;
  std::set<std::string, std::less<>> read_;
};

Result<LayerWeights> load_layer(WeightReader& reader, const Config& c, int64_t layer) {
  const std::string p = fmt::format("blk.{}.", layer);
  LayerWeights w;
  for (const Norm norm : kBlockNorms)
    if (const int64_t count = gain_count(c, norm); count > 0) {
      PL_TRY(gain_of(w, norm), reader.gains(norm_name(layer, norm), count, c.norm_offset));
    }
  if (c.qkv_bias) {
    PL_TRY(w.q_bias, reader.gains(p + "attn_q.bias", c.q_width(), 0));
    PL_TRY(w.k_bias, reader.gains(p + "attn_k.bias", c.kv_width(), 0));
    PL_TRY(w.v_bias, reader.gains(p + "attn_v.bias", c.kv_width(), 0));
  }
  for (Linear linear : kBlockLinears) {
    PL_TRY(w.at(linear), reader.matrix(linear_name(layer, linear), linear_shape(c, linear)));
  }
  return w;
}

/// Llama 3 GGUF files carry their frequency scaling as a tensor of divisors.
Status apply_rope_factors(WeightReader& reader, Config& c) {
  const std::string name = "rope_freqs.weight";
  if (!reader.has(name)) return {};
  PL_TRY(const std::vector<float> factors,
         reader.gains(name, static_cast<int64_t>(c.rope.frequency.size()), 0));
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0)) return fail("[model] {}: factor {} is not positive", name, factors[i]);
    c.rope.frequency[i] /= factors[i];
  }
  return {};
}

/// Rows of the embedding: what the file says, which a configuration of its own must agree with.
Result<int64_t> vocabulary(const ModelFile& file) {
  PL_TRY(const PackedMatrix embedding, file.matrix("token_embd.weight"));
  if (!from_hugging_face(file.metadata())) return embedding.rows;
  PL_TRY(const std::string architecture, file.metadata().string("general.architecture"));
  return file.metadata().integer(architecture + ".vocab_size");
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
  WeightReader reader(*model.file);
  PL_CHECK(apply_rope_factors(reader, model.config));
  PL_TRY(const int64_t vocab, vocabulary(*model.file));
  PL_TRY(model.embedding, reader.matrix("token_embd.weight", {vocab, c.width}));
  model.head = model.embedding;
  if (reader.has("output.weight")) {
    PL_TRY(model.head, reader.matrix("output.weight", {vocab, c.width}));
  }
  PL_TRY(model.output_norm, reader.gains("output_norm.weight", c.width, c.norm_offset));
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    PL_TRY(LayerWeights weights, load_layer(reader, c, layer));
    model.layers.push_back(std::move(weights));
  }
  PL_CHECK(reader.check_all_read(c));
  return model;
}

LinearSize linear_size(const Model& model) {
  LinearSize size;
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      size.weights += w.rows * w.cols;
      size.bytes += byte_size(w);
    }
  return size;
}

void embed_token(const Model& model, const Kernels& kernels, int32_t token, float* out) {
  const PackedMatrix& e = model.embedding;
  e.codec->decode_row(e, token, out);
  if (e.rotation) kernels.unrotate(*e.rotation, out);
  const float scale = model.config.embedding_scale;
  if (scale != 1.0f)
    for (int64_t i = 0; i < e.cols; ++i) out[i] *= scale;
}

int64_t parameter_count(const Model& model) {
  int64_t count = linear_size(model).weights + model.embedding.rows * model.embedding.cols +
                  static_cast<int64_t>(model.output_norm.size());
  if (!model.tied()) count += model.head.rows * model.head.cols;
  for (const LayerWeights& w : model.layers) {
    for (const Norm norm : kBlockNorms) count += static_cast<int64_t>(gain_of(w, norm).size());
    for (const auto* bias : {&w.q_bias, &w.k_bias, &w.v_bias})
      count += static_cast<int64_t>(bias->size());
  }
  return count;
}

int64_t bytes_per_token(const Model& model) {
  return linear_size(model).bytes + byte_size(model.head);
}

int64_t weight_bytes(const Model& model) {
  return bytes_per_token(model) + (model.tied() ? 0 : byte_size(model.embedding));
}

}  // namespace planeloom
