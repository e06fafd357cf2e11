#include "quant/hessian.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/synthetic.h"

namespace planeloom {
namespace {

using test::RowMatrix;

TEST(Hessian, FactorReproducesTheDampedMatrixInOrder) {
  const auto s = test::make_synthetic(1, 192, 512, false, 1);
  const auto p = prepare_hessian(s.hessian, 192, 64);
  ASSERT_TRUE(p);
  EXPECT_DOUBLE_EQ(p->damping, 0.05);
  RowMatrix r(192, 192);
  for (int i = 0; i < 192; ++i)
    for (int j = 0; j < 192; ++j) r(i, j) = static_cast<double>(p->r(i, j));
  const RowMatrix product = r * r.transpose();
  for (int i = 0; i < 192; ++i)
    for (int j = 0; j < 192; ++j) {
      const double want =
          s.hessian[p->order[i] * 192 + p->order[j]] / p->scale + (i == j ? 0.05 : 0);
      EXPECT_NEAR(product(i, j), want, 1e-5 * std::sqrt(product(i, i) * product(j, j)));
    }
  for (int g = 0; g < 192; g += 64) {
    const RowMatrix u = Eigen::Map<const Eigen::Matrix<float, -1, -1, Eigen::RowMajor>>(
                            p->inverse.data() + g * 64, 64, 64)
                            .cast<double>();
    EXPECT_LT((r.block(g, g, 64, 64) * u - RowMatrix::Identity(64, 64)).norm(), 1e-4);
  }
}

// GAR: falling diagonal inside a group, groups by their largest; a group's columns never part.
TEST(Hessian, GroupAwareOrder) {
  const auto s = test::make_synthetic(1, 256, 512, false, 2);
  const auto p = prepare_hessian(s.hessian, 256, 32);
  ASSERT_TRUE(p);
  const auto diagonal = [&](int position) { return s.hessian[p->order[position] * 257]; };
  auto sorted = p->order;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(sorted[i], i);
    EXPECT_EQ(p->order[i] / 32, p->order[i / 32 * 32] / 32);
    if (i == 0) continue;
    EXPECT_GE(diagonal(i % 32 != 0 ? i - 1 : i - 32), diagonal(i));
  }
}

TEST(Hessian, EmptyOrZeroIsTheIdentity) {
  const std::vector<double> zero(64 * 64, 0.0);
  for (const auto& p : {prepare_hessian({}, 64, 32), prepare_hessian(zero, 64, 32)}) {
    ASSERT_TRUE(p);
    EXPECT_TRUE(p->identity);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(p->order[i], i);
  }
}

// Rank one and slightly indefinite matrices come from short calibration and from rounding: damping
// must carry them.
TEST(Hessian, DampingGrowsUntilTheFactorExists) {
  std::vector<double> rank_one(64 * 64, 1.0);
  const auto plain = prepare_hessian(rank_one, 64, 64);
  ASSERT_TRUE(plain);
  EXPECT_DOUBLE_EQ(plain->damping, 0.05);
  std::vector<double> indefinite(64 * 64, 0.0);
  for (int i = 0; i < 64; ++i) indefinite[i * 65] = 1;
  indefinite[1] = indefinite[64] = 1.07;  // smallest eigenvalue -0.07
  const auto lifted = prepare_hessian(indefinite, 64, 64);
  ASSERT_TRUE(lifted);
  EXPECT_GT(lifted->damping, 0.07);
  EXPECT_LT(lifted->damping, 0.1);
  for (float v : lifted->factor) EXPECT_TRUE(std::isfinite(v));
}

TEST(Hessian, ErrorsAreValues) {
  std::vector<double> h(64 * 64, 0.0);
  EXPECT_FALSE(prepare_hessian(h, 64, 48));
  EXPECT_FALSE(prepare_hessian(h, 96, 32));
  EXPECT_FALSE(prepare_hessian(h, 0, 32));
  EXPECT_FALSE(prepare_hessian(h, int64_t{1} << 40, 32));
  EXPECT_FALSE(prepare_hessian(h, 64, 32, -1));
  EXPECT_FALSE(prepare_hessian(h, 64, 32, NAN));
  h[5] = NAN;
  EXPECT_FALSE(prepare_hessian(h, 64, 32));
  h[5] = 0;
  h[0] = -1;
  EXPECT_FALSE(prepare_hessian(h, 64, 32));
  h[0] = 1e-3;
  h[1] = h[64] = 1e6;  // no damping saves this
  EXPECT_FALSE(prepare_hessian(h, 64, 32));
}

}  // namespace
}  // namespace planeloom
