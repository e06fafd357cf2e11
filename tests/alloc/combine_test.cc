#include "alloc/combine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "alloc/two_widths.h"

namespace planeloom {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Unusual, StandsOnTheMedianAndItsDeviation) {
  // median 3, deviations 2 1 0 1 97: median 1, so z = (r - 3) / 1.4826
  const std::vector<double> raw{1, 2, 3, 4, 100};
  const std::vector<double> z = unusual(raw);
  EXPECT_EQ(z[2], 0);
  EXPECT_DOUBLE_EQ(z[3], 1 / 1.4826);
  EXPECT_DOUBLE_EQ(z[4], 97 / 1.4826);
}

TEST(Unusual, WithoutDeviationFallsBack) {
  const std::vector<double> mostly{5, 5, 5, 5, 9};  // median deviation 0
  const std::vector<double> z = unusual(mostly);
  EXPECT_EQ(z[0], 0);
  EXPECT_DOUBLE_EQ(z[4], 4 / std::sqrt(16.0 / 5));
  EXPECT_EQ(unusual(std::vector<double>{7, 7, 7}), std::vector<double>(3, 0.0));
  EXPECT_EQ(unusual(std::vector<double>{kNan, kNan}), std::vector<double>(2, 0.0));
  EXPECT_TRUE(unusual({}).empty());
}

TEST(Unusual, WhatIsNotFiniteIsNeitherHighNorLow) {
  const std::vector<double> z = unusual(std::vector<double>{1, kNan, 2, INFINITY, 3});
  EXPECT_EQ(z[1], 0);
  EXPECT_EQ(z[3], 0);
  EXPECT_EQ(z[2], 0);
  EXPECT_LT(z[0], 0);
  EXPECT_GT(z[4], 0);
}

TEST(SoftOr, IsOneMinusTheGeometricMeanOfTheRest) {
  const auto p_of = [](double z) { return 1 / (1 + std::exp(-z)); };
  for (const double z : {-3.0, 0.0, 2.0})
    EXPECT_NEAR(1 - std::exp(-soft_or(std::vector<double>{z})), p_of(z), 1e-15);
  EXPECT_NEAR(1 - std::exp(-soft_or(std::vector<double>{-1.0, 2.0})),
              1 - std::sqrt((1 - p_of(-1)) * (1 - p_of(2))), 1e-15);
  EXPECT_DOUBLE_EQ(soft_or({}), std::log(2.0));
}

// Where p and S are 1 in doubles, as an outlier's are.
TEST(SoftOr, OutliersKeepTheirOrder) {
  EXPECT_LT(soft_or(std::vector<double>{50, 0}), soft_or(std::vector<double>{500, 0}));
  EXPECT_LT(soft_or(std::vector<double>{500, 0}), soft_or(std::vector<double>{500, 1}));
  EXPECT_DOUBLE_EQ(softplus(1e6), 1e6);
  EXPECT_GT(softplus(-700), 0);
}

TEST(RankCorrelation, IsSpearmans) {
  EXPECT_DOUBLE_EQ(rank_correlation(std::vector<double>{1, 2, 3}, std::vector<double>{10, 20, 99}),
                   1);
  EXPECT_DOUBLE_EQ(rank_correlation(std::vector<double>{1, 2, 3}, std::vector<double>{3, 2, -8}),
                   -1);
  // ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 * 5)
  EXPECT_DOUBLE_EQ(
      rank_correlation(std::vector<double>{0, 5, 5, 9}, std::vector<double>{1, 2, 3, 4}),
      4.5 / std::sqrt(4.5 * 5));
  EXPECT_TRUE(std::isnan(rank_correlation(std::vector<double>{1, 1}, std::vector<double>{1, 2})));
  // Equal but for rounding.
  EXPECT_TRUE(
      std::isnan(rank_correlation(std::vector<double>{0.1 + 0.2, 0.3}, std::vector<double>{1, 2})));
  EXPECT_TRUE(
      std::isnan(rank_correlation(std::vector<double>{1, kNan}, std::vector<double>{1, 2})));
}

TEST(ByScore, HighestFirstEarlierOfEqualsNanLast) {
  EXPECT_EQ(by_score(std::vector<double>{1, kNan, 3, 1, 3}), (std::vector<int64_t>{2, 4, 0, 3, 1}));
}

// What the abstract of LieQ calls 2.05 and 2.07 bits.
TEST(TwoWidths, OneLayerInThirtySixIsTwoPointOhFive) {
  std::vector<double> score(36, 0.0);
  score[7] = 1;
  const std::vector<int64_t> weights(36, 100'000'000);
  const auto bits = two_widths(score, weights, 2.05);
  ASSERT_TRUE(bits.has_value());
  for (size_t l = 0; l < 36; ++l) EXPECT_EQ((*bits)[l], l == 7 ? 4 : 2);
  EXPECT_NEAR(average_bits(*bits, weights), 2.05, 0.006);
  EXPECT_DOUBLE_EQ(average_bits(*bits, weights), 2 + 2.0 / 36);
}

TEST(TwoWidths, OneLayerInTwentyEightIsTwoPointOhSeven) {
  std::vector<double> score(28, 0.0);
  score[0] = 1;
  const std::vector<int64_t> weights(28, 100'000'000);
  const auto bits = two_widths(score, weights, 2.07);
  ASSERT_TRUE(bits.has_value());
  EXPECT_EQ(std::count(bits->begin(), bits->end(), 4), 1);
  EXPECT_DOUBLE_EQ(average_bits(*bits, weights), 2 + 2.0 / 28);
}

TEST(TwoWidths, UnequalLayersFillTheShareOfWeights) {
  // f = 0.25 of 100 weights: the best layer has 20, the next 30
  const std::vector<double> score{3, 9, 1, 8};
  const std::vector<int64_t> weights{40, 20, 10, 30};
  EXPECT_EQ(*two_widths(score, weights, 2.5), (std::vector<int>{2, 4, 2, 4}));
  EXPECT_EQ(*two_widths(score, weights, 2.4), (std::vector<int>{2, 4, 2, 2}));
}

TEST(TwoWidths, EqualAndBrokenScores) {
  const std::vector<int64_t> weights(4, 10);
  EXPECT_EQ(*two_widths(std::vector<double>(4, 1.0), weights, 3), (std::vector<int>{4, 4, 2, 2}));
  EXPECT_EQ(*two_widths(std::vector<double>{kNan, 1, kNan, 2}, weights, 3),
            (std::vector<int>{2, 4, 2, 4}));
  EXPECT_EQ(*two_widths(std::vector<double>(4, kNan), weights, 4), (std::vector<int>(4, 4)));
  EXPECT_FALSE(two_widths(std::vector<double>(3, 1.0), weights, 3));
  EXPECT_FALSE(two_widths(std::vector<double>(4, 1.0), weights, 4.5));
  EXPECT_FALSE(two_widths(std::vector<double>(4, 1.0), weights, kNan));
}

}  // namespace
}  // namespace planeloom
