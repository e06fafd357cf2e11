// The gradient against differences of the loss itself, for every family and every kind of scalar.
#include "train/gradient.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "models/session.h"
#include "models/tiny_model.h"

namespace planeloom {
namespace {

Model load(const TinyOptions& options) {
  auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : Model{};
}

/// Logits of a model that is not the one being tuned.
std::vector<float> other_logits(int64_t n, int64_t vocab) {
  Rng rng(9);
  std::vector<float> logits(static_cast<size_t>(n * vocab));
  for (float& x : logits) x = static_cast<float>(2 * rng.normal());
  return logits;
}

/// What a model says itself, as Gradient does.
std::vector<float> logits_of(const Model& model, const Compute& compute,
                             const std::vector<int32_t>& tokens) {
  SessionOptions options;
  options.context = static_cast<int64_t>(tokens.size());
  options.activations = ActivationMode::kFloat;
  const auto session = Session::create(model, compute, options);
  EXPECT_TRUE(session);
  std::vector<float> out;
  EXPECT_TRUE((*session)->forward(tokens, 0, [&](int64_t, int64_t n, const float* row) {
    out.insert(out.end(), row, row + n * model.vocab());
  }));
  return out;
}

struct Case {
  const char* name;
  TinyOptions options;
};

std::vector<Case> cases() {
  TinyOptions base;
  std::vector<Case> all{{"llama", base}};
  TinyOptions qwen2 = base, qwen3 = base, gemma = base, codes = base;
  qwen2.architecture = "qwen2";
  qwen3.architecture = "qwen3";
  gemma.architecture = "gemma3";
  gemma.tied = true;
  gemma.metadata = {{"gemma3.attention.sliding_window", uint32_t{8}}};
  codes.storage = "Q4_0";
  return {{"llama", base}, {"qwen2", qwen2}, {"qwen3", qwen3}, {"gemma3", gemma}, {"codes", codes}};
}

class GradientOf : public testing::TestWithParam<Case> {};

TEST_P(GradientOf, IsWhatDifferencesOfTheLossSay) {
  const Model model = load(GetParam().options);
  ThreadPool pool(2);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  auto gradient = Gradient::make(model, compute, ActivationMode::kFloat);
  ASSERT_TRUE(gradient) << gradient.error().message;
  const std::vector<int32_t> tokens = random_tokens(21, model.vocab());
  const std::vector<float> wanted = other_logits(21, model.vocab());
  const auto reference = [&](int64_t first, int64_t) {
    return wanted.data() + first * model.vocab();
  };
  Rng rng(11);
  Scalars factors(model, 1.0f), found(model, 0.0f);
  for (float& f : factors.all()) f += static_cast<float>(0.05 * rng.normal());
  const double kl = gradient->add(tokens, factors, reference, 1.0f, found);
  EXPECT_EQ(gradient->loss(tokens, factors, reference), kl);
  // Along random directions within each kind of scalar, and along all.
  const auto check = [&](const char* what, std::span<float> part) {
    const auto begin = static_cast<size_t>(part.data() - factors.all().data());
    std::vector<float> direction(part.size());
    double slope = 0;
    for (size_t i = 0; i < part.size(); ++i) {
      direction[i] = static_cast<float>(rng.normal());
      slope += static_cast<double>(direction[i]) * found.all()[begin + i];
    }
    const float step = 2e-3f;
    const auto loss_at = [&](float t) {
      Scalars moved = factors;
      for (size_t i = 0; i < part.size(); ++i) moved.all()[begin + i] += t * direction[i];
      return gradient->loss(tokens, moved, reference);
    };
    const double measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
    EXPECT_NEAR(slope, measured, 2e-3 + 0.01 * std::fabs(measured)) << what;
  };
  for (int64_t l = 0; l < model.config.layers; ++l) {
    constexpr const char* kLinears[] = {"q", "k", "v", "o", "gate", "up", "down"};
    for (const Linear linear : kBlockLinears)
      check(kLinears[static_cast<size_t>(linear)], factors.rows(l, linear));
    for (const Norm norm : kBlockNorms)
      if (!factors.gains(l, norm).empty())
        check(norm_name(l, norm).c_str(), factors.gains(l, norm));
  }
  check("output norm", factors.output_gains());
  check("all", factors.all());
}

/// For small changes u of the rows' factors KL(model || changed) is half of E[(u . g)^2], g the
/// gradient of a drawn text's log likelihood.
TEST_P(GradientOf, OfDrawnTokensIsTheCurvatureOfTheDivergence) {
  TinyOptions options = GetParam().options;
  options.tied = false;  // with random weights a tied head is sure that the token comes again
  const Model model = load(options);
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  auto gradient = Gradient::make(model, compute, ActivationMode::kFloat);
  ASSERT_TRUE(gradient) << gradient.error().message;
  constexpr int64_t kTokens = 9;
  const std::vector<int32_t> tokens = random_tokens(kTokens, model.vocab());
  const std::vector<float> own = logits_of(model, compute, tokens);
  const auto reference = [&](int64_t first, int64_t) { return own.data() + first * model.vocab(); };
  Rng rng(5);
  Scalars factors(model, 1.0f);
  std::vector<float> direction(factors.rows(1, Linear::kUp).size());
  for (float& u : direction) u = static_cast<float>(rng.normal());
  const float step = 0.02f;
  double kl = 0;
  for (const float t : {step, -step}) {
    for (size_t i = 0; i < direction.size(); ++i)
      factors.rows(1, Linear::kUp)[i] = 1 + t * direction[i];
    kl += 0.5 * kTokens * gradient->loss(tokens, factors, reference);
  }
  constexpr int kDraws = 1000;
  double sum = 0, sum2 = 0, mean = 0;
  int64_t heard = 0;
  for (int n = 0; n < kDraws; ++n) {
    Scalars g(model, 0.0f);
    gradient->fisher(
        tokens, static_cast<uint64_t>(1000 * n),
        [&](int64_t, Linear linear, Rows d) {
          heard += d.rows == kTokens;
          if (linear == Linear::kUp) {
            EXPECT_EQ(d.cols, model.config.ffn);
          }
        },
        g);
    double along = 0;
    for (size_t i = 0; i < direction.size(); ++i)
      along += static_cast<double>(direction[i]) * g.rows(1, Linear::kUp)[i];
    mean += along / kDraws;
    sum += along * along / kDraws;
    sum2 += std::pow(along, 4) / kDraws;
  }
  EXPECT_EQ(heard, kDraws * model.config.layers * static_cast<int64_t>(std::size(kBlockLinears)));
  const double error = std::sqrt((sum2 - sum * sum) / kDraws);  // of `sum`, one deviation
  EXPECT_NEAR(sum, 2 * kl / (step * step), 4 * error + 0.03 * sum);
  EXPECT_LT(std::abs(mean), 4 * std::sqrt(sum / kDraws));  // nothing pulls anywhere
}

INSTANTIATE_TEST_SUITE_P(Families, GradientOf, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Gradient, LossIsTheDivergenceThatPerplexityMeasures) {
  const Model model = load({});
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  SessionOptions options;
  options.activations = ActivationMode::kFloat;
  options.cache = DType::kF32;
  auto session = Session::create(model, compute, options);
  ASSERT_TRUE(session);
  const std::vector<int32_t> tokens = random_tokens(9, model.vocab());
  std::vector<float> own;
  ASSERT_TRUE((*session)->forward(tokens, 0, [&](int64_t, int64_t n, const float* logits) {
    own.insert(own.end(), logits, logits + n * model.vocab());
  }));
  auto gradient = Gradient::make(model, compute, ActivationMode::kFloat);
  ASSERT_TRUE(gradient);
  Scalars factors(model, 1.0f), found(model, 0.0f);
  const double kl = gradient->add(
      tokens, factors, [&](int64_t first, int64_t) { return own.data() + first * model.vocab(); },
      1.0f, found);
  EXPECT_NEAR(kl, 0, 1e-6);  // its own logits: nothing to learn
  for (const float g : found.all()) ASSERT_NEAR(g, 0, 1e-5);
}

TEST(Gradient, SameBitsForAnyThreadsAndIsa) {
  TinyOptions options;
  options.architecture = "gemma3";
  options.tied = true;
  options.storage = "bitplane k=2 g=32";
  const Model model = load(options);
  const std::vector<int32_t> tokens = random_tokens(40, model.vocab());
  const std::vector<float> wanted = other_logits(40, model.vocab());
  std::vector<float> first;
  for (const Isa isa : supported_isas())
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      const Compute compute{&pool, &kernels_for(isa)};
      auto gradient = Gradient::make(model, compute, ActivationMode::kFloat);
      ASSERT_TRUE(gradient);
      Scalars factors(model, 1.0f), found(model, 0.0f);
      gradient->add(
          tokens, factors, [&](int64_t at, int64_t) { return wanted.data() + at * model.vocab(); },
          1.0f, found);
      const std::vector<float> values(found.all().begin(), found.all().end());
      if (first.empty()) first = values;
      ASSERT_EQ(values, first) << isa_name(isa) << " with " << threads;
    }
}

TEST(Gradient, SoftCapsAreRefused) {
  Model model = load({});
  model.config.final_softcap = 30;
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  EXPECT_FALSE(Gradient::make(model, compute, ActivationMode::kFloat));
}

}  // namespace
}  // namespace planeloom
