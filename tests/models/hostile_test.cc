// Configurations and weights that do not make a model: each a clear error, never a crash.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "models/tiny_model.h"
#include "models/tiny_run.h"

namespace planeloom {
namespace {

using Change = std::function<void(TinyModel&)>;

struct Hostile {
  const char* what;
  const char* architecture;
  Change change;
  const char* says;  // part of the message
};

Change set(const char* key, const MetaValue& value) {
  return [=](TinyModel& m) { m.set(key, value); };
}
Change drop(const char* name) {
  return [=](TinyModel& m) { m.remove(name); };
}
/// An F32 tensor of that shape, with the bytes that it needs.
Change shape(const char* name, const std::vector<int64_t>& dims) {
  return [=](TinyModel& m) {
    int64_t count = 1;
    for (int64_t d : dims) count *= d;
    m.add_floats(name, dims, std::vector<float>(static_cast<size_t>(count), 0.5f));
  };
}
/// A tensor whose bytes do not fit its shape.
Change bytes(const char* name, DType type, const std::vector<int64_t>& dims, size_t size) {
  return [=](TinyModel& m) { m.add(name, type, dims, std::vector<std::byte>(size)); };
}

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();
const std::string kText = "text", kMamba = "mamba", kSpiral = "spiral", kLinear = "linear",
                  kYarn = "yarn", kLlama3 = "llama3", kQwen2 = "qwen2", kGemma3 = "gemma3";

std::vector<Hostile> configurations() {
  return {
      {"no architecture's name", "llama", set("general.architecture", uint32_t{3}),
       "general.architecture"},
      {"unknown architecture", "llama", set("general.architecture", kMamba), "not supported"},
      {"another family's keys", "llama", set("general.architecture", kQwen2), "qwen2.block_count"},
      {"no layers", "llama", set("llama.block_count", uint32_t{0}), "block_count = 0"},
      {"huge layers", "llama", set("llama.block_count", uint32_t{4000000000u}),
       "block_count = 4000000000"},
      {"2^64 layers", "llama", set("llama.block_count", kHuge), "does not fit"},
      {"negative layers", "llama", set("llama.block_count", int32_t{-2}), "block_count = -2"},
      {"layers as text", "llama", set("llama.block_count", kText), "not an integer"},
      {"one layer too many", "llama", set("llama.block_count", uint32_t{3}), "blk.2."},
      {"one layer too few", "llama", set("llama.block_count", uint32_t{1}),
       "blk.1.attn_norm.weight is there, but a llama model of 1 layers"},
      {"attention that looks ahead", "llama", set("llama.attention.causal", false), "looks ahead"},
      {"a scale of 2023 that is none", "llama", set("llama.rope.scale_linear", 0.0f), "factor 0"},
      {"no heads", "llama", set("llama.attention.head_count", uint32_t{0}), "head_count = 0"},
      {"heads huge", "llama", set("llama.attention.head_count", kBig), "head_count"},
      {"heads per layer", "llama", set("llama.attention.head_count", std::vector<uint32_t>{4, 4}),
       "not an integer"},
      {"key heads 0", "llama", set("llama.attention.head_count_kv", uint32_t{0}),
       "head_count_kv = 0"},
      {"key heads 3 of 4", "llama", set("llama.attention.head_count_kv", uint32_t{3}),
       "do not divide"},
      {"key heads 8 of 4", "llama", set("llama.attention.head_count_kv", uint32_t{8}),
       "do not divide"},
      {"width 0", "llama", set("llama.embedding_length", uint32_t{0}), "embedding_length = 0"},
      {"width huge", "llama", set("llama.embedding_length", kBig), "embedding_length"},
      {"width of another model", "llama", set("llama.embedding_length", uint32_t{128}), "wanted"},
      {"ffn 0", "llama", set("llama.feed_forward_length", uint32_t{0}), "feed_forward_length = 0"},
      {"ffn of another model", "llama", set("llama.feed_forward_length", uint32_t{97}), "ffn_gate"},
      {"head size 0", "llama", set("llama.attention.key_length", uint32_t{0}), "key_length = 0"},
      {"head size odd", "llama", set("llama.attention.key_length", uint32_t{15}),
       "head size 15 is odd"},
      {"head size huge", "llama", set("llama.attention.key_length", uint32_t{1u << 31}),
       "key_length"},
      {"value head size", "llama", set("llama.attention.value_length", uint32_t{8}), "value heads"},
      {"experts", "llama", set("llama.expert_count", uint32_t{8}), "mixture"},
      {"context 0", "llama", set("llama.context_length", uint32_t{0}), "context length 0"},
      {"context huge", "llama", set("llama.context_length", kBig), "context length"},
      {"epsilon NaN", "llama", set("llama.attention.layer_norm_rms_epsilon", kNan), "epsilon"},
      {"epsilon negative", "llama", set("llama.attention.layer_norm_rms_epsilon", -1e-5f),
       "epsilon"},
      {"epsilon infinite", "llama", set("llama.attention.layer_norm_rms_epsilon", kInfinity),
       "epsilon"},
      {"rotary 0", "llama", set("llama.rope.dimension_count", uint32_t{0}), "rotary size 0"},
      {"rotary odd", "llama", set("llama.rope.dimension_count", uint32_t{7}), "rotary size 7"},
      {"rotary above the head", "llama", set("llama.rope.dimension_count", uint32_t{64}),
       "rotary size 64"},
      {"rope base 0", "llama", set("llama.rope.freq_base", 0.0f), "rope base"},
      {"rope base NaN", "llama", set("llama.rope.freq_base", kNan), "rope base"},
      {"rope base infinite", "llama", set("llama.rope.freq_base", kInfinity), "rope base"},
      {"rope type", "llama", set("llama.rope.scaling.type", kSpiral), "spiral"},
      {"rope factor 0", "llama", set("llama.rope.scaling.factor", 0.0f), "factor"},
      {"rope factor NaN", "llama", set("llama.rope.scaling.factor", kNan), "factor"},
      {"rope factor negative", "llama", set("llama.rope.scaling.factor", -4.0f), "factor"},
      {"llama3 factors crossed", "llama",
       [](TinyModel& m) {
         m.set("llama.rope.scaling.type", kLlama3);
         m.set("llama.rope.scaling.low_freq_factor", 4.0f);
       },
       "llama3"},
      {"yarn without length", "llama",
       [](TinyModel& m) {
         m.set("llama.rope.scaling.type", kYarn);
         m.set("llama.rope.scaling.factor", 4.0f);
         m.set("llama.rope.scaling.original_context_length", uint32_t{0});
       },
       "yarn"},
      {"yarn turns NaN", "llama",
       [](TinyModel& m) {
         m.set("llama.rope.scaling.type", kYarn);
         m.set("llama.rope.scaling.factor", 4.0f);
         m.set("llama.rope.scaling.yarn_beta_fast", kNan);
       },
       "yarn"},
      {"yarn turns negative", "llama",
       [](TinyModel& m) {
         m.set("llama.rope.scaling.type", kYarn);
         m.set("llama.rope.scaling.yarn_beta_slow", -1.0f);
       },
       "yarn"},
      {"window negative", "gemma3", set("gemma3.attention.sliding_window", int32_t{-1}),
       "sliding_window"},
      {"local base 0", "gemma3", set("gemma3.rope.freq_base_swa", 0.0f), "freq_base_swa"},
      {"local base NaN", "gemma3", set("gemma3.rope.freq_base_swa", kNan), "freq_base_swa"},
      {"local base infinite", "gemma3", set("gemma3.rope.freq_base_swa", kInfinity),
       "freq_base_swa"},
      {"scale 0", "gemma3", set("gemma3.attention.scale", 0.0f), "scale"},
      {"scale NaN", "gemma3", set("gemma3.attention.scale", kNan), "scale"},
      {"soft cap NaN", "gemma3", set("gemma3.final_logit_softcapping", kNan), "softcapping"},
      {"soft cap negative", "gemma3", set("gemma3.attn_logit_softcapping", -1.0f), "softcapping"},
      {"pattern too short", "gemma3",
       set("gemma3.attention.sliding_window_pattern", std::vector<bool>{true}),
       "sliding_window_pattern"},
  };
}

std::vector<Hostile> weights() {
  std::vector<Hostile> cases;
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
                           "blk.1.ffn_norm.weight", "blk.0.attn_q.weight", "blk.1.attn_k.weight",
                           "blk.0.attn_v.weight", "blk.1.attn_output.weight",
                           "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.1.ffn_down.weight"})
    cases.push_back({name, "llama", drop(name), name});
  for (const char* name : {"blk.0.attn_q.bias", "blk.1.attn_k.bias", "blk.0.attn_v.bias"}) {
    cases.push_back({name, "qwen2", drop(name), name});
    cases.push_back({name, "qwen2", shape(name, {7}), name});
  }
  for (const char* name : {"blk.0.attn_q_norm.weight", "blk.1.attn_k_norm.weight"}) {
    cases.push_back({name, "qwen3", drop(name), name});
    cases.push_back({name, "gemma3", shape(name, {64}), name});
  }
  for (const char* name : {"blk.0.post_attention_norm.weight", "blk.1.post_ffw_norm.weight"})
    cases.push_back({name, "gemma3", drop(name), name});
  const std::vector<Hostile> more = {
      {"embedding of another width", "llama", shape("token_embd.weight", {32, 48}),
       "token_embd.weight"},
      {"embedding as a vector", "llama", shape("token_embd.weight", {64}), "token_embd.weight"},
      {"embedding with three dimensions", "llama", shape("token_embd.weight", {64, 6, 8}),
       "token_embd.weight"},
      {"head of another vocabulary", "llama", shape("output.weight", {64, 47}), "output.weight"},
      {"norm too short", "llama", shape("output_norm.weight", {63}), "output_norm.weight"},
      {"q transposed", "llama", shape("blk.0.attn_q.weight", {64, 32}), "blk.0.attn_q.weight"},
      {"down transposed", "llama", shape("blk.0.ffn_down.weight", {64, 96}),
       "blk.0.ffn_down.weight"},
      {"bytes missing", "llama",
       bytes("blk.0.attn_q.weight", DType::kF32, {64, 64}, 64 * 64 * 4 - 1), "blk.0.attn_q.weight"},
      {"bytes too many", "llama", bytes("blk.0.attn_q.weight", DType::kQ8_0, {64, 64}, 5000),
       "blk.0.attn_q.weight"},
      {"no bytes", "llama", bytes("token_embd.weight", DType::kF32, {64, 48}, 0),
       "token_embd.weight"},
      {"integers for weights", "llama",
       bytes("blk.0.attn_q.weight", DType::kI32, {64, 64}, 64 * 64 * 4), "blk.0.attn_q.weight"},
      {"half a block", "llama", bytes("blk.0.attn_q.weight", DType::kQ4_K, {64, 64}, 144 * 16),
       "blk.0.attn_q.weight"},
      {"2^62 rows", "llama", bytes("blk.0.attn_q.weight", DType::kF32, {64, int64_t{1} << 62}, 64),
       "blk.0.attn_q"},
      {"huge norm", "llama", bytes("output_norm.weight", DType::kF32, {kBig}, 64), "output_norm"},
      {"a bias nobody adds", "llama", shape("blk.0.attn_q.bias", {64}), "no use for it"},
      {"a norm nobody applies", "llama", shape("blk.1.attn_q_norm.weight", {16}), "no use for it"},
      {"experts", "llama", shape("blk.0.ffn_gate_exps.weight", {64, 128, 2}), "no use for it"},
      {"a tensor of no known name", "qwen3", shape("cls.weight", {64, 2}), "cls.weight"},
      {"planes beside plain weights", "llama",
       [](TinyModel& m) {
         m.add_floats("blk.0.attn_q.weight.planes", {64}, std::vector<float>(64));
       },
       "blk.0.attn_q.weight"},
      {"another vocabulary than the configuration's", "llama",
       [](TinyModel& m) {
         m.set("planeloom.source", std::string("huggingface"));
         m.set("llama.vocab_size", uint32_t{49});
       },
       "wanted 49 x 64"},
      {"rope factors too few", "llama", shape("rope_freqs.weight", {3}), "rope_freqs.weight"},
      {"rope factor 0", "llama",
       [](TinyModel& m) { m.add_floats("rope_freqs.weight", {8}, std::vector<float>(8, 0.0f)); },
       "rope_freqs"},
      {"rope factor NaN", "llama",
       [](TinyModel& m) { m.add_floats("rope_freqs.weight", {8}, std::vector<float>(8, kNan)); },
       "rope_freqs"},
      {"planes without coefficients", "llama",
       [](TinyModel& m) {
         m.add_matrix("blk.0.attn_q.weight", "bitplane k=2 g=64", 64, 64, tiny_draws("x", 64 * 64));
         m.remove("blk.0.attn_q.weight.coef");
       },
       "blk.0.attn_q.weight"},
      {"planes of a shape of their own", "llama",
       [](TinyModel& m) {
         m.add_matrix("blk.0.attn_q.weight", "bitplane k=2 g=64", 64, 64, tiny_draws("x", 64 * 64));
         m.set("planeloom.shape.blk.0.attn_q.weight", std::vector<int64_t>{64, kBig});
       },
       "blk.0.attn_q.weight"},
      {"an unknown codec", "llama",
       [](TinyModel& m) {
         m.set("planeloom.layout", int64_t{3});
         m.set("planeloom.codec.blk.0.attn_q.weight", kSpiral);
       },
       "spiral"},
      {"planes of another layout", "llama",
       set("planeloom.codec.blk.0.attn_q.weight", std::string("bitplane k=2 g=64")), "layout"},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

void expect_errors(const std::vector<Hostile>& cases) {
  for (const Hostile& c : cases) {
    TinyOptions options;
    options.architecture = c.architecture;
    if (options.architecture == "gemma3")
      options.metadata.emplace_back("gemma3.attention.sliding_window", uint32_t{4});
    const auto file = make_tiny_model(options);
    ASSERT_TRUE(load_model(std::shared_ptr<const ModelFile>(file)))
        << c.what << ": sound before the change";
    c.change(*file);
    const auto model = load_model(std::shared_ptr<const ModelFile>(file));
    EXPECT_FALSE(model) << c.what << " was accepted";
    if (model) continue;
    EXPECT_EQ(model.error().message.front(), '[') << model.error().message;
    EXPECT_NE(model.error().message.find(c.says), std::string::npos)
        << c.what << ": " << model.error().message;
  }
}

TEST(HostileModel, ConfigurationsAreRefusedByName) { expect_errors(configurations()); }
TEST(HostileModel, WeightsAreRefusedByName) { expect_errors(weights()); }

/// An empty file, and an odd head size that also states its values.
TEST(HostileModel, NothingAndOddHeads) {
  EXPECT_FALSE(load_model(std::shared_ptr<const ModelFile>(std::make_shared<TinyModel>())));
  TinyOptions options;
  options.head_dim = 15;
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("head size 15 is odd"), std::string::npos);
}

/// What old converters wrote and nobody needs is no reason to refuse a model.
TEST(HostileModel, OldRotaryTensorsAreLeftAlone) {
  const auto file = make_tiny_model({});
  file->add_floats("blk.0.attn_rot_embd", {8}, std::vector<float>(8, 1.0f));
  const auto model = load_model(std::shared_ptr<const ModelFile>(file));
  EXPECT_TRUE(model) << model.error().message;
}

TEST(HostileModel, TheOldNameOfLinearScalingCounts) {
  TinyOptions old, present;
  old.metadata.emplace_back("llama.rope.scale_linear", 4.0f);
  present.metadata.emplace_back("llama.rope.scaling.factor", 4.0f);
  const auto a = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(old)));
  const auto b = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(present)));
  const auto plain = load_model(std::shared_ptr<const ModelFile>(make_tiny_model({})));
  ASSERT_TRUE(a && b && plain);
  EXPECT_EQ(a->config.rope.frequency, b->config.rope.frequency);
  EXPECT_NE(a->config.rope.frequency, plain->config.rope.frequency);
}

