#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/metadata.h"
#include "kernels/rope.h"

namespace planeloom {

enum class Gate { kSilu, kGeluTanh };

/// The union of what the families do differently: one block reads it, no class hierarchy.
struct Config {
  std::string architecture;
  int64_t layers = 0;
  int64_t width = 0;  // of the residual stream
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t ffn = 0;      // width of the gated feed-forward
  int64_t context = 0;  // trained length
  float norm_eps = 1e-5f;
  float attention_scale = 0;
  float embedding_scale = 1;
  Gate gate = Gate::kSilu;
  RopePairs rope_pairs = RopePairs::kNeox;
  RopeTable rope;           // of layers that see everything
  RopeTable rope_local;     // of sliding-window layers; as `rope` unless the family says otherwise
  int64_t window = 0;       // of sliding-window layers
  std::vector<bool> local;  // (layers): the layer has a sliding window
  bool qkv_bias = false;    // q, k, v have biases
  bool qk_norm = false;     // RMS norm of each query and key head
  bool post_norms =
      false;  // RMS norm after attention and after feed-forward, before the residual sum
  float attention_softcap = 0, final_softcap = 0;
  float norm_offset = 0;  // added to stored norm gains (Hugging Face Gemma stores gain - 1)

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

/// One model family: reads its Config from GGUF-style metadata (formats/hf_folder.h translates
/// folders).
struct Family {
  std::string_view architecture;
  Result<Config> (*read)(const Metadata& metadata);
};

/// Every family, one file each: llama.cc, qwen2.cc, qwen3.cc, gemma3.cc.
extern const Family kLlama, kQwen2, kQwen3, kGemma3;

/// Finds the family by general.architecture, reads and checks the Config.
Result<Config> read_config(const Metadata& metadata);

/// What all families share: sizes, epsilon, RoPE with its scaling. Families adjust the result.
Result<Config> read_common(const Metadata& metadata, std::string_view architecture);

/// theta_i = base^(-2i/dims) with the scaling that the metadata names (linear, llama3, yarn).
Result<RopeTable> read_rope(const Metadata& metadata, std::string_view architecture, int64_t dims,
                            double base);

/// Unscaled frequencies.
RopeTable plain_rope(int64_t dims, double base);

/// True when the weights came from a Hugging Face folder, unpermuted and with their own norm
/// convention.
bool from_hugging_face(const Metadata& metadata);

}  // namespace planeloom
