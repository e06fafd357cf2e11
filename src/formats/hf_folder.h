// A Hugging Face folder seen as GGUF-style metadata and tensor names.
//
// Read: config.json, model.safetensors or model.safetensors.index.json with its shards; when
// present tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja.
// Families (config.json "architectures" / "model_type"): llama, qwen2, qwen3, gemma3 and
// gemma3_text.
//
// Metadata are GGUF's ("general.architecture", "llama.block_count", ...). What differs from a
// converted GGUF:
// - "planeloom.source" = "huggingface". Then Llama's q and k rows are in the order of rotate-half
//   RoPE (a GGUF has them permuted for interleaved pairs), and Gemma's norm weights lack the +1
//   that a GGUF has added.
// - RoPE scaling "llama3" stands in ARCH.rope.scaling.{type, factor, low_freq_factor,
//   high_freq_factor, original_context_length}; a GGUF has a tensor rope_freqs.weight instead.
// - Gemma: ARCH.rope.freq_base_swa (local layers), ARCH.attention.sliding_window, and
//   ARCH.attention.sliding_window_pattern = bool[block_count], true for local layers.
//   ARCH.attention.scale = 1 / sqrt(query_pre_attn_scalar).
// - The tokenizer is raw text: "planeloom.tokenizer_json", "planeloom.tokenizer_config_json", and
//   "tokenizer.chat_template". Token ids: tokenizer.ggml.{bos,eos,padding}_token_id, and all ends
//   of generation in "planeloom.eos_token_ids".
// - "planeloom.tied_embeddings" (bool).
// Left out are the vision tower with its projector and saved rotary frequencies. Tensors of no
// known name keep their own. A tensor of a type that is not read is an error.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/metadata.h"
#include "formats/model_file.h"

namespace planeloom {

Result<std::shared_ptr<const ModelFile>> open_hf_folder(const std::filesystem::path& folder);

/// The metadata keys that config.json gives. Bounded: text above 4 MiB is refused.
Result<Metadata> translate_hf_config(std::string_view config_json);

/// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; empty for a tensor outside
/// the text model.
std::string translate_hf_tensor_name(std::string_view architecture, std::string_view name);

}  // namespace planeloom
