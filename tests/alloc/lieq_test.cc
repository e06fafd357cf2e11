#include "alloc/lieq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "alloc/combine.h"
#include "base/rng.h"

namespace planeloom {
namespace {

constexpr int64_t kWidth = 48, kRows = 12;

/// sum x x^T of normal inputs.
std::vector<double> moments() {
  Rng rng(2);
  std::vector<double> c(kWidth * kWidth);
  for (int t = 0; t < 4000; ++t) {
    double x[kWidth];
    for (double& v : x) v = rng.normal();
    for (int64_t i = 0; i < kWidth; ++i)
      for (int64_t j = 0; j < kWidth; ++j) c[static_cast<size_t>(i * kWidth + j)] += x[i] * x[j];
  }
  return c;
}

std::vector<float> drawn(uint64_t seed, int64_t n) {
  Rng rng(seed);
  std::vector<float> w(static_cast<size_t>(n));
  for (float& x : w) x = static_cast<float>(rng.normal());
  return w;
}

TEST(ProjectionGain, OfARandomProjectionIsNothing) {
  const std::vector<float> w = drawn(77, 4 * kRows * kWidth);
  const ProjectionGain g = projection_gain({w.data(), 4 * kRows, kWidth}, kRows, moments(), 1);
  EXPECT_NEAR(g.compactness, 0, 0.05);
  EXPECT_NEAR(g.energy, 0, 0.05);
}

TEST(ProjectionGain, OfOneThatKeepsTwoDirectionsIsLarge) {
  const std::vector<float> basis = drawn(5, 2 * kWidth), mix = drawn(6, kRows * 2);
  std::vector<float> w(kRows * kWidth);
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kWidth; ++c)
      w[static_cast<size_t>(r * kWidth + c)] =
          mix[static_cast<size_t>(2 * r)] * basis[static_cast<size_t>(c)] +
          mix[static_cast<size_t>(2 * r + 1)] * basis[static_cast<size_t>(kWidth + c)];
  const ProjectionGain g = projection_gain({w.data(), kRows, kWidth}, kRows, moments(), 1);
  EXPECT_GT(g.compactness, 0.8);  // 2 of some 11
  EXPECT_GT(g.energy, 0.5);       // all of it in ceil(1.2) = 2 directions
}

TEST(ProjectionGain, SizeOfTheInputsDoesNotMatter) {
  std::vector<double> c = moments();
  const std::vector<float> w = drawn(8, kRows * kWidth);
  const ProjectionGain a = projection_gain({w.data(), kRows, kWidth}, kRows, c, 1);
  for (double& x : c) x *= 1e-6;
  const ProjectionGain b = projection_gain({w.data(), kRows, kWidth}, kRows, c, 1);
  EXPECT_NEAR(a.compactness, b.compactness, 1e-9);
  EXPECT_NEAR(a.energy, b.energy, 1e-9);
  std::ranges::fill(c, 0.0);  // no token came by
  const ProjectionGain none = projection_gain({w.data(), kRows, kWidth}, kRows, c, 1);
  EXPECT_EQ(none.compactness, 0);
  EXPECT_EQ(none.energy, 0);
}

TEST(LieqScores, AddUpThreePartsEvenly) {
  const std::vector<LieqMeasures> layers{{10, 0.2, 0.1}, {0, 0.4, 0.1}, {5, 0.3, 0.1}};
  const std::vector<double> s = lieq_scores(layers);
  EXPECT_NEAR(s[0], 1.0 / 3, 1e-12);
  EXPECT_NEAR(s[1], 1.0 / 3, 1e-12);
  EXPECT_NEAR(s[2], 1.0 / 3, 1e-12);
  std::vector<LieqMeasures> broken = layers;
  broken[0].perplexity_drop = std::numeric_limits<double>::infinity();
  for (const double x : lieq_scores(broken)) EXPECT_TRUE(std::isfinite(x));
}

}  // namespace
}  // namespace planeloom
