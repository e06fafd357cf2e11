#include "codecs/rotation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace planeloom {
namespace {

double squares(const std::vector<float>& x) {
  double sum = 0;
  for (float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  return sum;
}

std::vector<float> normals(int64_t n) {
  Rng rng(static_cast<uint64_t>(n));
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(rng.normal());
  return x;
}

// Widths of SmolLM2, Gemma 3, Qwen2.5 and Llama: odd parts from 1 to 231.
TEST(Rotation, KeepsLengthsAndCanBeUndone) {
  for (int64_t n : {16, 48, 576, 640, 1536, 2048, 3584, 18944, 29568}) {
    const auto r = Rotation::make(n, 7);
    ASSERT_TRUE(r) << r.error().message;
    const std::vector<float> x = normals(n);
    std::vector<float> y(x.size());
    (*r)->apply(x.data(), y.data());
    EXPECT_NEAR(squares(y) / squares(x), 1, 1e-5) << n;
    (*r)->undo(y.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(y[i], x[i], 2e-5f) << n;
  }
}

// One outlier becomes many small values: at most sqrt(2 / odd) / sqrt(power) each.
TEST(Rotation, SpreadsOneValueOverAllColumns) {
  for (int64_t n : {64, 576, 1536}) {
    const auto r = Rotation::make(n, 1);
    ASSERT_TRUE(r);
    std::vector<float> x(static_cast<size_t>(n)), y(x);
    x[static_cast<size_t>(n / 3)] = 1;
    (*r)->apply(x.data(), y.data());
    const double most = std::sqrt(((*r)->odd() > 1 ? 2.0 : 1.0) / static_cast<double>(n));
    for (float v : y) ASSERT_LE(std::fabs(v), most * 1.0001) << n;
  }
}

TEST(Rotation, IsSharedWhileHeldAndDependsOnTheSeed) {
  const auto a = Rotation::make(96, 1), b = Rotation::make(96, 1), c = Rotation::make(96, 2);
  ASSERT_TRUE(a && b && c);
  EXPECT_EQ(*a, *b);
  EXPECT_NE(*a, *c);
  std::vector<float> x = normals(96), y(x), z(x);
  (*a)->apply(x.data(), y.data());
  (*c)->apply(x.data(), z.data());
  EXPECT_NE(y, z);
}

TEST(Rotation, RefusesWidthsThatItCannotMix) {
  for (int64_t n :
       {int64_t{0}, int64_t{-16}, int64_t{8}, int64_t{100}, int64_t{16 * 257}, int64_t{1} << 40})
    EXPECT_FALSE(Rotation::make(n, 1)) << n;
}

}  // namespace
}  // namespace planeloom
