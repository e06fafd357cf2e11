// Quantizing with what the outputs mean to the loss.
#include <gtest/gtest.h>

#include <csignal>

#include "compress/quantize_model.h"
#include "compress/run_helpers.h"
#include "train/output_gradients.h"

namespace planeloom {
namespace {

class Guide : public testing::Test {
 protected:
  void SetUp() override {
    model_ = tiny();
    options_.quant.method = "trellis";
    options_.rotation_seed = 1;
    options_.upstream = 0.5;
    options_.calibration.windows = 6;
    options_.calibration.context = 64;
    options_.guide_windows = 4;
  }

  Result<QuantizeSummary> run(const std::string& name, Progress& progress, int threads = 1) {
    ThreadPool pool(threads);
    const Compute compute{&pool, &kernels_for(supported_isas().back())};
    if (options_.guide_windows > 0)
      options_.learn_outputs = [&](const Model& model, const CalibrationText& text) {
        learnt_from_ = text.windows();
        return output_gradients(model, text, 1, compute, progress);
      };
    return quantize_model(model_, folder_.path / name, options_, compute, progress);
  }
  std::string bytes(const std::string& name, int threads = 1) {
    Silent progress;
    return bytes_after(run(name, progress, threads), folder_.path / name);
  }

  Folder folder_;
  Model model_;
  QuantizeOptions options_;
  int64_t learnt_from_ = 0;
};

TEST_F(Guide, WantsWhatCarriesOverToOtherText) {
  EXPECT_TRUE(OutputMoments::wanted(Linear::kUp, 128));
  EXPECT_TRUE(OutputMoments::wanted(Linear::kQ, 4096));
  EXPECT_FALSE(OutputMoments::wanted(Linear::kQ, 64));  // one block: nothing comes after it
  EXPECT_FALSE(OutputMoments::wanted(Linear::kQ, 100));
  EXPECT_FALSE(OutputMoments::wanted(Linear::kUp, 8192));
  EXPECT_FALSE(OutputMoments::wanted(Linear::kGate, 128));
  EXPECT_FALSE(OutputMoments::wanted(Linear::kV, 128));
  EXPECT_EQ(OutputMoments::bytes(model_),  // up: 128 x 64, the others have 64 rows at most
            static_cast<uint64_t>(model_.config.layers) * 128 * 128 * sizeof(float));
}

TEST_F(Guide, ChangesTheWidestLinearsOnlyAndKeepsTheBits) {
  const std::string guided = bytes("guided.gguf");
  EXPECT_EQ(learnt_from_, 4);
  options_.guide_windows = 0;
  EXPECT_EQ(bytes("plain.gguf").size(), guided.size());
  const auto a = load_model(folder_.path / "guided.gguf"),
             b = load_model(folder_.path / "plain.gguf");
  ASSERT_TRUE(a && b);
  const auto same = [&](Linear linear) {
    return std::ranges::equal(a->layers[0].at(linear).codes, b->layers[0].at(linear).codes);
  };
  EXPECT_TRUE(same(Linear::kQ));
  EXPECT_TRUE(same(Linear::kGate));
  EXPECT_FALSE(same(Linear::kUp));
}

TEST_F(Guide, SameBytesForAnyThreads) {
  const std::string want = bytes("one.gguf", 1);
  EXPECT_TRUE(bytes("three.gguf", 3) == want);
}

/// Ctrl-C at a stage's n-th step.
struct StopsIn : Silent {
  std::string stage;
  uint64_t step;
  StopsIn(std::string s, uint64_t n) : stage(std::move(s)), step(n) {}
  void update(std::string_view now, uint64_t done, uint64_t) override {
    if (now == stage && done >= step) raise(SIGINT);
  }
};

TEST_F(Guide, InterruptedAndResumedEqualsUninterrupted) {
  const std::string want = bytes("want.gguf");
  for (const char* stage : {"guide", "quantize"}) {
    StopsIn stop(stage, 2);
    install_interrupt_handler();
    const auto stopped = run("got.gguf", stop);
    clear_interrupt();
    ASSERT_FALSE(stopped) << stage;
    EXPECT_NE(stopped.error().message.find("interrupted"), std::string::npos);
  }
  EXPECT_TRUE(bytes("got.gguf") == want);
}

TEST_F(Guide, NeedsAText) {
  options_.upstream = 0;
  options_.calibration.sources = {std::string(kNoSource)};
  Silent progress;
  EXPECT_FALSE(run("none.gguf", progress));
}

}  // namespace
}  // namespace planeloom
