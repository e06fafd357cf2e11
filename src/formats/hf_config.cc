// config.json -> GGUF metadata keys. Defaults are those of the families' configuration classes in
// transformers: a config.json may leave out whatever equals them. What the models room cannot
// compute is refused here, by name.
#include <cmath>
#include <limits>
#include <optional>

#include "formats/bounded_json.h"
#include "formats/hf_folder.h"

namespace planeloom {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxInteger = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxLayers = 1024;

/// A family's name in config.json and the defaults of its class.
struct Defaults {
  std::string_view model_type, architecture;
  int64_t kv_heads;  // 0: as many as heads
  int64_t head_dim;  // 0: hidden_size / heads
  int64_t context;
  double norm_eps, rope_theta;
  bool tied;
};

constexpr Defaults kFamilies[] = {{"llama", "llama", 0, 0, 2048, 1e-6, 10000, false},
                                  {"qwen2", "qwen2", 32, 0, 32768, 1e-6, 10000, false},
                                  {"qwen3", "qwen3", 32, 128, 32768, 1e-6, 10000, false},
                                  {"gemma3", "gemma3", 4, 256, 131072, 1e-6, 1e6, true},
                                  {"gemma3_text", "gemma3", 4, 256, 131072, 1e-6, 1e6, true}};

/// The member, or null when it is absent or JSON null (which means the default).
const Json* member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

class Translator {
 public:
  Translator(const Json& top, const Json& config, const Defaults& family)
      : top_(top),
        config_(config),
        family_(family),
        arch_(family.architecture),
        gemma_(arch_ == "gemma3") {}

