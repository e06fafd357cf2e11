#pragma once
#include <string_view>
#include <vector>

#include "models/model.h"

namespace planeloom {

/// The sizes of a published model, for measuring speed without its weights.
struct ModelShape {
  std::string_view name, architecture;
  int64_t layers, width, heads, kv_heads, head_dim, ffn, vocab;
  bool tied;
};

/// smollm2-135m, llama-3.2-1b, qwen2.5-7b, qwen2.5-72b: as their published config.json say.
const std::vector<ModelShape>& model_shapes();

/// A model of random weights. Its matrices borrow from `memory`.
struct SyntheticModel {
  Model model;
  std::vector<std::vector<std::byte>> memory;
};

/// codec: of the linears, as codec_by_name() or gguf names it ("bitplane k=2 g=64", "Q4_0"); where
/// a plane format's group does not divide a width, the next narrower one is taken. head: of the
/// embedding and the head.
Result<SyntheticModel> make_synthetic(const ModelShape& shape, std::string_view codec,
                                      std::string_view head);

}  // namespace planeloom
