#include "compress/layer_scores.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "compress/allocation.h"
#include "compress/oracle.h"
#include "compress/quantize_model.h"
#include "compress/run_helpers.h"
#include "compress/text_pass.h"
#include "eval/perplexity.h"

namespace planeloom {
namespace {

constexpr int64_t kContext = 32;

CalibrationText some_text(int64_t windows, uint64_t seed) {
  Rng rng(seed);
  CalibrationText text{kContext, {}, "drawn"};
  for (int64_t i = 0; i < windows * kContext; ++i)
    text.tokens.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(tiny().vocab()))));
  return text;
}

struct Scores : testing::Test {
  ThreadPool pool{2};
  Compute compute{&pool, &kernels_for(Isa::kScalar)};
  Silent silent;
  Model model = tiny();
};

TEST_F(Scores, AWholePassIsPerplexity) {
  const CalibrationText text = some_text(3, 1);
  const auto pass = TextPass::create(model, text, {}, compute);
  ASSERT_TRUE(pass) << pass.error().message;
  const auto surprise = [&](int64_t, std::span<const float> logits, int32_t next,
                            std::vector<float>& scratch) {
    return negative_log_likelihood(*compute.kernels, logits, next, scratch);
  };
  const double mean = (*pass)->mean_loss(0, TextPass::End::kLogits, surprise).value();
  SessionOptions session;
  session.cache = DType::kF32;
  const auto scored =
      score_text(model, compute, session, text.tokens, {kContext, 0, {}}, nullptr, nullptr, silent);
  ASSERT_TRUE(scored) << scored.error().message;
  EXPECT_EQ((*pass)->scored(), scored->tokens);
  EXPECT_NEAR(std::exp(mean), scored->perplexity, 1e-9 * scored->perplexity);
  // From a layer further on it is the same as long as nothing was changed or left out.
  ASSERT_TRUE((*pass)->pass(nullptr));
  EXPECT_EQ((*pass)->mean_loss(1, TextPass::End::kLogits, surprise).value(), mean);
}

TEST_F(Scores, WhatIsNotAskedForIsNotMeasured) {
  const size_t metrics[] = {2, 4, 2};  // of roles, matrices, energies
  for (size_t part = 0; part < 3; ++part) {
    const auto weights = measure_weights(model, {part == 0, part == 1, part == 2}, compute, silent);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->roles.empty(), part != 0);
    EXPECT_EQ(weights->matrices.empty(), part != 1);
    EXPECT_EQ(weights->energies.empty(), part != 2);
    EXPECT_EQ(weight_metrics(*weights).size(), metrics[part]);
  }
}

TEST_F(Scores, KindsAreOfTheStreamAndOfTheKindOfLinear) {
  const auto weights = measure_weights(model, {false, false, true}, compute, silent);
  ASSERT_TRUE(weights) << weights.error().message;
  const std::vector<Metric> metrics = weight_metrics(*weights);
  const auto named = [&](std::string_view name) {
    return *std::ranges::find(metrics, name, &Metric::name);
  };
  const Metric kinds = named("kinds"), stream = named("stream");
  EXPECT_TRUE(kinds.is_cost);
  for (const Linear linear : kBlockLinears) {
    // Of one kind the ratio of costs is a power of that of shares, the same for all kinds.
    const double cost = kinds.of(1, linear) / kinds.of(0, linear),
                 share = stream.of(1, linear) / stream.of(0, linear);
    EXPECT_NEAR(cost, std::pow(share, 0.35), 1e-9 * cost);
  }
  // Values and outputs share their share; one in a value costs more.
  EXPECT_NEAR(kinds.of(0, Linear::kV) / kinds.of(0, Linear::kO), 0.12 / 0.044, 1e-9);
  double sum = 0;
  for (const Linear linear : kBlockLinears) sum += kinds.of(1, linear);
  EXPECT_DOUBLE_EQ(kinds.layer[1], sum);
}

