#include "train/scalars.h"

#include <fmt/format.h>

namespace planeloom {

const std::vector<float>& gain_of(const LayerWeights& w, Norm norm) {
  switch (norm) {
    case Norm::kAttention:
      return w.attention_norm;
    case Norm::kQ:
      return w.q_norm;
    case Norm::kK:
      return w.k_norm;
    case Norm::kPostAttention:
      return w.post_attention_norm;
    case Norm::kFfn:
      return w.ffn_norm;
    case Norm::kPostFfn:
      break;
  }
  return w.post_ffn_norm;
}

std::vector<float>& gain_of(LayerWeights& w, Norm norm) {
  return const_cast<std::vector<float>&>(gain_of(std::as_const(w), norm));
}

std::string norm_name(int64_t layer, Norm norm) {
  constexpr const char* kNames[] = {"attn_norm",           "attn_q_norm", "attn_k_norm",
                                    "post_attention_norm", "ffn_norm",    "post_ffw_norm"};
  return fmt::format("blk.{}.{}.weight", layer, kNames[static_cast<size_t>(norm)]);
}

Scalars::Scalars(const Model& model, float value) {
  size_t at = 0;
  const auto next = [&](size_t count) {
    begin_.push_back(at);
    at += count;
  };
  for (const LayerWeights& layer : model.layers) {
    for (const PackedMatrix& w : layer.linears) next(static_cast<size_t>(w.rows));
    for (const Norm norm : kBlockNorms) next(gain_of(layer, norm).size());
  }
  begin_.push_back(at);
  output_at_ = at;
  values_.assign(at + model.output_norm.size(), value);
}

}  // namespace planeloom
