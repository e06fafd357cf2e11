#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "base/rng.h"
#include "eval/speed.h"
#include "models/tiny_model.h"

namespace planeloom {
namespace {

const Kernels& best() { return kernels_for(supported_isas().back()); }

TEST(Divergence, KlOfKnownDistributions) {
  std::vector<float> scratch;
  const std::vector<float> a{std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const std::vector<float> b{std::log(0.25f) + 3, std::log(0.25f) + 3,
                             std::log(0.5f) + 3};  // shifts change nothing
  EXPECT_EQ(kl_divergence(best(), a, a, scratch), 0.0);
  EXPECT_NEAR(kl_divergence(best(), a, b, scratch), 0.5 * std::log(2.0) + 0.25 * std::log(0.5),
              1e-6);
}

TEST(Divergence, IsNotNegativeOnRandomRows) {
  Rng rng(1);
  std::vector<float> scratch, a(300), b(300);
  for (int i = 0; i < 200; ++i) {
    for (size_t k = 0; k < a.size(); ++k) {
      a[k] = static_cast<float>(4 * rng.normal());
      b[k] = a[k] + static_cast<float>(0.001 * rng.normal());
    }
    EXPECT_GT(kl_divergence(best(), a, b, scratch), -1e-6);
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
  std::vector<float> scratch;
  EXPECT_NEAR(negative_log_likelihood(best(), row, 7, scratch), std::log(50.0), 1e-12);
}

/// Presses Ctrl-C at a given report of progress.
struct InterruptAt : Progress {
  explicit InterruptAt(int report = -1) : left(report) { install_interrupt_handler(); }
  ~InterruptAt() override { clear_interrupt(); }
  void update(std::string_view, uint64_t, uint64_t) override {
    if (left-- == 0) raise(SIGINT);
  }
  int left;
};

/// Scores 64 tokens in windows of 16.
Result<TextScore> score(const std::shared_ptr<const ModelFile>& file, Progress& progress,
                        LogitStore* record = nullptr) {
  ThreadPool pool(2);
  const std::vector<int32_t> tokens(64, 3);
  WindowOptions windows;
  windows.context = 16;
  PL_TRY(const Model model, load_model(file));
  return score_text(model, {&pool, &kernels_for(Isa::kScalar)}, {}, tokens, windows, nullptr,
                    record, progress);
}

/// A figure made of NaN would look like a result.
TEST(Perplexity, DamagedWeightsAreAnError) {
  const auto file = make_tiny_model({});
  InterruptAt never;
  ASSERT_TRUE(score(file, never));
  file->add_floats("output_norm.weight", {64},
                   std::vector<float>(64, std::numeric_limits<float>::quiet_NaN()));
  const auto damaged = score(file, never);
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().message.find("prediction 0 is nan"), std::string::npos)
      << damaged.error().message;
}

TEST(Perplexity, CtrlCKeepsTheFinishedWindows) {
  const auto file = make_tiny_model({});
  {
    InterruptAt third(2);  // reported before the third window
    const auto part = score(file, third);
    ASSERT_TRUE(part) << part.error().message;
    EXPECT_TRUE(part->interrupted);
    EXPECT_EQ(part->windows, 3);
    EXPECT_EQ(part->tokens, 3 * 7);
  }
  {
    InterruptAt third(2);
    auto store = LogitStore::create(4 * 7, 48);
    ASSERT_TRUE(store);
    EXPECT_FALSE(score(file, third, store->get())) << "half a reference is none";
  }
  InterruptAt never;
  const auto whole = score(file, never);
  ASSERT_TRUE(whole);
  EXPECT_FALSE(whole->interrupted);
  EXPECT_EQ(whole->windows, 4);
}

TEST(Speed, CtrlCKeepsTheFinishedRounds) {
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model({})));
  ASSERT_TRUE(model);
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  SpeedOptions options;
  options.prompt = 4;
  options.answer = 3;
  options.rounds = 5;
  {
    InterruptAt second(2);  // two reports per round: after the prompt, after the answer
    const auto speed = measure_speed(*model, compute, options, second);
    ASSERT_TRUE(speed) << speed.error().message;
    EXPECT_EQ(speed->prefill.seconds.size(), 2u);
    EXPECT_EQ(speed->decode.seconds.size(), 1u);
  }
  InterruptAt never;
  raise(SIGINT);
  EXPECT_FALSE(measure_speed(*model, compute, options, never));
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
