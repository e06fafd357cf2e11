#pragma once
#include <string>
#include <vector>

#include "models/model.h"

namespace planeloom {

/// The norms of a block, in the order in which they run.
enum class Norm { kAttention, kQ, kK, kPostAttention, kFfn, kPostFfn };
inline constexpr Norm kBlockNorms[] = {Norm::kAttention,     Norm::kQ,   Norm::kK,
                                       Norm::kPostAttention, Norm::kFfn, Norm::kPostFfn};

/// How many gains a block's norm has: the width or a head's; 0 where the family has no such norm.
int64_t gain_count(const Config& config, Norm norm);
/// The gains of a block's norm: (gain_count).
std::vector<float>& gain_of(LayerWeights& layer, Norm norm);
const std::vector<float>& gain_of(const LayerWeights& layer, Norm norm);
/// "blk.3.attn_norm.weight"
std::string norm_name(int64_t layer, Norm norm);

}  // namespace planeloom
