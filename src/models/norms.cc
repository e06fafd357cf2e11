#include "models/norms.h"

#include <fmt/format.h>

#include <utility>

namespace planeloom {

int64_t gain_count(const Config& config, Norm norm) {
  switch (norm) {
    case Norm::kAttention:
    case Norm::kFfn:
      return config.width;
    case Norm::kQ:
    case Norm::kK:
      return config.qk_norm ? config.head_dim : 0;
    case Norm::kPostAttention:
    case Norm::kPostFfn:
      break;
  }
  return config.post_norms ? config.width : 0;
}

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

}  // namespace planeloom
