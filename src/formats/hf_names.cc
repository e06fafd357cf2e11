// Tensor names: Hugging Face to GGUF (the table of the PyPI package gguf, gguf/tensor_mapping.py,
// for four families).
#include <algorithm>
#include <string>

#include "formats/hf_folder.h"

namespace planeloom {
namespace {

struct Pair {
  std::string_view hf, gguf;
};

constexpr Pair kWhole[] = {{"embed_tokens", "token_embd"}, {"norm", "output_norm"}};

constexpr Pair kBlock[] = {
    {"self_attn.q_proj", "attn_q"},          {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},          {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},     {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},           {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},           {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"}};

/// Gemma has a norm after each half as well, so one HF name means another norm there.
constexpr Pair kGemmaBlock[] = {{"post_attention_layernorm", "post_attention_norm"},
                                {"pre_feedforward_layernorm", "ffn_norm"},
                                {"post_feedforward_layernorm", "post_ffw_norm"}};

template <size_t N>
std::string_view look_up(const Pair (&table)[N], std::string_view name) {
  const auto it =
      std::find_if(std::begin(table), std::end(table), [&](const Pair& p) { return p.hf == name; });
  return it == std::end(table) ? std::string_view() : it->gguf;
}

bool take_prefix(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

/// "12." off the front; empty unless it is 1 to 4 digits without a leading zero.
std::string_view take_layer(std::string_view& name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot < 1 || dot > 4) return {};
  const std::string_view digits = name.substr(0, dot);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return {};
  if (digits.size() > 1 && digits[0] == '0') return {};
  name.remove_prefix(dot + 1);
  return digits;
}

}  // namespace

std::string translate_hf_tensor_name(std::string_view architecture, std::string_view name) {
  if (name == "lm_head.weight" || name == "language_model.lm_head.weight") return "output.weight";
  if (!take_prefix(name, "language_model.model.") && !take_prefix(name, "model.language_model."))
    take_prefix(name, "model.");
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view ending = name.substr(dot);  // ".weight" or ".bias"
  if (ending != ".weight" && ending != ".bias") return {};
  name = name.substr(0, dot);
  if (const std::string_view whole = look_up(kWhole, name); !whole.empty())
    return std::string(whole).append(ending);
  if (!take_prefix(name, "layers.")) return {};
  const std::string_view layer = take_layer(name);
  std::string_view part =
      architecture == "gemma3" ? look_up(kGemmaBlock, name) : std::string_view();
  if (part.empty()) part = look_up(kBlock, name);
  if (layer.empty() || part.empty()) return {};
  return fmt::format("blk.{}.{}{}", layer, part, ending);
}

}  // namespace planeloom
