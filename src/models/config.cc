#include "models/config.h"

#include <array>
#include <cmath>
#include <numbers>

namespace planeloom {
namespace {

Result<int64_t> bounded(const Metadata& m, const std::string& key, int64_t low, int64_t high) {
  PL_TRY(const int64_t value, m.integer(key));
  if (value < low || value > high)
    return fail("[config] {} = {}, wanted {}..{}", key, value, low, high);
  return value;
}

Status check(const Config& c) {
  if (c.heads % c.kv_heads != 0)
    return fail("[config] {} query heads do not divide among {} key-value heads", c.heads,
                c.kv_heads);
  if (2 * static_cast<int64_t>(c.rope.frequency.size()) > c.head_dim)
    return fail("[config] rotary size {} exceeds the head size {}", 2 * c.rope.frequency.size(),
                c.head_dim);
  if (!(c.norm_eps >= 0 && c.norm_eps < 1))
    return fail("[config] norm epsilon {} is not in [0, 1)", c.norm_eps);
  if (!std::isfinite(c.attention_scale) || c.attention_scale <= 0)
    return fail("[config] attention scale {} is not positive", c.attention_scale);
  for (float cap : {c.attention_softcap, c.final_softcap})
    if (!(cap >= 0) || !std::isfinite(cap))
      return fail("[config] logit softcapping {} is not in [0, infinity)", cap);
  for (const RopeTable* rope : {&c.rope, &c.rope_local})
    for (float f : rope->frequency)
      if (!std::isfinite(f)) return fail("[config] a rope frequency is {}", f);
  return {};
}

/// Llama 3.1 (its released configuration): long wavelengths divided by `factor`, a smooth ramp
/// between.
void scale_llama3(RopeTable& rope, double factor, double low, double high, double original) {
  for (float& f : rope.frequency) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < original / high) continue;
    const double smooth =
        wavelength > original / low ? 0.0 : (original / wavelength - low) / (high - low);
    f = static_cast<float>((1 - smooth) * f / factor + smooth * f);
  }
}

/// YaRN (arXiv 2309.00071, eq. 21-25): ramp over dimensions by the number of turns within the
/// trained length.
void scale_yarn(RopeTable& rope, double base, double factor, double original, double beta_fast,
                double beta_slow) {
  const auto dims = static_cast<double>(2 * rope.frequency.size());
  const auto turns_dim = [&](double turns) {
    return dims * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(base));
  };
  const double low = std::max(0.0, std::floor(turns_dim(beta_fast)));
  const double high = std::min(dims - 1, std::ceil(turns_dim(beta_slow)));
  for (size_t i = 0; i < rope.frequency.size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double f = rope.frequency[i];
    rope.frequency[i] = static_cast<float>(f / factor * ramp + f * (1 - ramp));
  }
  rope.magnitude = factor > 1 ? static_cast<float>(1.0 + 0.1 * std::log(factor)) : 1.0f;
}

}  // namespace

bool from_hugging_face(const Metadata& metadata) {
  return metadata.string_or("planeloom.source", "") == "huggingface";
}

RopeTable plain_rope(int64_t dims, double base) {
  RopeTable rope;
  for (int64_t i = 0; i < dims / 2; ++i)
    rope.frequency.push_back(static_cast<float>(
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dims))));
  return rope;
}

