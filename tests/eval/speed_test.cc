// What is measured is not tested here, but that all that was asked for is, once per round.
#include "eval/speed.h"

#include <gtest/gtest.h>

#include "models/tiny_model.h"

namespace planeloom {
namespace {

struct Quiet : Progress {
  void update(std::string_view, uint64_t, uint64_t) override {}
};

class SpeedTest : public testing::Test {
 protected:
  Model model_ = load_model(std::shared_ptr<const ModelFile>(make_tiny_model({}))).value();
  ThreadPool pool_{2};
  Compute compute_{&pool_, &kernels_for(supported_isas().back())};
  Quiet quiet_;
};

TEST_F(SpeedTest, BatchesAreMeasuredInOrderAndBesideOneToken) {
  SpeedOptions options;
  options.batches = {8, 2, 8};
  options.rounds = 3;
  const auto sweep = measure_batches(model_, compute_, options, quiet_).value();
  ASSERT_EQ(sweep.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(sweep[i].size, (std::array{1, 2, 8})[i]);
    EXPECT_EQ(sweep[i].seconds.size(), 3u);
  }
}

TEST_F(SpeedTest, ContextsMayExceedTheTrainedOne) {
  SpeedOptions options;
  options.contexts = {4000, 0};
  options.rounds = 2;
  const auto sweep = measure_contexts(model_, compute_, options, quiet_).value();
  ASSERT_EQ(sweep.size(), 2u);
  EXPECT_EQ(sweep[0].size, 0);
  EXPECT_EQ(sweep[1].size, 4000);
  for (const SweepSpeed& s : sweep) {
    EXPECT_EQ(s.seconds.size(), 2u);
    EXPECT_GT(s.peak_rss, uint64_t{1} << 20);
  }
}

TEST_F(SpeedTest, AContextThatCannotBeIsAnError) {
  SpeedOptions options;
  options.contexts = {int64_t{1} << 24};
  EXPECT_FALSE(measure_contexts(model_, compute_, options, quiet_));
}

}  // namespace
}  // namespace planeloom
