// The trellis quantizer: the search against all there is, and what it promises of whole matrices.
#include "quant/trellis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "base/rng.h"
#include "quant/quantizer.h"
#include "quant/synthetic.h"
#include "quant/trellis_search.h"

namespace planeloom {
namespace {

/// A span of n columns with a random upper factor.
struct Problem {
  std::vector<float> target, weight, push;
  uint32_t survivor;
  TrellisSegment segment(uint32_t* window) const {
    return {static_cast<int64_t>(target.size()),
            target.data(),
            weight.data(),
            push.data(),
            survivor,
            window};
  }
};
Problem random_problem(int bits, int64_t n, uint64_t seed) {
  Rng rng(seed);
  const auto uniform = [&] { return static_cast<float>(rng.next() >> 40) * 0x1.0p-24f; };
  const TrellisCode& code = trellis_code(bits);
  Problem p{{}, {}, std::vector<float>(static_cast<size_t>(n * kTrellisColumns)), 0};
  for (int64_t t = 0; t < n; ++t) {
    p.target.push_back(static_cast<float>(code.zero()) +
                       code.deviation * 2 * (uniform() + uniform() + uniform() - 1.5f));
    p.weight.push_back(0.5f + uniform());
    for (int64_t k = t + 1; k < n; ++k)
      p.push[static_cast<size_t>(t * kTrellisColumns + k)] = 0.4f * (uniform() - 0.5f);
  }
  p.survivor = static_cast<uint32_t>(rng.next() >> 40) % (1u << trellis_survivor_bits(bits));
  return p;
}

/// What the choice of `window` costs.
double cost(const Problem& p, const TrellisTable& table, const std::vector<uint32_t>& window) {
  double total = 0;
  std::vector<double> x(p.target.begin(), p.target.end());
  for (size_t t = 0; t < x.size(); ++t) {
    const double v = static_cast<double>(table.value[window[t]]);
    total += (x[t] - v) * (x[t] - v) * static_cast<double>(p.weight[t]);
    for (size_t k = t + 1; k < x.size(); ++k)
      x[k] += (static_cast<double>(p.target[t]) - v) *
              static_cast<double>(p.push[t * kTrellisColumns + k]);
  }
  return total;
}

std::vector<uint32_t> windows_of(int bits, uint32_t survivor, const std::vector<int>& symbols) {
  std::vector<uint32_t> out;
  for (const int symbol : symbols) {
    out.push_back(survivor << bits | static_cast<uint32_t>(symbol));
    survivor = out.back() % (1u << trellis_survivor_bits(bits));
  }
  return out;
}

// All sequences of a few columns: with so few, no two survivors merge, so the search misses the
// best only when it gave it up too early.
TEST(TrellisSearch, FindsTheBestSequence) {
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    const TrellisTable table(bits);
    TrellisScratch scratch(table);
    const int64_t n = bits == 1 ? 8 : bits == 2 ? 5 : 3;
    int found = 0, tries = 60;
    for (int seed = 0; seed < tries; ++seed) {
      const Problem p = random_problem(bits, n, static_cast<uint64_t>(seed));
      std::vector<uint32_t> window(static_cast<size_t>(n));
      trellis_search(Isa::kScalar, bits)(table, p.segment(window.data()), scratch);
      for (size_t t = 1; t < window.size(); ++t)  // a path
        ASSERT_EQ(window[t] >> bits, window[t - 1] % (1u << trellis_survivor_bits(bits)));
      ASSERT_EQ(window[0] >> bits, p.survivor);
      double best = 1e30;
      for (int64_t all = 0; all < int64_t{1} << (bits * n); ++all) {
        std::vector<int> symbols;
        for (int64_t t = 0; t < n; ++t)
          symbols.push_back(static_cast<int>(all >> (bits * t)) & ((1 << bits) - 1));
        best = std::min(best, cost(p, table, windows_of(bits, p.survivor, symbols)));
      }
      const double mine = cost(p, table, window);
      ASSERT_GE(mine, best * (1 - 1e-4));
      found += mine <= best * (1 + 1e-4);
    }
    EXPECT_GE(found, tries * 9 / 10) << bits;
  }
}

// A long span: better than deciding column by column, which is what GPTQ's feedback does.
TEST(TrellisSearch, BeatsGreedyFeedback) {
  const TrellisTable table(2);
  TrellisScratch scratch(table);
  double searched = 0, greedy = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Problem p = random_problem(2, 64, 100 + seed);
    std::vector<uint32_t> window(64), taken;
    trellis_search(Isa::kScalar, 2)(table, p.segment(window.data()), scratch);
    searched += cost(p, table, window);
    std::vector<float> x = p.target;
    uint32_t survivor = p.survivor;
    for (size_t t = 0; t < x.size(); ++t) {
      uint32_t best = survivor << 2;
      for (uint32_t c = 1; c < 4; ++c)
        if (std::fabs(x[t] - table.value[survivor << 2 | c]) < std::fabs(x[t] - table.value[best]))
          best = survivor << 2 | c;
      taken.push_back(best);
      survivor = best % static_cast<uint32_t>(table.survivors);
      for (size_t k = t + 1; k < x.size(); ++k)
        x[k] += (p.target[t] - table.value[best]) * p.push[t * kTrellisColumns + k];
    }
    greedy += cost(p, table, taken);
  }
  EXPECT_LT(searched, 0.8 * greedy);
}