TEST_F(Scores, EveryMetricHasEveryLayerAndIsTheSameForAnyThreads) {
  const CalibrationText text = some_text(2, 2);
  std::vector<Metric> metrics[2];
  for (const int threads : {1, 2}) {
    ThreadPool some(threads);
    const Compute with{&some, compute.kernels};
    const auto weights = measure_weights(model, {}, with, silent);
    ASSERT_TRUE(weights) << weights.error().message;
    const auto on_text = measure_on_text(model, text, 1, with, silent);
    ASSERT_TRUE(on_text) << on_text.error().message;
    EXPECT_GT(on_text->perplexity, 1);
    metrics[threads - 1] = plain_metrics(model.config);
    for (Metric& m : weight_metrics(*weights)) metrics[threads - 1].push_back(std::move(m));
    for (Metric& m : text_metrics(*on_text)) metrics[threads - 1].push_back(std::move(m));
  }
  ASSERT_EQ(metrics[0].size(), 16);
  for (size_t i = 0; i < metrics[0].size(); ++i) {
    const Metric &a = metrics[0][i], &b = metrics[1][i];
    EXPECT_EQ(a.layer.size(), model.layers.size()) << a.name;
    EXPECT_EQ(a.layer, b.layer) << a.name;
    EXPECT_EQ(a.linear, b.linear) << a.name;
    for (const double s : a.layer) EXPECT_TRUE(std::isfinite(s)) << a.name;
  }
}

TEST_F(Scores, NormsAndHeadsThatAreNoNumbersAreNamed) {
  const auto refused = [&](const Model& broken) {
    const auto weights = measure_weights(broken, {}, compute, silent);
    return weights ? "" : weights.error().message;
  };
  Model broken = model;
  broken.layers[1].ffn_norm[3] = NAN;
  EXPECT_EQ(refused(broken), "[scores] norms of layer 1: weights that are no numbers");
  broken = model;
  broken.output_norm[0] = INFINITY;
  EXPECT_EQ(refused(broken), "[scores] the output norm: weights that are no numbers");
  std::vector<float> head(static_cast<size_t>(model.head.rows * model.head.cols), 0.5f);
  head[7] = NAN;
  broken = model;
  broken.head = {gguf_codec(DType::kF32),
                 model.head.rows,
                 model.head.cols,
                 std::as_bytes(std::span(head)),
                 {},
                 nullptr};
  EXPECT_EQ(refused(broken), "[scores] the head: weights that are no numbers");
}

TEST_F(Scores, TheOracleSaysThatTheModelItselfIsDamaged) {
  Model broken = model;
  broken.output_norm[0] = NAN;
  const auto forms = parse_forms(std::vector<std::string>{"trellis2"});
  const auto oracle =
      measure_oracle(broken, some_text(2, 3), some_text(1, 4), {*forms, {}}, compute, silent);
  ASSERT_FALSE(oracle);
  EXPECT_EQ(oracle.error().message,
            "[oracle] what the model says of the text is no number: its weights are damaged");
}

// 4.1 bits of 61,440 weights are a byte less when reckoned in doubles.
TEST_F(Scores, ABudgetOfExactlyWhatAFormTakesIsEnough) {
  for (int64_t layers = 1; layers <= 12; ++layers) {
    TinyOptions shape = tiny_text_options();
    shape.layers = layers;
    const auto sized = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(sized) << sized.error().message;
    for (const char* name : {"tritplane", "bitplane2g64", "bitplane3g96", "trellis3"}) {
      const auto forms = parse_forms(std::vector<std::string>{name});
      ASSERT_TRUE(forms) << name;
      const double bits = bits_range(*sized, *forms)->least;
      const auto made = allocate_by_metric(*sized, plain_metrics(sized->config)[0], *forms,
                                           Grain::kTensor, bits, pool);
      ASSERT_TRUE(made) << layers << " " << name << ": " << made.error().message;
      EXPECT_EQ(made->bits_per_weight, bits);
      EXPECT_FALSE(check_budget(*sized, *forms, bits * (1 - 1e-6)));
    }
  }
}

/// Bits of every form that a linear has, by layer and Linear.
std::vector<std::array<int, kLinears>> bits_of(const Allocation& a,
                                               const std::vector<Form>& forms) {
  std::vector<std::array<int, kLinears>> bits;
  for (const Allocation::Item& item : a.items) {
    bits.resize(static_cast<size_t>(item.layer) + 1);
    for (const Linear linear : item.linears)
      bits.back()[static_cast<size_t>(linear)] = forms[item.chosen].quant.bits;
  }
  return bits;
}

