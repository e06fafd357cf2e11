#include "compress/sampled_divergence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "eval/perplexity.h"

namespace planeloom {
namespace {

const Kernels& kernels = kernels_for(Isa::kScalar);

/// A head alone, of normal rows as long as `spread`; whoever reads `input` has logits() of it.
struct Head {
  Head(int64_t vocab, int64_t width, double spread, uint64_t seed)
      : weights(static_cast<size_t>(vocab * width)) {
    Rng rng(seed);
    for (float& w : weights)
      w = static_cast<float>(rng.normal() * spread / std::sqrt(static_cast<double>(width)));
    model.head = {gguf_codec(DType::kF32),           vocab, width,
                  std::as_bytes(std::span(weights)), {},    nullptr};
  }
  std::vector<float> logits(std::span<const float> input) const {
    const PackedMatrix& head = model.head;
    std::vector<float> x(input.begin(), input.end()), out(static_cast<size_t>(head.rows));
    if (head.rotation) kernels.rotate(*head.rotation, input.data(), x.data());
    kernels.dot_f32(weights.data(), head.cols, head.rows, x.data(), head.cols, 1, head.cols,
                    out.data(), head.rows);
    const float cap = model.config.final_softcap;
    if (cap > 0)
      for (float& y : out) y = cap * std::tanh(y / cap);
    return out;
  }

  std::vector<float> weights;
  Model model;
};

struct Means {
  double exact = 0, sampled = 0, worst = 0;  // worst: the largest difference of a row
};

/// Of `rows` inputs, each moved by `move` times a normal vector.
Means means(const Head& head, int rows, double move) {
  SampledDivergence reference(head.model);
  Rng rng(5);
  std::vector<std::vector<float>> logits, moved;
  for (int i = 0; i < rows; ++i) {
    std::vector<float> x(static_cast<size_t>(head.model.head.cols)), y(x.size());
    for (size_t j = 0; j < x.size(); ++j) {
      x[j] = static_cast<float>(rng.normal());
      y[j] = x[j] + static_cast<float>(rng.normal() * move);
    }
    logits.push_back(head.logits(x));
    moved.push_back(y);
    reference.add(logits.back(), kernels);
  }
  Means m;
  std::vector<float> scratch;
  for (int i = 0; i < rows; ++i) {
    const auto k = static_cast<size_t>(i);
    const double exact = kl_divergence(kernels, logits[k], head.logits(moved[k]), scratch),
                 sampled = reference(i, moved[k], kernels, scratch);
    m.exact += exact / rows;
    m.sampled += sampled / rows;
    m.worst = std::max(m.worst, std::abs(exact - sampled));
  }
  return m;
}

// Logits of a deviation of two leave most tokens far below the share and most probability with
// some hundred of them. One row's error is about the spread of its tail's mean over the tokens that
// stand for it (move / sqrt(1024)), of 64 rows an eighth of that.
TEST(SampledDivergence, IsTheDivergence) {
  const Head head(6000, 48, 2, 1);
  for (const double move : {0.03, 0.1, 0.3}) {
    const Means m = means(head, 64, move);
    EXPECT_GT(m.exact, 0);
    EXPECT_NEAR(m.sampled, m.exact, 0.02 * m.exact) << move;
  }
}

TEST(SampledDivergence, IsExactWhereEveryTokenIsLikely) {
  const Head head(50, 64, 0.3, 2);
  const Means m = means(head, 8, 0.5);
  EXPECT_GT(m.exact, 1e-3);
  EXPECT_LT(m.worst, 1e-5 * m.exact);
}

TEST(SampledDivergence, ReadsARotatedHeadAndASoftCap) {
  Head head(6000, 48, 2, 3);
  auto rotation = Rotation::make(48, 7);
  ASSERT_TRUE(rotation);
  head.model.head.rotation = *rotation;
  head.model.config.final_softcap = 3;
  const Means m = means(head, 64, 0.1);
  EXPECT_NEAR(m.sampled, m.exact, 0.02 * m.exact);
  Head other = head;
  other.model.config.final_softcap = 0;
  EXPECT_GT(means(other, 64, 0.1).exact, 1.1 * m.exact);  // the cap was not idle
}

TEST(SampledDivergence, IsNoneForTheModelItself) {
  const Head head(6000, 48, 2, 4);
  const Means m = means(head, 4, 0);
  EXPECT_EQ(m.exact, 0);
  EXPECT_NEAR(m.sampled, 0, 1e-7);  // weights are floats: their sum is one to 2^-24
}

// An input that would overflow exp() still has a divergence; one that is no number is none.
TEST(SampledDivergence, IsFiniteFarAwayAndNoNumberForNone) {
  const Head head(3000, 64, 2, 5);
  SampledDivergence reference(head.model);
  std::vector<float> x(64, 0.1f), scratch;
  reference.add(head.logits(x), kernels);
  for (float& y : x) y = 1e4f;
  const double far = reference(0, x, kernels, scratch);
  EXPECT_TRUE(std::isfinite(far));
  EXPECT_GT(far, 1000);
  x[3] = NAN;
  EXPECT_FALSE(std::isfinite(reference(0, x, kernels, scratch)));
}

}  // namespace
}  // namespace planeloom
