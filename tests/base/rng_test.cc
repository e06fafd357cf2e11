#include "base/rng.h"

#include <gtest/gtest.h>

#include <array>

namespace planeloom {
namespace {

TEST(Rng, IsSplitMix64) {  // the reference sequence of seed 1234567
  Rng rng(1234567);
  for (uint64_t wanted : {6457827717110365317ull, 3203168211198807973ull, 9817491932198370423ull,
                          4593380528125082431ull, 16408922859458223821ull})
    EXPECT_EQ(rng.next(), wanted);
}

TEST(Rng, UniformFillsItsRangeEvenly) {
  Rng rng(1);
  constexpr int kDraws = 100000, kBins = 10;
  std::array<int, kBins> bins{};
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ++bins[static_cast<size_t>(u * kBins)];
  }
  double chi2 = 0;
  const double expected = static_cast<double>(kDraws) / kBins;
  for (int n : bins) chi2 += (n - expected) * (n - expected) / expected;
  EXPECT_LT(chi2, 27.9);  // nine degrees of freedom, one in a thousand
}

TEST(Rng, NormalHasTheMomentsOfAStandardNormal) {
  Rng rng(2);
  constexpr int kDraws = 200000;
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = rng.normal();
    ASSERT_TRUE(std::isfinite(z));
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z;
  }
  // Four standard errors: the moments' variances are 1, 2, 15 and 96 over the draws.
  const double se = 4 / std::sqrt(double(kDraws));
  EXPECT_NEAR(m1 / kDraws, 0, se);
  EXPECT_NEAR(m2 / kDraws, 1, se * std::sqrt(2.0));
  EXPECT_NEAR(m3 / kDraws, 0, se * std::sqrt(15.0));
  EXPECT_NEAR(m4 / kDraws, 3, se * std::sqrt(96.0));
}

TEST(Rng, BelowReachesEveryValueAndNoOther) {
  Rng rng(3);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) {
    const uint64_t v = rng.below(7);
    ASSERT_LT(v, 7u);
    ++seen[v];
  }
  for (int n : seen) EXPECT_NEAR(n, 1000, 130);
  EXPECT_EQ(rng.below(1), 0u);
}

}  // namespace
}  // namespace planeloom