  Result<Metadata> run() {
    out_.set("general.architecture", std::string(arch_));
    out_.set("planeloom.source", std::string("huggingface"));
    PL_CHECK(refuse_unsupported());
    PL_CHECK(sizes());
    PL_CHECK(attention());
    PL_CHECK(rope());
    if (gemma_) PL_CHECK(gemma());
    PL_TRY(const bool tied, boolean("tie_word_embeddings", family_.tied));
    out_.set("planeloom.tied_embeddings", tied);
    return std::move(out_);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", arch_, name); }
  void set_u32(std::string_view name, int64_t value) {
    out_.set(key(name), static_cast<uint32_t>(value));
  }
  void set_f32(std::string_view name, double value) {
    out_.set(key(name), static_cast<float>(value));
  }

  Result<int64_t> integer(const char* name, std::optional<int64_t> otherwise,
                          int64_t limit = kMaxInteger) const {
    const Json* value = member(config_, name);
    if (!value && otherwise) return *otherwise;
    if (!value) return fail("[hf] config.json: {} is absent", name);
    if (!value->is_number_unsigned() || value->get<uint64_t>() < 1 ||
        value->get<uint64_t>() > static_cast<uint64_t>(limit))
      return fail("[hf] config.json: {} is not an integer from 1 to {}", name, limit);
    return static_cast<int64_t>(value->get<uint64_t>());
  }

  static Result<double> number(const Json& object, const char* name,
                               std::optional<double> otherwise) {
    const Json* value = member(object, name);
    if (!value && otherwise) return *otherwise;
    const double x = value && value->is_number() ? value->get<double>() : std::nan("");
    if (!(x > 0) || x > 1e30) return fail("[hf] config.json: {} is not a positive number", name);
    return x;
  }

  Result<bool> boolean(const char* name, bool otherwise) const {
    const Json* value = member(config_, name);
    if (!value) value = member(top_, name);
    if (!value) return otherwise;
    if (!value->is_boolean()) return fail("[hf] config.json: {} is not a boolean", name);
    return value->get<bool>();
  }

  Status refuse_unsupported() const {
    if (member(top_, "quantization_config") || member(config_, "quantization_config"))
      return fail(
          "[hf] config.json: a quantization_config; only F32, F16 and BF16 weights are read");
    for (const char* name :
         {"attention_bias", "mlp_bias", "use_bidirectional_attention", "use_sliding_window"}) {
      PL_TRY(const bool set, boolean(name, false));
      // Qwen2 always has its q, k, v biases, so the flag says nothing there.
      if (set && !(arch_ == "qwen2" && std::string_view(name) == "attention_bias"))
        return fail("[hf] config.json: {} is not supported for {}", name, arch_);
    }
    const char* act_key = member(config_, "hidden_activation") ? "hidden_activation" : "hidden_act";
    const Json* act = member(config_, act_key);
    const std::string wanted = gemma_ ? "gelu_pytorch_tanh" : "silu";
    if (act && !(act->is_string() && act->get<std::string>() == wanted))
      return fail("[hf] config.json: {} is not {}, the one that {} has", act_key, wanted, arch_);
    return {};
  }

  Status sizes() {
    PL_TRY(layers_, integer("num_hidden_layers", gemma_ ? std::optional<int64_t>(26) : std::nullopt,
                            kMaxLayers));
    PL_TRY(width_, integer("hidden_size", gemma_ ? std::optional<int64_t>(2304) : std::nullopt));
    PL_TRY(const int64_t ffn,
           integer("intermediate_size", gemma_ ? std::optional<int64_t>(9216) : std::nullopt));
    PL_TRY(const int64_t vocab,
           integer("vocab_size", gemma_ ? std::optional<int64_t>(262208) : std::nullopt));
    PL_TRY(const int64_t context, integer("max_position_embeddings", family_.context));
    PL_TRY(const double eps, number(config_, "rms_norm_eps", family_.norm_eps));
    set_u32("block_count", layers_);
    set_u32("embedding_length", width_);
    set_u32("feed_forward_length", ffn);
    set_u32("vocab_size", vocab);
    set_u32("context_length", context);
    set_f32("attention.layer_norm_rms_epsilon", eps);
    return {};
  }

  Status attention() {
    PL_TRY(const int64_t heads,
           integer("num_attention_heads", gemma_ ? std::optional<int64_t>(8) : std::nullopt));
    PL_TRY(const int64_t kv,
           integer("num_key_value_heads", family_.kv_heads ? family_.kv_heads : heads));
    if (heads % kv != 0)
      return fail("[hf] config.json: {} heads do not divide among {} key heads", heads, kv);
    std::optional<int64_t> head_dim;
    if (family_.head_dim)
      head_dim = family_.head_dim;
    else if (width_ % heads == 0)
      head_dim = width_ / heads;
    if (!head_dim && !member(config_, "head_dim"))
      return fail("[hf] config.json: hidden_size {} does not divide into {} heads", width_, heads);
    PL_TRY(head_dim_, integer("head_dim", head_dim));
    set_u32("attention.head_count", heads);
    set_u32("attention.head_count_kv", kv);
    set_u32("attention.key_length", head_dim_);
    set_u32("attention.value_length", head_dim_);
    return {};
  }

  /// transformers 5 writes "rope_parameters" (Gemma: one object per kind of layer), 4 wrote
  /// "rope_theta" and "rope_scaling" beside each other.
  Status rope() {
    static const Json kNone = Json::object();
    const Json* scaling = member(config_, "rope_parameters");
    const Json* local = nullptr;
    if (scaling && scaling->is_object()) {
      local = member(*scaling, "sliding_attention");
      if (const Json* global = member(*scaling, "full_attention")) scaling = global;
    } else if (!scaling) {
      scaling = member(config_, "rope_scaling");
    }
    if (!scaling) scaling = &kNone;
    if (!scaling->is_object() || (local && !local->is_object()))
      return fail("[hf] config.json: rope scaling is not an object");
    PL_TRY(const double old_theta, number(config_, "rope_theta", family_.rope_theta));
    PL_TRY(const double theta, number(*scaling, "rope_theta", old_theta));
    PL_TRY(const double partial_old, number(config_, "partial_rotary_factor", 1.0));
    PL_TRY(const double partial, number(*scaling, "partial_rotary_factor", partial_old));
    if (partial > 1) return fail("[hf] config.json: partial_rotary_factor is {}", partial);
    set_f32("rope.freq_base", theta);
    set_u32("rope.dimension_count", static_cast<int64_t>(static_cast<double>(head_dim_) * partial));
    if (gemma_) {
      PL_TRY(const double old_local, number(config_, "rope_local_base_freq", 10000.0));
      PL_TRY(const double local_theta, number(local ? *local : kNone, "rope_theta", old_local));
      if (local) PL_CHECK(refuse_local_scaling(*local));
      set_f32("rope.freq_base_swa", local_theta);
    }
    return rope_scaling(*scaling);
  }

  static std::string rope_type(const Json& scaling) {
    const Json* type = member(scaling, "rope_type");
    if (!type) type = member(scaling, "type");
    if (!type) return "default";
    return type->is_string() ? type->get<std::string>().substr(0, 64) : "?";
  }

  static Status refuse_local_scaling(const Json& local) {
    if (rope_type(local) == "default") return {};
    return fail("[hf] config.json: scaled RoPE in the sliding-window layers is not supported");
  }

  Status rope_scaling(const Json& scaling) {
    const std::string type = rope_type(scaling);
    if (type == "default") return {};
    if (type != "linear" && type != "llama3" && type != "yarn")
      return fail("[hf] config.json: RoPE scaling \"{}\"; linear, llama3 and yarn are read", type);
    PL_TRY(const double factor, number(scaling, "factor", std::nullopt));
    out_.set(key("rope.scaling.type"), type);
    set_f32("rope.scaling.factor", factor);
    if (type == "linear") return {};
    PL_TRY(const int64_t context, out_.integer(key("context_length")));
    PL_TRY(const double original,
           number(scaling, "original_max_position_embeddings", static_cast<double>(context)));
    if (original > static_cast<double>(kMaxInteger))
      return fail("[hf] config.json: original context {}", original);
    set_u32("rope.scaling.original_context_length", static_cast<int64_t>(original));
    return type == "llama3" ? llama3(scaling) : yarn(scaling);
  }

  Status llama3(const Json& scaling) {
    PL_TRY(const double low, number(scaling, "low_freq_factor", std::nullopt));
    PL_TRY(const double high, number(scaling, "high_freq_factor", std::nullopt));
    if (!(high > low))
      return fail("[hf] config.json: high_freq_factor {} is not above low {}", high, low);
    set_f32("rope.scaling.low_freq_factor", low);
    set_f32("rope.scaling.high_freq_factor", high);
    return {};
  }

  Status yarn(const Json& scaling) {
    for (const char* name : {"attention_factor", "mscale", "mscale_all_dim", "truncate"})
      if (member(scaling, name))
        return fail("[hf] config.json: yarn with {} is not supported", name);
    PL_TRY(const double fast, number(scaling, "beta_fast", 32.0));
    PL_TRY(const double slow, number(scaling, "beta_slow", 1.0));
    set_f32("rope.scaling.yarn_beta_fast", fast);
    set_f32("rope.scaling.yarn_beta_slow", slow);
    return {};
  }

  Status gemma() {
    PL_TRY(const int64_t window, integer("sliding_window", 4096));
    PL_TRY(const double scalar, number(config_, "query_pre_attn_scalar", 256.0));
    set_u32("attention.sliding_window", window);
    set_f32("attention.scale", 1.0 / std::sqrt(scalar));
    for (const char* name : {"final_logit_softcapping", "attn_logit_softcapping"}) {
      if (!member(config_, name)) continue;
      PL_TRY(const double cap, number(config_, name, std::nullopt));
      set_f32(name, cap);
    }
    PL_TRY(std::vector<bool> local, local_layers());
    out_.set(key("attention.sliding_window_pattern"), std::move(local));
    return {};
  }

  Result<std::vector<bool>> local_layers() const {
    std::vector<bool> local(static_cast<size_t>(layers_));
    if (const Json* types = member(config_, "layer_types")) {
      if (!types->is_array() || types->size() != local.size())
        return fail("[hf] config.json: layer_types has not one entry per layer");
      for (size_t l = 0; l < local.size(); ++l) {
        const Json& type = (*types)[l];
        local[l] = type == "sliding_attention";
        if (!local[l] && type != "full_attention")
          return fail(
              "[hf] config.json: layer_types[{}] is neither sliding_attention nor full_attention",
              l);
      }
      return local;
    }
    const char* name = member(config_, "sliding_window_pattern") ? "sliding_window_pattern"
                                                                 : "_sliding_window_pattern";
    PL_TRY(const int64_t every, integer(name, 6));
    for (size_t l = 0; l < local.size(); ++l) local[l] = (l + 1) % static_cast<size_t>(every) != 0;
    return local;
  }

  const Json& top_;
  const Json& config_;
  const Defaults& family_;
  std::string_view arch_;
  bool gemma_;
  Metadata out_;
  int64_t layers_ = 0, width_ = 0, head_dim_ = 0;
};

}  // namespace

Result<Metadata> translate_hf_config(std::string_view config_json) {
  PL_TRY(const Json top, parse_bounded_json(config_json, "config.json"));
  if (!top.is_object()) return fail("[hf] config.json is no object");
  const Json* type = member(top, "model_type");
  if (!type || !type->is_string()) return fail("[hf] config.json: no model_type");
  const std::string name = type->get<std::string>();
  for (const Defaults& family : kFamilies) {
    if (family.model_type != name) continue;
    const Json* text = family.architecture == "gemma3" ? member(top, "text_config") : nullptr;
    if (text && !text->is_object()) return fail("[hf] config.json: text_config is no object");
    return Translator(top, text ? *text : top, family).run();
  }
  return fail(
      "[hf] config.json: model_type \"{}\"; llama, qwen2, qwen3, gemma3 and gemma3_text are read",
      name.substr(0, 64));
}

}  // namespace planeloom