// Where all linears in one form fit, all have it; else none has another than the two next to the
// budget, but for a few that fill the last bytes.
TEST_F(Scores, UniformGivesAllTheSame) {
  TinyOptions shape = tiny_text_options();
  shape.layers = 12;
  const auto sized = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
  ASSERT_TRUE(sized) << sized.error().message;
  const auto forms = parse_forms(std::vector<std::string>{"trellis2", "trellis3", "trellis4"});
  const auto three = parse_forms(std::vector<std::string>{"trellis3"});
  ASSERT_TRUE(forms);
  const Metric uniform = plain_metrics(sized->config)[0];
  EXPECT_EQ(uniform.name, "uniform");
  for (const Grain grain : {Grain::kLayer, Grain::kTensor}) {
    const double all_three = bits_range(*sized, *three)->least;
    const auto all = allocate_by_metric(*sized, uniform, *forms, grain, all_three, pool);
    ASSERT_TRUE(all) << all.error().message;
    for (const auto& layer : bits_of(*all, *forms))
      for (const int bits : layer) EXPECT_EQ(bits, 3);
    const auto most = allocate_by_metric(*sized, uniform, *forms, grain, all_three - 0.5, pool);
    ASSERT_TRUE(most) << most.error().message;
    int fours = 0;
    for (const auto& layer : bits_of(*most, *forms)) fours += std::ranges::count(layer, 4) > 0;
    EXPECT_LE(fours, grain == Grain::kLayer ? 0 : 1);
  }
  // A quarter of the layers: none beside another.
  const auto quarter = allocate_by_metric(*sized, uniform, *forms, Grain::kLayer,
                                          bits_range(*sized, *forms)->least + 0.251, pool);
  ASSERT_TRUE(quarter) << quarter.error().message;
  const auto bits = bits_of(*quarter, *forms);
  int threes = 0;
  for (size_t l = 0; l < bits.size(); ++l) {
    threes += bits[l][0] == 3;
    EXPECT_FALSE(l > 0 && bits[l][0] == 3 && bits[l - 1][0] == 3) << l;
  }
  EXPECT_EQ(threes, 3);
}

TEST_F(Scores, AlikeGivesTheSmallerMore) {
  const auto forms = parse_forms(std::vector<std::string>{"trellis2", "trellis3", "trellis4"});
  ASSERT_TRUE(forms);
  const Metric alike = plain_metrics(model.config)[1];
  EXPECT_EQ(alike.name, "alike");
  const auto found = allocate_by_metric(model, alike, *forms, Grain::kTensor, 2.8, pool);
  ASSERT_TRUE(found) << found.error().message;
  double small = 0, large = 0;
  for (const auto& layer : bits_of(*found, *forms)) {
    small += layer[static_cast<size_t>(Linear::kK)] + layer[static_cast<size_t>(Linear::kV)];
    large += layer[static_cast<size_t>(Linear::kUp)] + layer[static_cast<size_t>(Linear::kDown)];
  }
  EXPECT_GT(small, large);
}

// Linears of a layer that are equal to a measure: nothing is left over for that.
TEST_F(Scores, EqualsUseTheBudget) {
  const auto forms = parse_forms(std::vector<std::string>{"trellis2", "trellis3", "trellis4"});
  ASSERT_TRUE(forms);
  double weights = 0, smallest = INFINITY;
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      weights += static_cast<double>(w.rows * w.cols);
      smallest = std::min(smallest, static_cast<double>(w.rows * w.cols));
    }
  const double budget = bits_range(model, *forms)->most - smallest / weights;  // one bit less in it
  for (const Metric& metric : plain_metrics(model.config)) {
    const auto found = allocate_by_metric(model, metric, *forms, Grain::kTensor, budget, pool);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_NEAR(found->bits_per_weight, budget, 1e-9) << metric.name;
  }
}

// A bit less costs about four times as much, of every linear: nothing else is in the figure.
TEST_F(Scores, TheOracleFallsWithBits) {
  const auto forms = parse_forms(kDefaultForms);
  ASSERT_TRUE(forms);
  OracleOptions options{*forms, {}};
  const auto oracle =
      measure_oracle(model, some_text(4, 3), some_text(2, 4), options, compute, silent);
  ASSERT_TRUE(oracle) << oracle.error().message;
  ASSERT_EQ(oracle->kl.size(), model.layers.size());
  double sum[4] = {};
  for (const auto& layer : oracle->kl)
    for (const auto& linear : layer) {
      ASSERT_EQ(linear.size(), 4);
      for (size_t f = 0; f < 4; ++f) sum[f] += linear[f];
      EXPECT_GT(linear[1], 5 * linear[3]);
    }
  EXPECT_GT(sum[0], 2.5 * sum[1]);
  EXPECT_GT(sum[1], 2.5 * sum[2]);
  EXPECT_GT(sum[2], 2.5 * sum[3]);
  EXPECT_GT(sum[3], 0);
}

