// Tiny random models of every family against transformers in float32 (tools/make_golden.py wrote
// tests/golden).
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "models/tiny_model.h"
#include "models/tiny_run.h"

namespace planeloom {
namespace {

using Json = nlohmann::json;

struct Golden {
  TinyOptions options;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // (tokens, vocab)
};

MetaValue meta_value(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_unsigned()) return value.get<uint32_t>();
  if (value.is_number()) return value.get<float>();
  return value.get<std::vector<bool>>();
}

Golden read_golden(const std::string& name) {
  const auto text = read_file(std::string(PLANELOOM_TEST_DATA) + "/golden/" + name + ".json");
  EXPECT_TRUE(text) << "tests/golden/" << name << ".json";
  if (!text) return {};
  const Json json = Json::parse(*text);
  Golden g;
  const Json& o = json["options"];
  g.options.architecture = o["architecture"];
  g.options.vocab = o["vocab"];
  g.options.width = o["width"];
  g.options.heads = o["heads"];
  g.options.kv_heads = o["kv_heads"];
  g.options.head_dim = o["head_dim"];
  g.options.ffn = o["ffn"];
  g.options.layers = o["layers"];
  g.options.context = o["context"];
  g.options.tied = o["tied"];
  for (const auto& [key, value] : json["metadata"].items())
    g.options.metadata.emplace_back(key, meta_value(value));
  g.tokens = json["tokens"].get<std::vector<int32_t>>();
  for (const Json& row : json["logits"])
    for (const Json& value : row) g.logits.push_back(value.get<float>());
  EXPECT_EQ(g.logits.size(), g.tokens.size() * static_cast<size_t>(g.options.vocab));
  return g;
}

/// How far two correct float32 computations may lie apart. A half block or the head adds rounding
/// errors of about (longest sum / 16 lanes + a few) * 2^-24 relative to its vectors' norms; the
/// next norm passes them on at scale 1, so they add over the 2 layers + 1 stages and end as an
/// error of the normed hidden vector, whose length is at most sqrt(width) * the largest gain. A
/// logit is that vector times a row of the head. This is an estimate, not a proof, so the test
/// below also shows that it is hundreds of times smaller than what any wrong detail changes.
double rounding_bound(const Model& model) {
  const Config& c = model.config;
  const auto longest = static_cast<double>(std::max({c.width, c.ffn, c.q_width()}));
  const double roundings = longest / 16 + 8;
  const auto stages = static_cast<double>(2 * c.layers + 1);
  double gain = 0, row_norm = 0;
  for (float g : model.output_norm) gain = std::max(gain, std::fabs(static_cast<double>(g)));
  std::vector<float> row(static_cast<size_t>(c.width));
  for (int64_t r = 0; r < model.vocab(); ++r) {
    model.head.codec->decode_row(model.head, r, row.data());
    double sum = 0;
    for (float w : row) sum += static_cast<double>(w) * w;
    row_norm = std::max(row_norm, std::sqrt(sum));
  }
  return 0x1.0p-24 * stages * roundings * row_norm * gain * std::sqrt(static_cast<double>(c.width));
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a[i]) - b[i]);
    largest = d > largest || std::isnan(d) ? d : largest;
    if (std::isnan(d)) return INFINITY;
  }
  return largest;
}

Model load(const TinyOptions& options) {
  auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : Model{};
}

class Goldens : public testing::TestWithParam<std::string> {};

