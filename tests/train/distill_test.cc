#include "train/distill.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "compress/quantize_model.h"
#include "compress/run_helpers.h"
#include "train/scalars.h"

namespace planeloom {
namespace {

/// A tiny model, and what two bits left of it.
class Distill : public testing::Test {
 protected:
  void SetUp() override {
    original_ = tiny();
    options_.steps = 12;
    options_.rate = 0.01;
    options_.text.windows = 3;
    options_.text.context = 32;
    quantized_ = quantize("trellis", Coefficients::kHalf);
  }

  Model quantize(const std::string& method, Coefficients coefficients) {
    QuantizeOptions o;
    o.quant.method = method;
    o.quant.coefficients = coefficients;
    o.calibration = options_.text;
    if (method == "trellis") o.rotation_seed = 1;
    ThreadPool pool(1);
    Silent progress;
    const fs::path path = folder_.path / (method + ".gguf");
    const auto done =
        quantize_model(original_, path, o, {&pool, &kernels_for(Isa::kScalar)}, progress);
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    auto model = load_model(path);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return *model;
  }

  Result<DistillSummary> run(const std::string& name, Progress& progress, int threads = 1,
                             Isa isa = supported_isas().back()) {
    ThreadPool pool(threads);
    return distill(original_, quantized_, folder_.path / name, options_, {&pool, &kernels_for(isa)},
                   progress);
  }
  std::string bytes(const std::string& name, int threads = 1) {
    Silent progress;
    return bytes_after(run(name, progress, threads), folder_.path / name);
  }

