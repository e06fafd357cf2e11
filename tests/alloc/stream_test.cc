// Energies against drawn inputs, and shares against a stream worked out by hand.
#include "alloc/stream.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "base/rng.h"

namespace planeloom {
namespace {

using Wide = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr int64_t kWidth = 20, kHeads = 4, kKvHeads = 2, kHeadDim = 6, kFfn = 30, kHeadRows = 7;

std::vector<float> normal(Rng& rng, int64_t n, double deviation) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = static_cast<float>(deviation * rng.normal());
  return v;
}

struct Block {
  std::vector<float> q, k, v, o, gate, up, down, norm, ffn_norm, post, head;
  BlockWeights weights;
  MatrixView head_rows() const { return {head.data(), kHeadRows, kWidth}; }
  explicit Block(bool gelu) {
    Rng rng(gelu ? 5 : 6);
    const double unit = 1 / std::sqrt(static_cast<double>(kWidth));
    q = normal(rng, kHeads * kHeadDim * kWidth, unit);
    k = normal(rng, kKvHeads * kHeadDim * kWidth, unit);
    v = normal(rng, kKvHeads * kHeadDim * kWidth, unit);
    o = normal(rng, kWidth * kHeads * kHeadDim, unit);
    gate = normal(rng, kFfn * kWidth, 1.3 * unit);
    up = gate;  // that they go together counts
    for (float& x : up) x = static_cast<float>(0.5 * x + unit * rng.normal());
    down = normal(rng, kWidth * kFfn, unit);
    norm = normal(rng, kWidth, 1);
    ffn_norm = normal(rng, kWidth, 1);
    post = normal(rng, kWidth, 2);
    head = normal(rng, kHeadRows * kWidth, 1.5);
    weights.heads = kHeads;
    weights.kv_heads = kKvHeads;
    weights.head_dim = kHeadDim;
    weights.q = {q.data(), kHeads * kHeadDim, kWidth};
    weights.k = {k.data(), kKvHeads * kHeadDim, kWidth};
    weights.v = {v.data(), kKvHeads * kHeadDim, kWidth};
    weights.o = {o.data(), kWidth, kHeads * kHeadDim};
    weights.gate = {gate.data(), kFfn, kWidth};
    weights.up = {up.data(), kFfn, kWidth};
    weights.down = {down.data(), kWidth, kFfn};
    weights.attention_norm = norm;
    weights.ffn_norm = ffn_norm;
    weights.attention_scale = 0.3;
    weights.gelu = gelu;
  }
};

Wide wide(MatrixView m) {
  return Eigen::Map<const RowMajor>(m.data, m.rows, m.cols).cast<double>();
}

Eigen::VectorXd drawn(Rng& rng, std::span<const float> gain) {
  Eigen::VectorXd x(static_cast<Eigen::Index>(gain.size()));
  for (Eigen::Index i = 0; i < x.size(); ++i)
    x[i] = rng.normal() * double{gain[static_cast<size_t>(i)]};
  return x;
}

double activated(bool gelu, double a) {
  return gelu ? 0.5 * a * (1 + std::tanh(std::sqrt(2 / M_PI) * (a + 0.044715 * a * a * a)))
              : a / (1 + std::exp(-a));
}

TEST(BlockEnergy, IsThatOfDrawnInputs) {
  constexpr int kDraws = 40000;
  for (const bool gelu : {false, true}) {
    const Block block(gelu);
    const BlockWeights& w = block.weights;
    const Wide q = wide(w.q), k = wide(w.k), v = wide(w.v), o = wide(w.o), gate = wide(w.gate),
               up = wide(w.up), down = wide(w.down), head = wide(block.head_rows());
    const auto read = [&head](const Eigen::VectorXd& x) {
      return (head * x).squaredNorm() / kHeadRows;
    };
    Rng rng(9);
    double attention = 0, attention_read = 0, logits = 0, hidden_read = 0, written = 0, changed = 0;
    for (int i = 0; i < kDraws; ++i) {
      const Eigen::VectorXd x = drawn(rng, block.norm), other = drawn(rng, block.norm);
      for (int64_t h = 0; h < kHeads; ++h) {
        const int64_t kv = h / (kHeads / kKvHeads);
        const Eigen::VectorXd value = v.middleRows(kv * kHeadDim, kHeadDim) * x;
        const Eigen::VectorXd of_head = o.middleCols(h * kHeadDim, kHeadDim) * value;
        attention += of_head.squaredNorm();
        attention_read += read(of_head);
        const double logit = 0.3 * (q.middleRows(h * kHeadDim, kHeadDim) * x)
                                       .dot(k.middleRows(kv * kHeadDim, kHeadDim) * other);
        logits += logit * logit / kHeads;
      }
      const Eigen::VectorXd y = drawn(rng, block.ffn_norm), a = gate * y, u = up * y;
      for (Eigen::Index j = 0; j < kFfn; ++j) {
        // An error of the gate's row: of its length, a thousandth, whatever the input.
        const double off = 1e-3 *
                           (gate.row(j).transpose().array() *
                            Eigen::Map<const Eigen::VectorXf>(block.ffn_norm.data(), kWidth)
                                .cast<double>()
                                .array())
                               .matrix()
                               .norm() *
                           rng.normal();
        const double hidden = activated(gelu, a[j]) * u[j],
                     moved = activated(gelu, a[j] + off) * u[j] - hidden,
                     length = down.col(j).squaredNorm();
        written += hidden * hidden * length;
        hidden_read += read(down.col(j) * hidden);
        changed += moved * moved * 1e6 * length;
      }
    }
    const BlockEnergy e = block_energy(w, block.head_rows());
    EXPECT_NEAR(e.attention.length / (attention / kDraws / kAttended), 1, 0.05);
    EXPECT_NEAR(e.attention.read / (attention_read / kDraws / kAttended), 1, 0.05);
    EXPECT_NEAR(e.logits / (logits / kDraws), 1, 0.05);
    EXPECT_NEAR(e.feed_forward.length / (written / kDraws), 1, 0.05);
    EXPECT_NEAR(e.feed_forward.read / (hidden_read / kDraws), 1, 0.05);
    EXPECT_NEAR(e.gate / (changed / written), 1, 0.05);
  }
}

TEST(BlockEnergy, NormsAfterwardsSayWhatIsWritten) {
  Block block(true);
  double squares = 0, read = 0;
  for (size_t c = 0; c < kWidth; ++c) {
    const double square = double{block.post[c]} * block.post[c];
    squares += square;
    for (size_t r = 0; r < kHeadRows; ++r)
      read += square * std::pow(double{block.head[r * kWidth + c]}, 2) / kHeadRows;
  }
  const BlockEnergy before = block_energy(block.weights, block.head_rows());
  block.weights.post_attention_norm = block.weights.post_ffn_norm = block.post;
  const BlockEnergy after = block_energy(block.weights, block.head_rows());
  for (const Written& w : {after.attention, after.feed_forward}) {
    EXPECT_DOUBLE_EQ(w.length, squares);
    EXPECT_NEAR(w.read / read, 1, 1e-5);
  }
  EXPECT_EQ(after.gate, before.gate);
  // Heads of query and key norms: unit inputs times both gains.
  const std::vector<float> gain(kHeadDim, 2.0f);
  block.weights.q_norm = block.weights.k_norm = gain;
  EXPECT_DOUBLE_EQ(block_energy(block.weights, block.head_rows()).logits, 0.09 * kHeadDim * 16);
}

TEST(MeanWritten, IsOverRowsAndOverThoseOfTheHead) {
  const std::vector<float> rows{3, 4, 1, 0}, head{1, 0, 0, 2, 1, 1};
  const Written w = mean_written({rows.data(), 2, 2}, {head.data(), 3, 2});
  EXPECT_DOUBLE_EQ(w.length, (25.0 + 1) / 2);
  EXPECT_DOUBLE_EQ(w.read, ((9.0 + 64 + 49) / 3 + (1.0 + 0 + 1) / 3) / 2);
}

TEST(StreamShares, AreOfWhatHasBeenWrittenSoFarAndOfWhatTheHeadReads) {
  const std::vector<BlockEnergy> layers{{{3, 0.5}, {6, 2}, 1, 0.5}, {{10, 1}, {30, 4}, 3, 2}};
  const auto shares = stream_shares(layers, {1, 0.5});  // the head reads 8 in all
  EXPECT_DOUBLE_EQ(shares[0].value_output, 3.0 / 4 + 0.5 / 8);
  EXPECT_DOUBLE_EQ(shares[0].query_key, shares[0].value_output / 2);
  EXPECT_DOUBLE_EQ(shares[0].up_down, 6.0 / 10 + 2.0 / 8);
  EXPECT_DOUBLE_EQ(shares[0].gate, shares[0].up_down / 2);
  EXPECT_DOUBLE_EQ(shares[1].value_output, 10.0 / 20 + 1.0 / 8);
  EXPECT_DOUBLE_EQ(shares[1].query_key, shares[1].value_output * 3 / 4);
  EXPECT_DOUBLE_EQ(shares[1].up_down, 30.0 / 50 + 4.0 / 8);
  EXPECT_DOUBLE_EQ(shares[1].gate, shares[1].up_down * 2);
  const std::vector<BlockEnergy> nothing(2);
  for (const StreamShares& s : stream_shares(nothing, {})) EXPECT_EQ(s.up_down, 0);
}

}  // namespace
}  // namespace planeloom