Result<RopeTable> read_rope(const Metadata& metadata, std::string_view architecture, int64_t dims,
                            double base) {
  const std::string a = std::string(architecture) + ".rope.scaling.";
  if (!(base >= 1) || !std::isfinite(base))
    return fail("[config] rope base {} is not at least 1", base);
  RopeTable rope = plain_rope(dims, base);
  // Files of 2023 have the linear factor alone, under its first name.
  const double factor = metadata.number_or(
      a + "factor", metadata.number_or(std::string(architecture) + ".rope.scale_linear", 1.0));
  const std::string type = metadata.string_or(a + "type", factor == 1.0 ? "none" : "linear");
  if (!(factor > 0) || !std::isfinite(factor))
    return fail("[config] rope scaling factor {}", factor);
  const double original =
      metadata.number_or(a + "original_context_length",
                         metadata.number_or(std::string(architecture) + ".context_length", 2048));
  if (type == "none" || type == "default") return rope;
  if (type == "linear") {
    for (float& f : rope.frequency) f = static_cast<float>(f / factor);
    return rope;
  }
  if (type == "llama3") {
    const double low = metadata.number_or(a + "low_freq_factor", 1.0);
    const double high = metadata.number_or(a + "high_freq_factor", 4.0);
    if (!(high > low && low > 0 && original > 0))
      return fail("[config] llama3 rope scaling: bad factors");
    scale_llama3(rope, factor, low, high, original);
    return rope;
  }
  if (type == "yarn") {
    if (!(base > 1 && original > 0))
      return fail("[config] yarn rope scaling: bad base or original length");
    const double fast = metadata.number_or(a + "yarn_beta_fast", 32.0);
    const double slow = metadata.number_or(a + "yarn_beta_slow", 1.0);
    if (!(fast > 0 && slow > 0))
      return fail("[config] yarn rope scaling: betas {} and {} are not positive", fast, slow);
    scale_yarn(rope, base, factor, original, fast, slow);
    return rope;
  }
  return fail("[config] rope scaling '{}' is not known; known: none, linear, llama3, yarn", type);
}

Result<Config> read_common(const Metadata& m, std::string_view architecture) {
  const std::string a = std::string(architecture) + ".";
  Config c;
  c.architecture = architecture;
  PL_TRY(c.layers, bounded(m, a + "block_count", 1, 1024));
  PL_TRY(c.width, bounded(m, a + "embedding_length", 1, 1 << 18));
  PL_TRY(c.ffn, bounded(m, a + "feed_forward_length", 1, 1 << 20));
  PL_TRY(c.heads, bounded(m, a + "attention.head_count", 1, 4096));
  c.kv_heads = c.heads;
  if (m.has(a + "attention.head_count_kv")) {
    PL_TRY(c.kv_heads, bounded(m, a + "attention.head_count_kv", 1, 4096));
  }
  c.head_dim = c.width / c.heads;
  if (m.has(a + "attention.key_length")) {
    PL_TRY(c.head_dim, bounded(m, a + "attention.key_length", 2, 1024));
  } else if (c.width % c.heads != 0) {
    return fail("[config] width {} does not divide into {} heads", c.width, c.heads);
  }
  if (c.head_dim % 2 != 0) return fail("[config] head size {} is odd", c.head_dim);
  if (m.integer_or(a + "attention.value_length", c.head_dim) != c.head_dim)
    return fail("[config] value heads of another size than key heads are not supported");
  if (m.integer_or(a + "expert_count", 0) > 0)
    return fail("[config] mixture-of-experts models are not supported");
  if (!m.boolean_or(a + "attention.causal", true))
    return fail("[config] attention that looks ahead is not supported");
  c.context = m.integer_or(a + "context_length", 2048);
  if (c.context < 1 || c.context > (int64_t{1} << 31))
    return fail("[config] context length {}", c.context);
  c.norm_eps = static_cast<float>(m.number_or(a + "attention.layer_norm_rms_epsilon", 1e-5));
  c.attention_scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  const int64_t dims = m.integer_or(a + "rope.dimension_count", c.head_dim);
  if (dims < 2 || dims > c.head_dim || dims % 2)
    return fail("[config] rotary size {}, wanted an even number from 2 to the head size {}", dims,
                c.head_dim);
  PL_TRY(c.rope, read_rope(m, architecture, dims, m.number_or(a + "rope.freq_base", 10000.0)));
  c.rope_local = c.rope;
  c.local.assign(static_cast<size_t>(c.layers), false);
  return c;
}

Result<Config> read_config(const Metadata& metadata) {
  PL_TRY(const std::string architecture, metadata.string("general.architecture"));
  for (const Family* family : {&kLlama, &kQwen2, &kQwen3, &kGemma3}) {
    if (family->architecture != architecture) continue;
    PL_TRY(Config config, family->read(metadata));
    PL_CHECK(check(config));
    return config;
  }
  return fail("[config] architecture '{}' is not supported; supported: llama, qwen2, qwen3, gemma3",
              architecture);
}

}  // namespace planeloom
