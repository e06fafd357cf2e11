#include "alloc/nsds.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "alloc/combine.h"
#include "base/rng.h"

namespace planeloom {
namespace {

using Wide = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> normal(Rng& rng, int64_t n) {
  std::vector<float> v(static_cast<size_t>(n));
  for (float& x : v) x = static_cast<float>(rng.normal());
  return v;
}

/// A block of two query heads on one key head, its matrices owned.
struct Block {
  static constexpr int64_t kWidth = 24, kHeads = 2, kHeadDim = 6, kFfn = 40;
  std::vector<float> q, k, v, o, gate, up, down, norm, ffn_norm;

  explicit Block(uint64_t seed) {
    Rng rng(seed);
    q = normal(rng, kHeads * kHeadDim * kWidth);
    k = normal(rng, kHeadDim * kWidth);
    v = normal(rng, kHeadDim * kWidth);
    o = normal(rng, kWidth * kHeads * kHeadDim);
    gate = normal(rng, kFfn * kWidth);
    up = normal(rng, kFfn * kWidth);
    down = normal(rng, kWidth * kFfn);
    norm.assign(kWidth, 1.0f);
    ffn_norm.assign(kWidth, 1.0f);
  }
  BlockWeights weights() const {
    BlockWeights b;
    b.heads = kHeads;
    b.kv_heads = 1;
    b.head_dim = kHeadDim;
    b.q = {q.data(), kHeads * kHeadDim, kWidth};
    b.k = {k.data(), kHeadDim, kWidth};
    b.v = {v.data(), kHeadDim, kWidth};
    b.o = {o.data(), kWidth, kHeads * kHeadDim};
    b.gate = {gate.data(), kFfn, kWidth};
    b.up = {up.data(), kFfn, kWidth};
    b.down = {down.data(), kWidth, kFfn};
    b.attention_norm = norm;
    b.ffn_norm = ffn_norm;
    return b;
  }
};

Wide wide(MatrixView m) {
  return Eigen::Map<const RowMajor>(m.data, m.rows, m.cols).cast<double>();
}

double kurtosis_of(const Wide& m) {
  const double mean = m.mean();
  const Eigen::ArrayXXd d = m.array() - mean;
  return d.pow(4).mean() / std::pow(d.square().mean(), 2) - 3;
}

/// Strength and directions by a plain SVD of the whole matrix; beta(i, U, V).
template <class Beta>
RoleMeasures by_svd(const Wide& m, Beta beta) {
  const Eigen::JacobiSVD<Wide> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::VectorXd s = svd.singularValues();
  RoleMeasures out;
  out.vulnerability = kurtosis_of(m);
  std::vector<double> weighted;
  double sum = 0;
  for (Eigen::Index i = 0; i < s.size() && (i < 2 || sum < 0.99 * s.squaredNorm()); ++i) {
    sum += s[i] * s[i];
    weighted.push_back(s[i] * beta(i, svd.matrixU(), svd.matrixV()));
    out.strength += weighted.back();
  }
  double entropy = 0;
  for (const double w : weighted)
    if (w > 0) entropy -= w / out.strength * std::log(w / out.strength);
  out.directions = out.strength > 0 ? std::exp(entropy) : 0;
  return out;
}

double positive_kurtosis(const Wide& v) { return std::max(0.0, kurtosis_of(v)); }

void expect_near(const RoleMeasures& a, const RoleMeasures& b) {
  EXPECT_NEAR(a.vulnerability, b.vulnerability, 1e-4);
  EXPECT_NEAR(a.strength, b.strength, 1e-6 * std::max(1.0, std::abs(b.strength)));
  EXPECT_NEAR(a.directions, b.directions, 1e-6 * std::max(1.0, b.directions));
}

const Blas& blas() {
  const auto loaded = load_blas();
  if (!loaded) throw std::runtime_error(loaded.error().message);
  return **loaded;
}

class NsdsTest : public testing::Test {
 protected:
  NsdsTest() {
    Rng rng(9);
    unembedding = normal(rng, 50 * Block::kWidth);
    for (int64_t r = 0; r < 50; ++r)  // a spectrum that falls, so that some of it is left out
      for (int64_t c = 0; c < Block::kWidth; ++c)
        unembedding[static_cast<size_t>(r * Block::kWidth + c)] *=
            static_cast<float>(std::pow(0.7, c));
    vocabulary = vocabulary_directions(
        blas(), gram_of_columns(blas(), {unembedding.data(), 50, Block::kWidth}), Block::kWidth);
  }
  ThreadPool pool{2};
  std::vector<float> unembedding;
  std::vector<double> vocabulary;
};

TEST_F(NsdsTest, VocabularyDirectionsHoldTheEnergy) {
  const auto kept = static_cast<Eigen::Index>(vocabulary.size()) / Block::kWidth;
  ASSERT_LT(kept, Block::kWidth);
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> p(
      vocabulary.data(), kept, Block::kWidth);
  EXPECT_LT((p * p.transpose() - Wide::Identity(kept, kept)).norm(), 1e-10);
  const Wide u = wide({unembedding.data(), 50, Block::kWidth});
  EXPECT_GE((u * p.transpose()).squaredNorm(), 0.99 * u.squaredNorm());
  EXPECT_LT((u * p.topRows(kept - 1).transpose()).squaredNorm(), 0.99 * u.squaredNorm());
}

// Every role against a plain SVD of the d x d matrix that the paper writes.
TEST_F(NsdsTest, MeasuresAreThoseOfTheWholeMatrices) {
  const Block block(1);
  const BlockWeights b = block.weights();
  const BlockMeasures m = measure_block(blas(), b, vocabulary, pool);
  const Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> p(
      vocabulary.data(), static_cast<Eigen::Index>(vocabulary.size()) / Block::kWidth,
      Block::kWidth);
  const auto detector = [](Eigen::Index i, const Wide&, const Wide& v) {
    return std::log1p(positive_kurtosis(v.col(i)));
  };
  const auto writer = [&](Eigen::Index i, const Wide& u, const Wide&) {
    return (p * u.col(i)).norm();
  };
  RoleMeasures qk, ov;
  for (int64_t h = 0; h < Block::kHeads; ++h) {
    const Wide q = wide(b.q).middleRows(h * Block::kHeadDim, Block::kHeadDim);
    const RoleMeasures one =
        by_svd(q.transpose() * wide(b.k), [](Eigen::Index i, const Wide& u, const Wide& v) {
          return std::log1p(positive_kurtosis(u.col(i)) * positive_kurtosis(v.col(i)));
        });
    const Wide o = wide(b.o).middleCols(h * Block::kHeadDim, Block::kHeadDim);
    const RoleMeasures other = by_svd(o * wide(b.v), writer);
    for (const auto part :
         {&RoleMeasures::vulnerability, &RoleMeasures::strength, &RoleMeasures::directions}) {
      qk.*part += one.*part / Block::kHeads;
      ov.*part += other.*part / Block::kHeads;
    }
  }
  expect_near(m[0], qk);
  expect_near(m[1], ov);
  expect_near(m[2], by_svd(wide(b.gate), detector));
  expect_near(m[3], by_svd(wide(b.up), detector));
  expect_near(m[4], by_svd(wide(b.down), writer));
}

// A gain before a linear is a part of it.
TEST_F(NsdsTest, GainsAreFoldedIn) {
  Block plain(2), with_gains(2);
  Rng rng(5);
  for (float& g : with_gains.norm) g = static_cast<float>(0.5 + rng.uniform());
  for (float& g : with_gains.ffn_norm) g = static_cast<float>(0.5 + rng.uniform());
  const auto scale = [](std::vector<float>& w, const std::vector<float>& gain) {
    for (size_t i = 0; i < w.size(); ++i) w[i] *= gain[i % gain.size()];
  };
  for (auto* w : {&plain.q, &plain.k, &plain.v}) scale(*w, with_gains.norm);
  for (auto* w : {&plain.gate, &plain.up}) scale(*w, with_gains.ffn_norm);
  const BlockMeasures a = measure_block(blas(), plain.weights(), vocabulary, pool),
                      b = measure_block(blas(), with_gains.weights(), vocabulary, pool);
  for (size_t role = 0; role < kRoles; ++role) expect_near(a[role], b[role]);
}

TEST_F(NsdsTest, QueryAndKeyNormsScaleTheirHeads) {
  Block plain(3), normed(3);
  const std::vector<float> q_norm{1, 2, 0.5f, 1, 3, 1}, k_norm{2, 1, 1, 0.25f, 1, 1};
  for (size_t i = 0; i < plain.q.size(); ++i) plain.q[i] *= q_norm[i / Block::kWidth % 6];
  for (size_t i = 0; i < plain.k.size(); ++i) plain.k[i] *= k_norm[i / Block::kWidth % 6];
  BlockWeights w = normed.weights();
  w.q_norm = q_norm;
  w.k_norm = k_norm;
  expect_near(measure_block(blas(), w, vocabulary, pool)[0],
              measure_block(blas(), plain.weights(), vocabulary, pool)[0]);
}

TEST_F(NsdsTest, TheSameForAnyThreads) {
  const Block block(4);
  ThreadPool one{1};
  const BlockMeasures a = measure_block(blas(), block.weights(), vocabulary, pool),
                      b = measure_block(blas(), block.weights(), vocabulary, one);
  for (size_t role = 0; role < kRoles; ++role) {
    EXPECT_EQ(a[role].vulnerability, b[role].vulnerability);
    EXPECT_EQ(a[role].strength, b[role].strength);
    EXPECT_EQ(a[role].directions, b[role].directions);
  }
}

// A layer with outliers stands out, and only in the role that has them.
TEST_F(NsdsTest, OutliersMakeALayerVulnerable) {
  std::vector<BlockMeasures> layers;
  for (uint64_t l = 0; l < 6; ++l) {
    Block block(10 + l);
    if (l == 3) block.down[17] = 60;
    layers.push_back(measure_block(blas(), block.weights(), vocabulary, pool));
  }
  const NsdsScores scores = nsds_scores(layers, Expressiveness::kRatio);
  EXPECT_EQ(by_score(scores.vulnerability)[0], 3);
  EXPECT_EQ(by_score(scores.score)[0], 3);
  std::vector<double> down, gate;
  for (const auto& roles : scores.role) {
    down.push_back(roles[static_cast<size_t>(Role::kDown)]);
    gate.push_back(roles[static_cast<size_t>(Role::kGate)]);
  }
  EXPECT_EQ(by_score(down)[0], 3);
  EXPECT_NE(by_score(gate)[0], 3);
}

// The published scores, p by p, and that the order of what stands for them is theirs.
TEST(NsdsScores, OrderIsThatOfThePublishedScores) {
  Rng rng(7);
  std::vector<BlockMeasures> layers(9);
  for (BlockMeasures& layer : layers)
    for (RoleMeasures& m : layer) m = {rng.normal(), 1 + rng.uniform(), 1 + 5 * rng.uniform()};
  std::vector<double> left[2];  // of both parts: the product of 1 - p over the roles
  for (auto& of_part : left) of_part.assign(layers.size(), 1.0);
  for (size_t role = 0; role < kRoles; ++role)
    for (const bool expressive : {false, true}) {
      std::vector<double> raw;
      for (const BlockMeasures& layer : layers)
        raw.push_back(expressive ? layer[role].strength * layer[role].directions
                                 : layer[role].vulnerability);
      const std::vector<double> z = unusual(raw);
      for (size_t l = 0; l < layers.size(); ++l)
        left[expressive][l] *= 1 - 1 / (1 + std::exp(-z[l]));
    }
  std::vector<double> published;
  for (size_t l = 0; l < layers.size(); ++l) {
    const double vulnerability = 1 - std::pow(left[0][l], 1.0 / kRoles),
                 expressiveness = 1 - std::pow(left[1][l], 1.0 / kRoles);
    published.push_back(1 - std::sqrt((1 - vulnerability) * (1 - expressiveness)));
  }
  const NsdsScores scores = nsds_scores(layers, Expressiveness::kProduct);
  EXPECT_EQ(by_score(scores.score), by_score(published));
  for (size_t l = 0; l < layers.size(); ++l)
    EXPECT_NEAR(1 - std::exp(-scores.score[l]), published[l], 1e-12);
}

TEST(SpectrumOfGram, LargestFirstAndNoNumbersStayNone) {
  const std::vector<double> gram{2, 0, 0, 0, 9, 0, 0, 0, 0};
  const Spectrum s = spectrum_of_gram(blas(), gram, 3);
  EXPECT_NEAR(s.value[0], 3, 1e-12);
  EXPECT_NEAR(s.value[1], std::sqrt(2), 1e-12);
  EXPECT_EQ(s.value[2], 0);
  EXPECT_NEAR(std::abs(s.right[1]), 1, 1e-12);
  EXPECT_NEAR(std::abs(s.right[3]), 1, 1e-12);
  for (const int64_t n : {1, 40, 300}) {
    const std::vector<double> broken(static_cast<size_t>(n * n), NAN);
    EXPECT_TRUE(std::isnan(spectrum_of_gram(blas(), broken, n).value[0])) << n;
  }
}

TEST(NsdsScores, AbsentRolesAndEqualLayersAreHandled) {
  std::vector<BlockMeasures> layers(4);
  for (BlockMeasures& layer : layers) layer[0] = {1.5, 2, 3};  // the other roles: zero everywhere
  const NsdsScores scores = nsds_scores(layers, Expressiveness::kRatio);
  for (const double s : scores.score) EXPECT_DOUBLE_EQ(s, std::log(2.0));
  layers[2][0].vulnerability = std::nan("");
  for (const double s : nsds_scores(layers, Expressiveness::kRatio).score)
    EXPECT_TRUE(std::isfinite(s));
  EXPECT_TRUE(nsds_scores({}, Expressiveness::kRatio).score.empty());
}

TEST(Moments, KurtosisOfKnownDistributions) {
  Moments uniform, normal_moments, none;
  Rng rng(1);
  std::vector<float> u(200000), n(200000);
  for (float& x : u) x = static_cast<float>(rng.uniform());
  for (float& x : n) x = static_cast<float>(3 + 2 * rng.normal());
  uniform.add(std::span<const float>(u));
  normal_moments.add(std::span<const float>(n));
  EXPECT_NEAR(uniform.kurtosis(), -1.2, 0.02);
  EXPECT_NEAR(normal_moments.kurtosis(), 0, 0.06);
  EXPECT_EQ(none.kurtosis(), 0);
  const std::vector<float> equal(10, 4.0f);
  none.add(std::span<const float>(equal));
  EXPECT_EQ(none.kurtosis(), 0);
}

}  // namespace
}  // namespace planeloom
