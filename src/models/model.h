#pragma once
#include <array>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/result.h"
#include "formats/model_file.h"
#include "kernels/kernels.h"
#include "models/config.h"
#include "models/hooks.h"

namespace planeloom {

/// One block's weights. Matrices are views into the mapped file; gains and biases are small and
/// owned.
struct LayerWeights {
  std::vector<float> attention_norm, ffn_norm;            // (width)
  std::vector<float> post_attention_norm, post_ffn_norm;  // (width), only with post_norms
  std::vector<float> q_norm, k_norm;                      // (head_dim), only with qk_norm
  std::vector<float> q_bias, k_bias, v_bias;              // (outputs), empty unless qkv_bias
  std::array<PackedMatrix, 7> linears;                    // by Linear, (outputs, inputs)

  PackedMatrix& at(Linear linear) { return linears[static_cast<size_t>(linear)]; }
  const PackedMatrix& at(Linear linear) const { return linears[static_cast<size_t>(linear)]; }
};

/// A loaded model: its configuration and where each weight lies. Cheap to copy, the file is shared.
struct Model {
  std::shared_ptr<const ModelFile> file;
  Config config;
  PackedMatrix embedding;  // (vocab, width)
  PackedMatrix head;       // (vocab, width): `embedding` itself when tied
  std::vector<float> output_norm;
  std::vector<LayerWeights> layers;

  int64_t vocab() const { return embedding.rows; }
  bool tied() const {
    return head.codes.data() == embedding.codes.data() && head.parts == embedding.parts;
  }
};

/// Outputs and inputs of a block's linear.
struct LinearShape {
  int64_t rows, cols;
};
LinearShape linear_shape(const Config& config, Linear linear);

/// "blk.3.attn_q.weight": the GGUF name of a block's linear.
std::string linear_name(int64_t layer, Linear linear);

/// Opens and checks a model: every matrix present, of the shape that the configuration asks for.
Result<Model> load_model(const std::filesystem::path& path);
Result<Model> load_model(std::shared_ptr<const ModelFile> file);

/// Sizes of a model's linears: weights, bytes on disk and exact bits per weight, every scale
/// counted.
struct LinearSize {
  int64_t weights = 0, bytes = 0;
  double bits_per_weight() const {
    return weights ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
  }
};
LinearSize linear_size(const Model& model);

/// What a token is to the first layer: its row of the embedding, out of its rotation and scaled.
/// out: (width).
void embed_token(const Model& model, const Kernels& kernels, int32_t token, float* out);

/// All weights of the model (linears, embedding, head when separate, norms and biases).
int64_t parameter_count(const Model& model);

/// Bytes of weights that one generated token reads: every linear and the head once.
int64_t bytes_per_token(const Model& model);

/// Bytes of all matrices: those, and the embedding when it is not the head itself.
int64_t weight_bytes(const Model& model);

}  // namespace planeloom
