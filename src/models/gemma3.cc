// Gemma 3 (text): five sliding-window layers for each full one, head norms, norms before and after
// both halves.
#include <cmath>

#include "models/config.h"

namespace planeloom {
namespace {

Result<Config> read(const Metadata& metadata) {
  PL_TRY(Config c, read_common(metadata, "gemma3"));
  c.gate = Gate::kGeluTanh;
  c.qk_norm = true;
  c.post_norms = true;
  c.embedding_scale = std::sqrt(static_cast<float>(c.width));
  c.norm_offset = from_hugging_face(metadata) ? 1.0f : 0.0f;
  c.final_softcap = static_cast<float>(metadata.number_or("gemma3.final_logit_softcapping", 0.0));
  c.attention_softcap =
      static_cast<float>(metadata.number_or("gemma3.attn_logit_softcapping", 0.0));
  if (metadata.has("gemma3.attention.scale"))
    c.attention_scale = static_cast<float>(metadata.number_or("gemma3.attention.scale", 0.0));
  else if (c.layers == 62)  // the 27B scales queries by width / heads, and its GGUF does not say so
    c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.width) / static_cast<float>(c.heads));
  c.window = metadata.integer_or("gemma3.attention.sliding_window", 0);
  if (c.window < 0) return fail("[config] gemma3.attention.sliding_window = {}", c.window);
  const double local_base = metadata.number_or("gemma3.rope.freq_base_swa", 10000.0);
  if (!(local_base >= 1) || !std::isfinite(local_base))
    return fail("[config] gemma3.rope.freq_base_swa = {}", local_base);
  c.rope_local = plain_rope(static_cast<int64_t>(2 * c.rope.frequency.size()), local_base);
  const auto pattern = metadata.integers("gemma3.attention.sliding_window_pattern");
  const int64_t every = metadata.integer_or("gemma3.attention.sliding_window_pattern", 6);
  if (pattern && static_cast<int64_t>(pattern->size()) != c.layers)
    return fail("[config] gemma3.attention.sliding_window_pattern: {} entries for {} layers",
                pattern->size(), c.layers);
  for (int64_t l = 0; l < c.layers; ++l) {
    const bool local =
        pattern ? (*pattern)[static_cast<size_t>(l)] != 0 : every > 0 && (l + 1) % every != 0;
    c.local[static_cast<size_t>(l)] = local && c.window > 0;
  }
  return c;
}

}  // namespace

const Family kGemma3{"gemma3", read};

}  // namespace planeloom