  Folder folder_;
  Model original_, quantized_;
  DistillOptions options_;
};

TEST_F(Distill, LowersTheDivergenceAndLeavesTheCodes) {
  options_.steps = 60;
  Silent progress;
  const auto done = run("a.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->kl.size(), 60u);
  EXPECT_EQ(done->tokens, 60 * 2 * 32);
  // Three windows, two a step: every third step reads the same ones.
  EXPECT_LT(done->kl[57], 0.8 * done->kl[0]);
  const auto written = load_model(folder_.path / "a.gguf");
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(linear_size(*written).bytes, linear_size(quantized_).bytes);
  int changed = 0;
  for (const StoredTensor& t : written->file->tensors()) {
    const StoredTensor* before = quantized_.file->find(t.name);
    ASSERT_TRUE(before) << t.name;
    const bool same = std::ranges::equal(t.data, before->data);
    if (t.name.ends_with(".planes") || t.name.starts_with("token_embd")) {
      EXPECT_TRUE(same) << t.name;
    }
    changed += !same;
  }
  // A scale for each linear, two norms a layer and the last one.
  EXPECT_EQ(changed, original_.config.layers * 9 + 1);
  EXPECT_TRUE(written->file->metadata().has("planeloom.distilled"));
}

/// The loss that the steps see is the written model's own: its first step starts where the run
/// before it ended.
TEST_F(Distill, TheFileHoldsWhatTheStepsFound) {
  options_.steps = 40;
  options_.windows = 3;  // all, every step
  Silent progress;
  const auto first = run("a.gguf", progress);
  ASSERT_TRUE(first) << first.error().message;
  auto written = load_model(folder_.path / "a.gguf");
  ASSERT_TRUE(written);
  quantized_ = *written;
  options_.steps = 1;
  const auto again = run("b.gguf", progress);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_NEAR(again->kl[0], first->kl.back(), 0.03 * first->kl.back());  // fp16 scales
  EXPECT_LT(again->kl[0], 0.9 * first->kl[0]);
}

TEST_F(Distill, SameBytesForAnyThreads) {
  const std::string want = bytes("one.gguf", 1);
  EXPECT_TRUE(bytes("three.gguf", 3) == want);
}

TEST_F(Distill, PlanesWithHalfCoefficientsToo) {
  quantized_ = quantize("bpdq", Coefficients::kHalf);
  options_.steps = 30;
  Silent progress;
  const auto done = run("a.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(done->kl[27], done->kl[0]);
}

TEST_F(Distill, TheRateFollowsTheFirstDivergence) {
  EXPECT_EQ(rate_for(0.5), 0.005);
  EXPECT_NEAR(rate_for(0.066), 0.001, 5e-5);
  EXPECT_GT(rate_for(0), 0);
  options_.rate = 0;
  options_.steps = 2;
  Silent progress;
  const auto done = run("a.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->rate, rate_for(done->kl[0]));
}

/// Ctrl-C between steps.
struct StopsAt : Silent {
  uint64_t step;
  explicit StopsAt(uint64_t at) : step(at) {}
  void update(std::string_view stage, uint64_t done, uint64_t) override {
    if (stage == "distill" && done == step) raise(SIGINT);
  }
};

TEST_F(Distill, AnInterruptedRunGoesOnToTheSameBytes) {
  const std::string want = bytes("want.gguf");
  install_interrupt_handler();
  StopsAt stops(5);
  const auto stopped = run("got.gguf", stops, 2);
  clear_interrupt();
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().message.find("interrupted after 5 of 12"), std::string::npos)
      << stopped.error().message;
  EXPECT_FALSE(fs::exists(folder_.path / "got.gguf"));
  // What is kept belongs to these options; damage costs the steps, not the run.
  Silent progress;
  const auto done = run("got.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->resumed_steps, 5);
  EXPECT_TRUE(bytes_of(folder_.path / "got.gguf") == want);
  EXPECT_FALSE(fs::exists(folder_.path / "got.gguf.partial"));
}

/// The steps that fit are told by those that were done, and again by every step.
TEST_F(Distill, MinutesSayHowManySteps) {
  Silent progress;
  options_.steps = 0;
  options_.minutes = 1e-9;
  const auto one = run("one.gguf", progress);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->steps, 1);
  options_.minutes = 600;
  install_interrupt_handler();
  StopsAt stops(5);
  ASSERT_FALSE(run("more.gguf", stops));
  clear_interrupt();
  options_.minutes = 1e-9;  // used up already
  const auto more = run("more.gguf", progress);
  ASSERT_TRUE(more) << more.error().message;
  EXPECT_EQ(more->resumed_steps, 5);
  EXPECT_EQ(more->steps, 6);
}

/// Of 32 windows two are read by no step; what is written is not worse on them.
TEST_F(Distill, HeldOutWindowsDecideHowFarItGoes) {
  options_.text.windows = 32;
  options_.steps = 60;
  Silent progress;
  const auto good = run("good.gguf", progress);
  ASSERT_TRUE(good) << good.error().message;
  ASSERT_TRUE(good->held_out);
  EXPECT_EQ(good->held_out->tokens, 2 * 32);
  EXPECT_GT(good->held_out->share, 0);
  EXPECT_LT(good->held_out->after, good->held_out->before);

  options_.rate = 0.7;  // steps that are far too long
  const auto bad = run("bad.gguf", progress);
  ASSERT_TRUE(bad) << bad.error().message;
  EXPECT_EQ(bad->held_out->share, 0);
  EXPECT_EQ(bad->held_out->after, bad->held_out->before);
  EXPECT_EQ(bad->held_out->before, good->held_out->before);
  const auto written = load_model(folder_.path / "bad.gguf");
  ASSERT_TRUE(written);
  for (const StoredTensor& t : written->file->tensors())
    EXPECT_TRUE(std::ranges::equal(t.data, quantized_.file->find(t.name)->data)) << t.name;

  options_.text.windows = 15;  // too few to spare one
  const auto all = run("all.gguf", progress);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_FALSE(all->held_out);
}

/// Ctrl-C while the held-out windows are read: the steps are kept.
TEST_F(Distill, InterruptedAfterTheLastStep) {
  options_.text.windows = 32;
  options_.steps = 12;
  const std::string want = bytes("want.gguf");
  install_interrupt_handler();
  StopsAt stops(12);
  const auto stopped = run("got.gguf", stops);
  clear_interrupt();
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().message.find("interrupted after the last step"), std::string::npos)
      << stopped.error().message;
  Silent progress;
  const auto done = run("got.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->resumed_steps, 12);
  EXPECT_TRUE(bytes_of(folder_.path / "got.gguf") == want);
}

TEST_F(Distill, DamagedProgressStartsAfresh) {
  const std::string want = bytes("want.gguf");
  install_interrupt_handler();
  StopsAt stops(5);
  ASSERT_FALSE(run("got.gguf", stops));
  clear_interrupt();
  const fs::path state = folder_.path / "got.gguf.partial" / "state.bin";
  std::string damaged = bytes_of(state);
  damaged[damaged.size() / 2] ^= 1;
  std::ofstream(state, std::ios::binary) << damaged;
  Silent progress;
  const auto done = run("got.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->resumed_steps, 0);
  EXPECT_TRUE(bytes_of(folder_.path / "got.gguf") == want);
}

TEST_F(Distill, AnotherTextStartsAfresh) {
  const fs::path text = folder_.path / "text.txt";
  options_.text.sources = {text};
  std::ofstream(text) << std::string(200, 'a');
  install_interrupt_handler();
  StopsAt stops(5);
  ASSERT_FALSE(run("got.gguf", stops));
  clear_interrupt();
  std::ofstream(text) << std::string(200, 'b');
  Silent progress;
  const auto done = run("got.gguf", progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->resumed_steps, 0);
}

TEST_F(Distill, WhatCannotBeDistilledIsSaid) {
  Silent progress;
  options_.steps = 0;
  for (const double minutes : {0.0, -1.0, 1e300, std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN()}) {
    options_.minutes = minutes;
    EXPECT_FALSE(run("a.gguf", progress)) << minutes;
  }
  options_.steps = 1;
  quantized_ = quantize("bpdq", Coefficients::kByte);
  const auto bytes = run("a.gguf", progress);
  ASSERT_FALSE(bytes);
  EXPECT_NE(bytes.error().message.find("--coefficients half"), std::string::npos);
  quantized_ = original_;  // floats have no scales
  EXPECT_FALSE(run("a.gguf", progress));
  EXPECT_FALSE(fs::exists(folder_.path / "a.gguf.partial"));
}

}  // namespace
}  // namespace planeloom