TEST_F(Scores, TheOracleGoesOnWhereItWas) {
  const Folder folder;
  const auto forms = parse_forms(std::vector<std::string>{"trellis2"});
  OracleOptions options{*forms, folder.path / "oracle"};
  const auto whole =
      measure_oracle(model, some_text(2, 3), some_text(1, 4), options, compute, silent);
  ASSERT_TRUE(whole) << whole.error().message;
  const fs::path kept = fs::directory_iterator(options.folder)->path();
  const std::string full = bytes_of(kept);
  // The file as an interruption after the first layer leaves it, and as damage does; figures that
  // could be true do not fit their seal, and what fits it must still be a whole answer.
  const auto sealed = [](const nlohmann::json& kl) {
    const std::string text = kl.dump();
    return nlohmann::json{{"kl", kl},
                          {"seal", fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(text))))}}
        .dump();
  };
  const nlohmann::json kl = nlohmann::json::parse(full)["kl"];
  ASSERT_EQ(full, sealed(kl));
  nlohmann::json first = kl, other = kl, long_one = kl;
  first.erase(1);
  other[0][0][0] = 0.125;
  long_one.push_back(kl[0]);
  std::string believable = full;
  believable.replace(believable.find("0."), 3, "0.9");
  for (const std::string& text :
       {sealed(first), believable, full, sealed(long_one), full.substr(0, full.size() / 2),
        nlohmann::json{{"kl", other}, {"seal", nlohmann::json::parse(full)["seal"]}}.dump(),
        sealed(nlohmann::json::array({{{"x"}}})), kl.dump(), std::string(R"({"kl":1,"seal":2})"),
        std::string()}) {
    ASSERT_TRUE(write_file_atomically(kept, text));
    const auto again =
        measure_oracle(model, some_text(2, 3), some_text(1, 4), options, compute, silent);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->kl, whole->kl);
    EXPECT_EQ(bytes_of(kept), full);
  }
}

// One text, split elsewhere, is another question.
TEST_F(Scores, TheOracleKeepsEachSplitOfATextApart) {
  const Folder folder;
  const auto forms = parse_forms(std::vector<std::string>{"trellis2"});
  const OracleOptions options{*forms, folder.path / "oracle"};
  const CalibrationText text = some_text(4, 3);
  for (const int64_t score : {1, 2}) {
    const auto oracle =
        measure_oracle(model, text.first(4 - score), text.last(score), options, compute, silent);
    ASSERT_TRUE(oracle) << oracle.error().message;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(options.folder), {}), 2);
}

// Layers far beyond the others are still told apart, and a layer is served by its own score.
TEST_F(Scores, AnAllocationServesTheHighestLayersFirst) {
  const auto forms = parse_forms(std::vector<std::string>{"trellis2", "trellis4"});
  const auto layers = static_cast<int64_t>(model.layers.size());
  for (int64_t best = 0; best < layers; ++best) {
    Metric metric{"planted", std::vector<double>(model.layers.size(), 1e6), {}};
    metric.layer[static_cast<size_t>(best)] = 1.1e6;
    metric.layer[static_cast<size_t>((best + 1) % layers)] = 0;
    metric.linear.resize(model.layers.size());  // says otherwise
    for (auto& linear : metric.linear) linear.fill(3);
    for (double& x : metric.linear[static_cast<size_t>((best + 1) % layers)]) x = 9;
    const double bits = 2.3 + 2.0 / static_cast<double>(layers);
    const auto found = allocate_by_metric(model, metric, *forms, Grain::kLayer, bits, pool);
    ASSERT_TRUE(found) << found.error().message;
    const auto own = found->options(*forms);
    for (int64_t l = 0; l < layers; ++l)
      EXPECT_EQ(own.at({l, Linear::kDown}).bits, l == best ? 4 : 2) << best << " " << l;
  }
}

