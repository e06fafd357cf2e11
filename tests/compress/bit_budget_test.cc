#include "compress/bit_budget.h"

#include <gtest/gtest.h>

#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "compress/quantize_model.h"
#include "compress/run_helpers.h"

namespace planeloom {
namespace {

TEST(BitBudget, NeverAboveItAndGrowingWithIt) {
  const Model model = tiny();
  double largest = 0, weights = 0;
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      const auto size = static_cast<double>(w.rows * w.cols);
      weights += size;
      largest = std::max(largest, size);
    }
  double last = 0;
  int last_bits = 0;
  for (double wanted = 1.4; wanted < 5; wanted += 0.01) {
    const auto budget = trellis_within(model, wanted);
    ASSERT_TRUE(budget) << budget.error().message;
    EXPECT_LE(budget->bits_per_weight, wanted);
    EXPECT_GE(budget->bits_per_weight, last);
    EXPECT_GE(budget->bits, last_bits);
    if (wanted < 4.2) {
      EXPECT_GT(budget->bits_per_weight, wanted - largest / weights) << "another one fits";
    }
    last = budget->bits_per_weight;
    last_bits = budget->bits;
  }
  EXPECT_EQ(last_bits, kMaxTrellisBits);
}

TEST(BitBudget, ValuesComeFirst) {
  const Model model = tiny();
  const auto all = trellis_within(model, 2.5);
  ASSERT_TRUE(all);
  const auto some = trellis_within(model, bits_per_weight(**trellis_codec(2), 64, 64) + 0.05);
  ASSERT_TRUE(some);
  EXPECT_TRUE(all->layer_bits.contains({0, Linear::kV}));
  for (const auto& [at, bits] : some->layer_bits) EXPECT_EQ(at.second, Linear::kV);
  EXPECT_FALSE(some->layer_bits.empty());
}

TEST(BitBudget, OfBitPlanes) {
  const Model model = tiny();
  for (const Coefficients stored : {Coefficients::kHalf, Coefficients::kByte}) {
    const auto codec = bitplane_codec(2, 64, stored);
    ASSERT_TRUE(codec);
    const double two = bits_per_weight(**codec, 64, 64);
    const auto exact = planes_within(model, 64, stored, two);
    ASSERT_TRUE(exact) << exact.error().message;
    EXPECT_EQ(exact->bits, 2);
    EXPECT_DOUBLE_EQ(exact->bits_per_weight, two);
    const auto more = planes_within(model, 64, stored, two + 0.2);
    ASSERT_TRUE(more);
    EXPECT_TRUE(more->layer_bits.contains({0, Linear::kV}));
    EXPECT_LE(more->bits_per_weight, two + 0.2);
  }
}

TEST(BitBudget, LessThanOneBitIsRefused) {
  const auto budget = trellis_within(tiny(), 1.0);
  ASSERT_FALSE(budget);
  EXPECT_NE(budget.error().message.find("one bit and its scales take 1."), std::string::npos);
}

/// The file is no larger than asked for and uses most of it, a head of its own or none.
TEST(BitBudget, WithinBytes) {
  const Folder folder;
  ThreadPool pool(1);
  Silent progress;
  for (const bool tied : {true, false}) {
    TinyOptions shape = tiny_text_options();
    shape.ffn = 128;
    shape.layers = 6;
    shape.tied = tied;
    const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(model) << model.error().message;
    const auto weights = static_cast<double>(linear_size(*model).weights);
    int last = 0;
    for (const uint64_t bytes : {90'000, 120'000, 150'000, 200'000}) {
      const auto budget = trellis_within_bytes(*model, bytes);
      ASSERT_TRUE(budget) << budget.error().message;
      const bool kept = budget->embedding_bits == 0;
      EXPECT_TRUE(kept || budget->embedding_bits >= last);
      EXPECT_LE(budget->embedding_bits, budget->linears.bits + 1);
      if (!kept) last = budget->embedding_bits;
      QuantizeOptions o;
      o.quant.method = "trellis";
      budget->linears.give(o);
      o.embedding_bits = budget->embedding_bits;
      o.rotation_seed = 1;
      o.calibration.windows = 1;
      o.calibration.context = 32;
      const fs::path out = folder.path / "a.gguf";
      ASSERT_TRUE(quantize_model(*model, out, o, {&pool, &kernels_for(Isa::kScalar)}, progress));
      const uint64_t got = fs::file_size(out);
      EXPECT_LE(got, bytes);
      // 8 KiB are kept for notes, and 128 bytes for padding every linear.
      if (budget->linears.bits < kMaxTrellisBits) {
        EXPECT_GT(double(got), double(bytes) - 8192 - 128 * 7 * 6 - 0.1 * weights / 8 - 1024);
      }
    }
    const auto refused = trellis_within_bytes(*model, 20'000);
    ASSERT_FALSE(refused);
    const std::string& message = refused.error().message;
    EXPECT_NE(message.find("20000 bytes: the smallest file"), std::string::npos);
    // What it says would do, and a byte less would not.
    const uint64_t least = std::stoull(message.substr(message.rfind(' ')));
    EXPECT_TRUE(trellis_within_bytes(*model, least));
    EXPECT_FALSE(trellis_within_bytes(*model, least - 1));
    // Linears that need more take it from the embedding.
    const auto roomy = trellis_within_bytes(*model, 90'000);
    const auto three = parse_forms(std::vector<std::string>{"trellis3"});
    ASSERT_TRUE(three);
    uint64_t holds = 90'000;
    while (holds < 1'000'000 && !trellis_within_bytes(*model, holds, *three)) holds += 1000;
    const auto tight = trellis_within_bytes(*model, holds, *three);
    ASSERT_TRUE(tight);
    EXPECT_LT(tight->embedding_bits, trellis_within_bytes(*model, holds)->embedding_bits);
    EXPECT_GT(tight->most_bits, 3);
    // With room for all bits of the linears the embedding stays; not before.
    uint64_t fits = 0;
    for (uint64_t bytes = 100'000; bytes < 2'000'000 && !fits; bytes += 1000)
      if (trellis_within_bytes(*model, bytes)->embedding_bits == 0) fits = bytes;
    ASSERT_GT(fits, 0u);
    EXPECT_EQ(trellis_within_bytes(*model, fits - 1000)->embedding_bits, kMaxTrellisBits);
    EXPECT_EQ(trellis_within_bytes(*model, fits)->linears.bits, kMaxTrellisBits);
    EXPECT_EQ(trellis_within_bytes(*model, 1 << 30)->embedding_bits, 0);
  }
}

/// What is written has the bits that were reckoned.
TEST(BitBudget, IsWhatTheFileHas) {
  const Folder folder;
  const Model model = tiny();
  const auto budget = trellis_within(model, 2.45);
  ASSERT_TRUE(budget);
  QuantizeOptions o;
  o.quant.method = "trellis";
  budget->give(o);
  o.rotation_seed = 1;
  o.calibration.windows = 1;
  o.calibration.context = 32;
  ThreadPool pool(1);
  Silent progress;
  const auto done = quantize_model(model, folder.path / "a.gguf", o,
                                   {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_DOUBLE_EQ(done->bits_per_weight_linear, budget->bits_per_weight);
}

}  // namespace
}  // namespace planeloom