TEST_P(Goldens, AgreesWithTransformers) {
  Golden golden = read_golden(GetParam());
  for (bool hugging_face : {false, true}) {
    golden.options.hugging_face = hugging_face;
    const Model model = load(golden.options);
    ASSERT_FALSE(model.layers.empty());
    const double bound = rounding_bound(model);
    for (Isa isa : supported_isas()) {
      RunOptions options;
      options.isa = isa;
      const double d = largest_difference(run_tokens(model, golden.tokens, options), golden.logits);
      EXPECT_LT(d, bound) << isa_name(isa) << (hugging_face ? " huggingface" : " gguf");
      if (isa == Isa::kScalar && !hugging_face) {
        RecordProperty("largest_difference", fmt::format("{:.2e}", d));
        RecordProperty("bound", fmt::format("{:.2e}", bound));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Goldens,
                         testing::Values("llama_gqa_untied", "llama_mha_tied", "llama_head_dim",
                                         "llama_rope_linear", "llama_rope_llama3",
                                         "llama_rope_yarn", "qwen2_bias", "qwen3_qk_norm",
                                         "gemma3_window", "gemma3_variants"),
                         [](const auto& info) { return info.param; });

/// One detail of a family told wrongly.
struct Mutation {
  const char* golden;
  const char* key;
  MetaValue value;
};

TEST(GoldenBound, IsFarBelowWhatAWrongDetailChanges) {
  const std::string none = "none", linear = "linear", folder = "huggingface";
  const Mutation mutations[] = {
      {"llama_gqa_untied", "planeloom.source",
       folder},  // rows permuted, rotated as if they were not
      {"llama_gqa_untied", "llama.rope.freq_base", 20000.0f},
      {"llama_gqa_untied", "llama.attention.layer_norm_rms_epsilon", 1e-2f},
      {"llama_rope_linear", "llama.rope.scaling.type", none},
      {"llama_rope_llama3", "llama.rope.scaling.type", linear},
      {"llama_rope_llama3", "llama.rope.scaling.high_freq_factor", 5.0f},
      {"llama_rope_yarn", "llama.rope.scaling.type", linear},
      {"llama_rope_yarn", "llama.rope.scaling.original_context_length", uint32_t{256}},
      {"qwen2_bias", "qwen2.rope.freq_base", 10000.0f},
      {"qwen3_qk_norm", "qwen3.rope.freq_base", 10000.0f},
      {"gemma3_window", "gemma3.attention.sliding_window", uint32_t{7}},
      {"gemma3_window", "gemma3.rope.freq_base_swa", 20000.0f},
      {"gemma3_window", "gemma3.rope.freq_base", 10000.0f},
      {"gemma3_window", "gemma3.attention.sliding_window_pattern", uint32_t{5}},
      {"gemma3_variants", "gemma3.attention.sliding_window_pattern",
       std::vector<bool>{true, true, true}},
      {"gemma3_variants", "gemma3.attention.scale", 0.25f},
      {"gemma3_variants", "gemma3.final_logit_softcapping", 0.0f},
      {"gemma3_variants", "gemma3.rope.scaling.type", none},
  };
  for (const Mutation& m : mutations) {
    Golden golden = read_golden(m.golden);
    golden.options.metadata.emplace_back(m.key, m.value);
    const Model model = load(golden.options);
    ASSERT_FALSE(model.layers.empty());
    const double d = largest_difference(run_tokens(model, golden.tokens, {}), golden.logits);
    EXPECT_GT(d, 100 * rounding_bound(model)) << m.golden << " " << m.key;
  }
}

/// A GGUF of Llama 3 states its scaling as a tensor of divisors; both ways must give the same
/// frequencies.
TEST(Golden, RopeFactorTensorEqualsLlama3Keys) {
  Golden golden = read_golden("llama_rope_llama3");
  const Model with_keys = load(golden.options);
  const RopeTable plain = plain_rope(golden.options.head_dim, 10000.0);
  std::vector<float> factors;
  for (size_t i = 0; i < plain.frequency.size(); ++i)
    factors.push_back(plain.frequency[i] / with_keys.config.rope.frequency[i]);
  golden.options.metadata.clear();
  const auto file = make_tiny_model(golden.options);
  file->add_floats("rope_freqs.weight", {static_cast<int64_t>(factors.size())}, factors);
  auto model = load_model(std::shared_ptr<const ModelFile>(file));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_GT(*std::max_element(factors.begin(), factors.end()), 7.9f);
  EXPECT_LT(largest_difference(run_tokens(*model, golden.tokens, {}), golden.logits),
            rounding_bound(*model));
}

}  // namespace
}  // namespace planeloom
