// GPTQ with a clipping search: the published order of steps, grids of an integer zero, and what it
// is worth beside RTN.
#include <gtest/gtest.h>

#include "quant/reference.h"

namespace planeloom {
namespace {

using test::decode;
using test::make_synthetic;
using test::output_error;
using test::quantized;
using test::RowMatrix;

QuantOptions gptq(int bits, int group) {
  QuantOptions options;
  options.method = "gptq";
  options.bits = bits;
  options.group = group;
  return options;
}

// The slow reference inverts the Hessian and pushes every error to all columns after it. A code or
// a grid may flip where float and double round apart, so: most layers equal, all close.
TEST(Gptq, EqualsThePublishedOrderOfSteps) {
  int equal = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const auto s = make_synthetic(8, 128, 1024, seed % 2 == 0, seed);
    for (int bits : {2, 3, 4}) {
      const RowMatrix w = as_matrix(s);
      const double ours = output_error(w, quantized(s, gptq(bits, 32)), s.covariance),
                   theirs = output_error(w, test::gptq_clipped(s, bits, 32), s.covariance);
      EXPECT_NEAR(ours / theirs, 1, 0.05) << "seed " << seed << " bits " << bits;
      equal += std::abs(ours / theirs - 1) < 1e-5;
    }
  }
  EXPECT_GE(equal, 12) << "of 18";
}

TEST(Gptq, FarBelowRtnAndMinMaxOnCorrelatedInputs) {
  for (bool heavy : {false, true}) {
    const auto s = make_synthetic(64, 512, 4096, heavy, 1);
    const RowMatrix w = as_matrix(s);
    for (int bits : {2, 3, 4}) {
      QuantOptions rtn = gptq(bits, 64);
      rtn.method = "rtn";
      const double ours = output_error(w, quantized(s, gptq(bits, 64)), s.covariance),
                   plain = output_error(w, quantized(s, rtn), s.covariance),
                   range = output_error(w, test::gptq_min_max(s, bits, 64), s.covariance);
      RecordProperty(fmt::format("bits{}_{}", bits, heavy ? "t5" : "gauss"),
                     fmt::format("rtn {:.4f} min-max {:.4f} gptq {:.4f}", plain, range, ours));
      EXPECT_LT(ours, plain / 2) << bits;
      EXPECT_LT(ours, range) << bits;
      EXPECT_GT(ours, plain / 20);  // a figure this good would be a mistake in the measure
    }
  }
}

// Weights that are (code - zero) step, all codes there and everything exact in fp16, come back as
// they were, whatever the inputs.
TEST(Gptq, RecoversWeightsOnAGrid) {
  for (int bits : {2, 3, 4}) {
    auto s = make_synthetic(21, 192, 1024, false, 3);
    Rng rng(7);
    const int levels = 1 << bits;
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t g = 0; g < s.cols; g += 64) {
        const double step = std::ldexp(static_cast<double>(64 + rng.below(64)), -14);
        const int zero = static_cast<int>(rng.below(static_cast<uint64_t>(levels)));
        for (int64_t t = 0; t < 64; ++t) {
          const int code = t < levels ? static_cast<int>(t)
                                      : static_cast<int>(rng.below(static_cast<uint64_t>(levels)));
          s.weights[static_cast<size_t>(r * s.cols + g + t)] =
              static_cast<float>((code - zero) * step);
        }
      }
    EXPECT_EQ(quantized(s, gptq(bits, 64)), as_matrix(s)) << bits;
  }
}

// In GPTQ's own format a weight is an integer of `bits` bits less a zero of as many, times an fp16
// step. Only the bias (zero times the step) is rounded beyond that.
TEST(Gptq, LevelsAreAnIntegerZeroAwayFromZero) {
  const auto s = make_synthetic(33, 256, 1024, true, 4);
  for (int bits : {2, 3, 4}) {
    const RowMatrix q = quantized(s, gptq(bits, 64));
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t g = 0; g < s.cols; g += 64) {
        std::vector<double> v(q.row(r).data() + g, q.row(r).data() + g + 64);
        std::ranges::sort(v);
        double step = INFINITY;
        for (size_t i = 1; i < v.size(); ++i)
          if (v[i] > v[i - 1]) step = std::min(step, v[i] - v[i - 1]);
        ASSERT_LT(step, INFINITY);
        for (const double value : v)
          EXPECT_NEAR(value / step, std::rint(value / step), 0.02) << bits << " " << r << " " << g;
        EXPECT_LE(std::rint((v.back() - v.front()) / step), (1 << bits) - 1);
        EXPECT_LE(v.front(), step / 2);
        EXPECT_GE(v.back(), -step / 2);
      }
  }
}

// Nothing seen: a clipped rounding of the weights, no worse than RTN's by far; some columns unseen:
// they keep their weights.
TEST(Gptq, DeadColumnsAndEmptyHessians) {
  auto s = make_synthetic(17, 128, 512, false, 8);
  const RowMatrix w = as_matrix(s);
  for (int64_t dead : {0, 5, 64, 127}) test::forget_column(s, dead);
  const RowMatrix some = quantized(s, gptq(2, 64));
  EXPECT_TRUE(some.allFinite());
  EXPECT_LT((w - some).norm(), 0.8 * w.norm());
  std::fill(s.hessian.begin(), s.hessian.end(), 0.0);
  const RowMatrix none = quantized(s, gptq(2, 64));
  s.hessian.clear();
  EXPECT_EQ(none, quantized(s, gptq(2, 64)));
  QuantOptions rtn = gptq(2, 64);
  rtn.method = "rtn";
  EXPECT_LT((w - none).norm(), (w - quantized(s, rtn)).norm());
}

TEST(Gptq, HasNoRefiningPasses) {
  const auto s = make_synthetic(4, 64, 128, false, 1);
  QuantOptions options = gptq(2, 64);
  options.refine = 1;
  ThreadPool pool(1);
  EXPECT_FALSE(quantize_layer(s.input(), options, pool));
}

}  // namespace
}  // namespace planeloom