TEST(TrellisSearch, SameOnEveryIsa) {
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    const TrellisTable table(bits);
    TrellisScratch scratch(table);
    for (const int64_t n : {1, 7, 8, 33, 80}) {
      const Problem p = random_problem(bits, n, static_cast<uint64_t>(n));
      std::vector<uint32_t> want(static_cast<size_t>(n)), got(want);
      trellis_search(Isa::kScalar, bits)(table, p.segment(want.data()), scratch);
      for (const Isa isa : supported_isas()) {
        trellis_search(isa, bits)(table, p.segment(got.data()), scratch);
        EXPECT_EQ(got, want) << isa_name(isa) << bits << " " << n;
      }
    }
  }
}

TEST(Trellis, OrderTakesEveryColumnOnce) {
  for (const int64_t cols : {32, 64, 256, 288, 576, 1536}) {
    std::vector<int32_t> order = trellis_order(cols);
    ASSERT_EQ(order.size(), static_cast<size_t>(cols));
    std::sort(order.begin(), order.end());
    for (int64_t c = 0; c < cols; ++c) EXPECT_EQ(order[static_cast<size_t>(c)], c);
  }
}

// Without a Hessian it is a trellis code for Gaussian numbers: mean squared errors of 0.071 (2
// bits) where a scalar code of as many bits has 0.117 and no code can have less than 0.0625. The
// scale, made for targets that errors spread, costs a tenth of that here.
TEST(Trellis, GaussianAnchor) {
  const auto s = test::make_synthetic(32, 512, 0, false, 4);
  ThreadPool pool(2);
  QuantOptions options;
  options.method = "trellis";
  const double most[] = {0.30, 0.080, 0.0225, 0.0075};
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    options.bits = bits;
    const auto q = quantize_layer({s.weights, 32, 512}, options, pool);
    ASSERT_TRUE(q) << q.error().message;
    EXPECT_LT(std::pow(q->report.weight_error, 2), most[bits - 1]) << bits;
    EXPECT_GT(std::pow(q->report.weight_error, 2), std::exp2(-2 * bits)) << bits;
  }
}

/// The same layer in a random basis of its inputs, which is what a rotation makes of it.
test::Synthetic turned(test::Synthetic s, uint64_t seed) {
  Rng rng(seed);
  const test::RowMatrix basis =
      Eigen::HouseholderQR<test::RowMatrix>(test::gaussian(s.cols, s.cols, rng)).householderQ();
  const test::RowMatrix w = test::as_matrix(s) * basis;
  const Eigen::Map<test::RowMatrix> h(s.hessian.data(), s.cols, s.cols);
  const test::RowMatrix turned = basis.transpose() * h * basis;
  for (int64_t i = 0; i < w.size(); ++i) s.weights[i] = static_cast<float>(w.data()[i]);
  s.hessian.assign(turned.data(), turned.data() + turned.size());
  return s;
}

// On correlated inputs: nearer than refined bit-planes of half a bit more.
TEST(Trellis, BeatsBitPlanes) {
  const auto s = turned(test::make_synthetic(64, 256, 1024, false, 5), 6);
  ThreadPool pool(2);
  QuantOptions planes, trellis;
  planes.coefficients = Coefficients::kByte;
  planes.refine = 2;
  trellis.method = "trellis";
  const auto a = quantize_layer(s.input(), planes, pool),
             b = quantize_layer(s.input(), trellis, pool);
  ASSERT_TRUE(a && b);
  EXPECT_LT(b->report.bits_per_weight, a->report.bits_per_weight - 0.4);
  EXPECT_LT(*b->report.output_error, *a->report.output_error);
}

TEST(Trellis, ZeroRowsAndNarrowMatrices) {
  ThreadPool pool(1);
  QuantOptions options;
  options.method = "trellis";
  options.group = 32;
  std::vector<float> w(3 * 32, 0.0f);
  for (int c = 0; c < 32; ++c) w[static_cast<size_t>(32 + c)] = c % 2 ? 60000.0f : -60000.0f;
  for (int c = 0; c < 32; ++c) w[static_cast<size_t>(64 + c)] = 1e-9f;  // its scale is below fp16
  const auto q = quantize_layer({w, 3, 32}, options, pool);
  ASSERT_TRUE(q) << q.error().message;
  const auto decoded = test::decode(q->matrix);
  for (const double v : decoded.row(0)) EXPECT_EQ(v, 0.0);
  for (const double v : decoded.row(1)) EXPECT_TRUE(std::isfinite(v));
  for (const double v : decoded.row(2)) EXPECT_LT(std::fabs(v), 1e-4);
}

}  // namespace
}  // namespace planeloom
