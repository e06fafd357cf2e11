#include "compress/upstream.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace planeloom {
namespace {

std::vector<float> normals(int64_t n, uint64_t seed, double scale = 1) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(scale * rng.normal());
  return x;
}

constexpr int64_t kRows = 12, kCols = 48, kTokens = 600;

/// Inputs of both models, what the residual stream lacks, and the statistics of them.
struct Text {
  std::vector<float> original = normals(kTokens * kCols, 1), fed = original,
                     lack = normals(kTokens * kRows, 3, 0.3);
  std::vector<double> hessian;
  std::vector<float> drift, lacking;

  explicit Text(const Compute& compute) {
    // What the quantized model feeds: part of each value is lost to its neighbour, and noise.
    const auto noise = normals(kTokens * kCols, 2, 0.2);
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t c = 0; c < kCols; ++c)
        fed[t * kCols + c] = 0.8f * original[t * kCols + c] +
                             0.3f * original[t * kCols + (c + 1) % kCols] + noise[t * kCols + c];
    for (int64_t t = 0; t < kTokens; ++t)  // half of what is lacking shows in the inputs
      for (int64_t r = 0; r < kRows; ++r) lack[t * kRows + r] += 0.5f * fed[t * kCols + r];
    std::vector<float> difference(fed.size());
    for (size_t i = 0; i < fed.size(); ++i) difference[i] = original[i] - fed[i];
    SecondMoments moments(kCols);
    CrossMoments inputs(kCols, kCols), lacks(kRows, kCols);
    for (int64_t t = 0; t < kTokens; t += 200) {
      const Rows x{fed.data() + t * kCols, 200, kCols};
      moments.add(compute, x);
      inputs.add(compute, x, {difference.data() + t * kCols, 200, kCols});
      lacks.add(compute, {lack.data() + t * kRows, 200, kRows}, x);
    }
    hessian = moments.hessian();
    drift = std::move(inputs).mean();
    lacking = std::move(lacks).mean();
  }

  /// sum over the text of |W x + r - W* x'|^2.
  double loss(const std::vector<float>& w, const std::vector<float>& star, bool with_lack) const {
    double sum = 0;
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t r = 0; r < kRows; ++r) {
        double e = with_lack ? double(lack[t * kRows + r]) : 0.0;
        for (int64_t c = 0; c < kCols; ++c)
          e += double(w[r * kCols + c]) * double(original[t * kCols + c]) -
               double(star[r * kCols + c]) * double(fed[t * kCols + c]);
        sum += e * e;
      }
    return sum;
  }
};

// The target is the least-squares solution: no step away from it lowers the loss, and half the
// strength is half the way.
TEST(Upstream, IsTheLeastSquaresTarget) {
  ThreadPool pool(2);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  const Text text(compute);
  const auto w = normals(kRows * kCols, 4);
  for (const bool lack : {false, true}) {
    const auto target = UpstreamTarget::make(compute, text.hessian, kCols, text.drift,
                                             lack ? text.lacking : std::vector<float>{}, 1e-6);
    ASSERT_TRUE(target) << target.error().message;
    auto star = w, half = w;
    target->apply(compute, 1, kRows, star);
    target->apply(compute, 0.5, kRows, half);
    const double best = text.loss(w, star, lack);
    EXPECT_LT(best, 0.6 * text.loss(w, w, lack));
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const auto step = normals(kRows * kCols, 50 + seed, 0.01);
      auto away = star;
      for (size_t i = 0; i < away.size(); ++i) away[i] += step[i];
      EXPECT_GT(text.loss(w, away, lack), best);
    }
    for (size_t i = 0; i < w.size(); ++i) ASSERT_NEAR(half[i], (w[i] + star[i]) / 2, 1e-5);
  }
}

// Heavier damping trusts the text less: the weights stay nearer to what they were.
TEST(Upstream, DampingKeepsTheWeights) {
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const Text text(compute);
  const auto w = normals(kRows * kCols, 4);
  double before = 1e30;
  for (double damping : {1e-4, 1e-2, 1.0, 100.0}) {
    const auto target =
        UpstreamTarget::make(compute, text.hessian, kCols, text.drift, text.lacking, damping);
    ASSERT_TRUE(target);
    auto star = w;
    target->apply(compute, 1, kRows, star);
    double moved = 0;
    for (size_t i = 0; i < w.size(); ++i) moved += std::pow(double(star[i]) - double(w[i]), 2);
    EXPECT_LT(moved, before);
    before = moved;
  }
}

TEST(Upstream, SameBitsForAnyThreadsAndIsa) {
  ThreadPool one(1), three(3);
  const Compute scalar{&one, &kernels_for(Isa::kScalar)};
  const Text text(scalar);
  const auto target =
      UpstreamTarget::make(scalar, text.hessian, kCols, text.drift, text.lacking, 0.05);
  ASSERT_TRUE(target);
  auto want = normals(kRows * kCols, 4);
  target->apply(scalar, 1, kRows, want);
  for (Isa isa : supported_isas()) {
    const Compute compute{&three, &kernels_for(isa)};
    const Text same(compute);
    EXPECT_EQ(same.drift, text.drift);
    EXPECT_EQ(same.lacking, text.lacking);
    auto got = normals(kRows * kCols, 4);
    target->apply(compute, 1, kRows, got);
    EXPECT_EQ(got, want);
  }
}

TEST(Upstream, RefusesWhatItCannotInvertAndKeepsWhatIsFedNothing) {
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const std::vector<double> zero(256, 0.0);
  std::vector<double> odd(256, 0.0), fine(256, 0.0), narrow(16, 0.0);
  for (size_t i = 0; i < 256; i += 17) fine[i] = 1;
  for (size_t i = 0; i < 16; i += 5) narrow[i] = 1;
  odd[0] = std::nan("");
  const std::vector<float> drift(256), thin(16);
  EXPECT_TRUE(UpstreamTarget::make(compute, fine, 16, drift, {}, 0.05));
  const auto nothing = UpstreamTarget::make(compute, zero, 16, drift, {}, 0.05);
  ASSERT_TRUE(nothing) << nothing.error().message;
  std::vector<float> weights = normals(3 * 16, 5);
  nothing->apply(compute, 1, 3, weights);
  EXPECT_EQ(weights, normals(3 * 16, 5));
  EXPECT_FALSE(UpstreamTarget::make(compute, odd, 16, drift, {}, 0.05));
  EXPECT_FALSE(UpstreamTarget::make(compute, narrow, 4, thin, {}, 0.05));
}

}  // namespace
}  // namespace planeloom