TEST_F(Scores, WithoutNumbersAnAllocationStillFits) {
  const auto forms = parse_forms(kDefaultForms);
  for (const double value : {std::nan(""), 0.0, 1e300, -1e300}) {
    Metric metric{"broken", std::vector<double>(model.layers.size(), value), {}};
    for (const Grain grain : {Grain::kLayer, Grain::kTensor}) {
      const auto found = allocate_by_metric(model, metric, *forms, grain, 2.6, pool);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_LE(found->bits_per_weight, 2.6);
    }
  }
}

TEST_F(Scores, AnAllocationFitsAndFollowsItsScores) {
  const auto forms = parse_forms(kDefaultForms);
  Metric metric{"planted", {}, {}};
  metric.layer.assign(model.layers.size(), 0.0);
  metric.layer.back() = 5;
  for (const Grain grain : {Grain::kLayer, Grain::kTensor})
    for (const double bits : {2.4, 2.9, 3.3}) {
      const auto found = allocate_by_metric(model, metric, *forms, grain, bits, pool);
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_LE(found->bits_per_weight, bits);
      if (grain == Grain::kTensor) {
        EXPECT_GT(found->bits_per_weight, bits - 0.08);
      }
      const auto own = found->options(*forms);
      EXPECT_EQ(own.size(), model.layers.size() * kLinears);
      const auto last = static_cast<int64_t>(model.layers.size()) - 1;
      EXPECT_GE(own.at({last, Linear::kDown}).bits, own.at({0, Linear::kDown}).bits);
      if (grain == Grain::kLayer) {
        for (const Linear linear : kBlockLinears)
          EXPECT_EQ(own.at({0, linear}).bits, own.at({0, Linear::kQ}).bits);
      }
    }
  EXPECT_FALSE(allocate_by_metric(model, metric, *forms, Grain::kTensor, 0.9, pool));
}

// Linears of one input in forms of three methods: each as it would be made alone, but for what the
// others before it changed.
TEST_F(Scores, AFileOfSeveralForms) {
  const auto forms =
      parse_forms(std::vector<std::string>{"trellis2", "bitplane2g64", "tritplane", "trellis3"});
  ASSERT_TRUE(forms);
  const Folder folder;
  QuantizeOptions o;
  o.quant = (*forms)[0].quant;
  o.own[{0, Linear::kQ}] = (*forms)[1].quant;
  o.own[{0, Linear::kK}] = (*forms)[2].quant;
  o.own[{0, Linear::kV}] = (*forms)[3].quant;
  o.rotation_seed = 1;
  o.calibration.windows = 1;
  o.calibration.context = 32;
  const auto mixed = quantize_model(model, folder.path / "mixed.gguf", o, compute, silent);
  ASSERT_TRUE(mixed) << mixed.error().message;
  EXPECT_EQ(mixed->tensors[0].codec, "bitplane k=2 g=64 c=8");
  EXPECT_EQ(mixed->tensors[1].codec, "tritplane g=64 r=3:2");
  EXPECT_EQ(mixed->tensors[2].codec, "trellis k=3");
  EXPECT_EQ(mixed->tensors[3].codec, "trellis k=2");
  // The first layer's q, k and v read what no quantizing has changed: the same error as alone.
  for (size_t f = 1; f < forms->size(); ++f) {
    QuantizeOptions alone = o;
    alone.own.clear();
    alone.quant = (*forms)[f].quant;
    const auto all = quantize_model(model, folder.path / "alone.gguf", alone, compute, silent);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->tensors[f - 1].error.output_error, mixed->tensors[f - 1].error.output_error);
    EXPECT_EQ(all->tensors[f - 1].codec, mixed->tensors[f - 1].codec);
  }
}

TEST(Forms, AreReadAndRefused) {
  for (const char* name : {"trellis1", "trellis4", "bitplane2g64", "bitplane4g256", "tritplane"})
    EXPECT_TRUE(parse_form(name)) << name;
  for (const char* name : {"", "trellis", "trellis5", "trellis2x", "bitplane2", "bitplane2g",
                           "bitplane2g63", "bitplane9g64", "tritplane3", "trellis99999999999",
                           "trellis02", "bitplane2g064", "trellis-2", "q4"})
    EXPECT_FALSE(parse_form(name)) << name;
  EXPECT_FALSE(parse_forms(std::vector<std::string>{"trellis2", "trellis2"}));
  EXPECT_FALSE(parse_forms(std::vector<std::string>{}));
}

}  // namespace
}  // namespace planeloom