/// Numbers that are legal but absurd: the logits may be anything, the program goes on.
TEST(HostileModel, AbsurdNumbersDoNotCrash) {
  for (float value : {kNan, kInfinity, 3e38f, -3e38f, 1e-45f}) {
    TinyOptions options;
    options.storage = "Q8_0";
    const auto file = make_tiny_model(options);
    file->add_floats("blk.0.attn_norm.weight", {64}, std::vector<float>(64, value));
    const auto model = load_model(std::shared_ptr<const ModelFile>(file));
    ASSERT_TRUE(model) << model.error().message;
    const std::vector<int32_t> tokens{1, 2, 3, 4, 5};
    for (Isa isa : supported_isas())
      for (ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8}) {
        RunOptions run;
        run.isa = isa;
        run.activations = mode;
        EXPECT_EQ(run_tokens(*model, tokens, run).size(), 5u * 48u);
      }
  }
}

TEST(HostileSession, TokensAndContextsOutOfRange) {
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(TinyOptions{})));
  ASSERT_TRUE(model) << model.error().message;
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  for (int64_t context : {kBig, int64_t{1} << 62, int64_t{1} << 40, (int64_t{1} << 24) + 1})
    EXPECT_FALSE(Session::create(*model, compute, {context})) << context;
  auto session = Session::create(*model, compute, {4});
  ASSERT_TRUE(session) << session.error().message;
  const auto read = [&](std::vector<int32_t> tokens) {
    return (*session)->decode(tokens).has_value();
  };
  EXPECT_FALSE(read({}));
  EXPECT_FALSE(read({48}));
  EXPECT_FALSE(read({-1}));
  EXPECT_FALSE(read({1, 2, 3, std::numeric_limits<int32_t>::max()}));
  EXPECT_FALSE(read({1, 2, 3, 4, 5}));
  EXPECT_EQ((*session)->position(), 0);
  EXPECT_TRUE(read({1, 2, 3, 4}));
  EXPECT_FALSE(read({1}));
  EXPECT_EQ((*session)->position(), 4);
}

}  // namespace
}  // namespace planeloom
