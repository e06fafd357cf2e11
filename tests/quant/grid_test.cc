// Uniform grids: RTN's clipping search and HQQ's zeros, which share their code, against the
// definitions in double precision.
#include <gtest/gtest.h>

#include <numeric>

#include "quant/synthetic.h"

namespace planeloom {
namespace {

using test::decode;
using test::make_synthetic;
using test::output_error;
using test::quantized;
using test::RowMatrix;

QuantOptions method(const char* name, int bits, int group = 64, bool clip = false) {
  QuantOptions options;
  options.method = name;
  options.bits = bits;
  options.group = group;
  options.clip = clip;
  return options;
}

Result<QuantResult> quantize(const test::Synthetic& s, const QuantOptions& options,
                             int threads = 2) {
  ThreadPool pool(threads);
  return quantize_layer(s.input(), options, pool);
}

// Without a Hessian clipping lowers the squared error itself, row by row and group by group, and
// min-max is among the candidates: never worse anywhere.
TEST(Grid, ClippingIsNeverWorseThanMinMax) {
  for (bool heavy : {false, true}) {
    auto s = make_synthetic(37, 192, 64, heavy, 1);
    s.hessian.clear();
    const RowMatrix w = as_matrix(s);
    for (int bits : {1, 2, 3, 4}) {
      const RowMatrix plain = quantized(s, method("rtn", bits, 96)),
                      clipped = quantized(s, method("rtn", bits, 96, true));
      for (int64_t r = 0; r < s.rows; ++r)
        for (int64_t g = 0; g < s.cols; g += 96)
          EXPECT_LE((w - clipped).row(r).segment(g, 96).norm(),
                    (w - plain).row(r).segment(g, 96).norm() * (1 + 1e-5))
              << bits << " " << r << " " << g;
      if (bits <= 2) {
        EXPECT_LT((w - clipped).norm(), 0.95 * (w - plain).norm());
      }
    }
  }
}

// With one, a hot column counts for more.
TEST(Grid, ClippingWeighsColumnsByTheirInputs) {
  for (bool heavy : {false, true}) {
    auto s = make_synthetic(64, 512, 4096, heavy, 2);
    const RowMatrix w = as_matrix(s);
    for (int bits : {2, 3}) {
      const double plain = output_error(w, quantized(s, method("rtn", bits)), s.covariance);
      const double weighted =
          output_error(w, quantized(s, method("rtn", bits, 64, true)), s.covariance);
      auto blind = s;
      blind.hessian.clear();
      const double unweighted =
          output_error(w, quantized(blind, method("rtn", bits, 64, true)), s.covariance);
      RecordProperty(
          fmt::format("bits{}_{}", bits, heavy ? "t5" : "gauss"),
          fmt::format("rtn {:.4f} clip {:.4f} weighted {:.4f}", plain, unweighted, weighted));
      EXPECT_LT(weighted, unweighted) << bits;
      EXPECT_LT(weighted, 0.9 * plain) << bits;
    }
  }
}

// Weights that a min-max grid holds exactly stay as they are under every method that has one.
TEST(Grid, RecoversWeightsOnAGrid) {
  for (int bits : {1, 2, 3, 4}) {
    auto s = make_synthetic(21, 128, 512, false, 3);
    Rng rng(7);
    const auto levels = uint64_t{1} << bits;
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t g = 0; g < s.cols; g += 64) {
        const double step = std::ldexp(static_cast<double>(64 + rng.below(64)), -14),
                     bias = std::ldexp(static_cast<double>(rng.below(512)) - 256, -13);
        for (int64_t t = 0; t < 64; ++t) {
          const auto code = t < int64_t(levels) ? static_cast<uint64_t>(t) : rng.below(levels);
          s.weights[static_cast<size_t>(r * s.cols + g + t)] =
              static_cast<float>(bias + static_cast<double>(code) * step);
        }
      }
    EXPECT_EQ(quantized(s, method("rtn", bits)), as_matrix(s)) << bits;
    EXPECT_EQ(quantized(s, method("rtn", bits, 64, true)), as_matrix(s)) << bits;
    EXPECT_EQ(quantized(s, method("hqq", bits)), as_matrix(s)) << bits;
  }
}

TEST(Grid, ClippingGivesTheSameBytesForAnyThreadsAndIsa) {
  const auto s = make_synthetic(53, 192, 512, true, 4);
  for (int bits : {1, 2, 3, 4}) {
    QuantOptions options = method("rtn", bits, 64, true);
    options.isa = Isa::kScalar;
    const auto want = quantize(s, options, 1);
    ASSERT_TRUE(want);
    for (int threads : {1, 2, 5})
      for (Isa isa : supported_isas()) {
        options.isa = isa;
        const auto got = quantize(s, options, threads);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->matrix.codes, want->matrix.codes) << isa_name(isa) << threads;
        EXPECT_EQ(got->matrix.coef, want->matrix.coef) << isa_name(isa) << threads;
      }
  }
}

