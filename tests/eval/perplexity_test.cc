#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "models/tiny_model.h"

namespace planeloom {
namespace {

const Kernels& best() { return kernels_for(supported_isas().back()); }

TEST(Divergence, KlOfKnownDistributions) {
  std::vector<float> p, q;
  const std::vector<float> a{std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const std::vector<float> b{std::log(0.25f) + 3, std::log(0.25f) + 3,
                             std::log(0.5f) + 3};  // shifts change nothing
  EXPECT_EQ(kl_divergence(best(), a, a, p, q), 0.0);
  EXPECT_NEAR(kl_divergence(best(), a, b, p, q), 0.5 * std::log(2.0) + 0.25 * std::log(0.5), 1e-6);
}

TEST(Divergence, IsNotNegativeOnRandomRows) {
  Rng rng(1);
  std::vector<float> p, q, a(300), b(300);
  for (int i = 0; i < 200; ++i) {
    for (size_t k = 0; k < a.size(); ++k) {
      a[k] = static_cast<float>(4 * rng.normal());
      b[k] = a[k] + static_cast<float>(0.001 * rng.normal());
    }
    EXPECT_GT(kl_divergence(best(), a, b, p, q), -1e-6);
  }
}

TEST(Divergence, SummaryUsesNearestRank) {
  std::vector<double> kl;
  for (int i = 100; i >= 1; --i) kl.push_back(i);
  const Divergence d = summarise(kl, 25);
  EXPECT_DOUBLE_EQ(d.mean, 50.5);
  EXPECT_DOUBLE_EQ(d.median, 50);
  EXPECT_DOUBLE_EQ(d.p99, 99);
  EXPECT_DOUBLE_EQ(d.maximum, 100);
  EXPECT_DOUBLE_EQ(d.top1_agreement, 0.25);
  EXPECT_NEAR(d.stderr_mean, 29.011 / 10, 1e-3);
}

TEST(Perplexity, UniformLogitsScoreTheVocabulary) {
  const std::vector<float> row(50, 2.5f);
  EXPECT_NEAR(negative_log_likelihood(row, 7), std::log(50.0), 1e-12);
}

/// A figure made of NaN would look like a result.
TEST(Perplexity, DamagedWeightsAreAnError) {
  const auto file = make_tiny_model({});
  ThreadPool pool(2);
  struct : Progress {
    void update(std::string_view, uint64_t, uint64_t) override {}
  } silent;
  const std::vector<int32_t> tokens(64, 3);
  WindowOptions windows;
  windows.context = 16;
  const auto score = [&] {
    const auto model = load_model(std::shared_ptr<const ModelFile>(file));
    EXPECT_TRUE(model);
    return score_text(*model, {&pool, &kernels_for(Isa::kScalar)}, {}, tokens, windows, nullptr,
                      nullptr, silent);
  };
  ASSERT_TRUE(score());
  file->add_floats("output_norm.weight", {64},
                   std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
  const auto damaged = score();
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().message.find("prediction 0 is nan"), std::string::npos)
      << damaged.error().message;
}

TEST(Windows, CountAsLlamaCppDoes) {
  WindowOptions options;
  EXPECT_EQ(scored_per_window(options), 255);
  EXPECT_EQ(window_count(511, options), 0);
  EXPECT_EQ(window_count(10250, options), 20);
  options.windows = 3;
  EXPECT_EQ(window_count(10250, options), 3);
}

TEST(LogitStore, MemoryAndDiskGiveBackWhatWasStored) {
  for (uint64_t limit : {uint64_t{1} << 20, uint64_t{0}}) {
    auto store = LogitStore::create(3, 4, limit);
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->on_disk(), limit == 0);
    for (int r = 0; r < 3; ++r) {
      const std::vector<float> row{1.0f * r, 2, 3, 4};
      ASSERT_TRUE((*store)->append(row));
    }
    EXPECT_FALSE((*store)->append(std::vector<float>(4)));  // full
    std::vector<float> buffer;
    EXPECT_EQ((*(*store)->row(2, buffer))[0], 2.0f);
    EXPECT_FALSE((*store)->row(3, buffer));
  }
  EXPECT_FALSE(LogitStore::create(int64_t{1} << 40, 1 << 20));
}

}  // namespace
}  // namespace planeloom