TEST(Grid, OnlyRtnIsClippedOnDemand) {
  const auto s = make_synthetic(4, 64, 128, false, 1);
  for (const char* name : {"hqq", "gptq", "bpdq", "ptqtp"})
    EXPECT_FALSE(quantize(s, method(name, 2, 64, true))) << name;
}

TEST(Grid, ClippingStaysFiniteOnDegenerateWeights) {
  auto s = make_synthetic(16, 128, 512, false, 9);
  for (int64_t c = 0; c < 128; ++c) {
    s.weights[static_cast<size_t>(c)] = 0;                                 // a row of zeros
    s.weights[static_cast<size_t>(128 + c)] = 0.5f;                        // a constant row
    s.weights[static_cast<size_t>(256 + c)] = c == 3 ? 60000.0f : 1e-30f;  // one huge weight
    s.weights[static_cast<size_t>(384 + c)] = c % 2 == 0 ? 65504.0f : -65504.0f;
  }
  std::fill(s.hessian.begin(), s.hessian.end(), 0.0);
  for (int bits : {1, 2, 3, 4}) {
    const RowMatrix q = quantized(s, method("rtn", bits, 64, true));
    EXPECT_TRUE(q.allFinite()) << bits;
    EXPECT_EQ(q.row(0).cwiseAbs().maxCoeff(), 0) << bits;
    EXPECT_EQ(q.row(1), RowMatrix::Constant(1, 128, 0.5)) << bits;
  }
}

// HQQ in double precision, straight from its equations: the criterion that it lowers is the mean
// absolute error. The step is rounded first, as the file stores it.
double hqq_error(std::vector<double> w, double top, int rounds) {
  const auto [low, high] = std::ranges::minmax(w);
  const double step = (high - low) / top;
  double zero = -low / step, beta = 10, least = INFINITY;
  for (int i = 0; i <= rounds; ++i, beta *= 1.01) {
    double error = 0, next = 0;
    for (const double v : w) {
      const double q = std::clamp(std::rint(v / step + zero), 0.0, top);
      const double d = v - (q - zero) * step, size = std::abs(d);
      const double e =
          size > 0 ? std::copysign(std::max(size - std::pow(size, 0.7 - 1) / beta, 0.0), d) : 0;
      error += size;
      next += (q - (v - e) / step) / static_cast<double>(w.size());
    }
    if (error >= least) break;
    least = error;
    zero = next;
  }
  return least;
}

// Small weights, where the shrinkage leaves nothing, and ones large enough that it matters.
TEST(Hqq, FollowsItsEquations) {
  for (const double scale : {1.0, 100.0}) {
    auto s = make_synthetic(16, 128, 64, true, 5);
    for (float& w : s.weights) w *= static_cast<float>(scale);
    const RowMatrix w = as_matrix(s);
    for (int bits : {2, 3, 4}) {
      const RowMatrix q = quantized(s, method("hqq", bits));
      double want =
          0;  // where the rounding of the step ends a group a round earlier, both are close
      for (int64_t r = 0; r < s.rows; ++r)
        for (int64_t g = 0; g < s.cols; g += 64)
          want += hqq_error({w.row(r).data() + g, w.row(r).data() + g + 64}, (1 << bits) - 1, 20);
      EXPECT_NEAR((w - q).cwiseAbs().sum() / want, 1, 0.01) << scale << " " << bits;
    }
  }
}

TEST(Hqq, LowersTheErrorOfRtn) {
  for (bool heavy : {false, true}) {
    const auto s = make_synthetic(64, 256, 64, heavy, 6);
    const RowMatrix w = as_matrix(s);
    for (int bits : {2, 3, 4}) {
      const double rtn = (w - quantized(s, method("rtn", bits))).cwiseAbs().sum(),
                   hqq = (w - quantized(s, method("hqq", bits))).cwiseAbs().sum();
      EXPECT_LT(hqq, rtn) << bits;
    }
  }
}

TEST(Hqq, ReportsItsRounds) {
  const auto s = make_synthetic(16, 128, 64, false, 7);
  QuantOptions options = method("hqq", 2);
  const auto all = quantize(s, options);
  options.rounds = 1;
  const auto one = quantize(s, options);
  ASSERT_TRUE(all && one);
  EXPECT_EQ(one->report.rounds, 1);
  EXPECT_GT(all->report.rounds, 1);
  EXPECT_LE(all->report.rounds, 20);
  EXPECT_GT(all->report.mean_rounds, 1);
}

}  // namespace
}  // namespace planeloom
