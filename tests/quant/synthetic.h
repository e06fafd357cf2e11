// Synthetic layers for the quantizers' tests: Gaussian or heavy-tailed weights, inputs with a
// power-law spectrum in a random basis, log-normal channel scales and four hot channels.
#pragma once
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "quant/quantizer.h"

namespace planeloom::test {

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Synthetic {
  int64_t rows, cols;
  std::vector<float> weights;   // (rows, cols)
  std::vector<double> hessian;  // (cols, cols), from the calibration tokens
  RowMatrix covariance;  // (cols, cols), what the tokens were drawn from: an infinite held-out set
  LayerInput input() const { return {weights, rows, cols, hessian, nullptr}; }
};

inline RowMatrix gaussian(int64_t rows, int64_t cols, Rng& rng) {
  RowMatrix m(rows, cols);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = rng.normal();
  return m;
}

/// Student-t with 5 degrees of freedom, scaled to variance 1; or normal.
inline double weight_draw(bool heavy, Rng& rng) {
  const double z = rng.normal();
  if (!heavy) return z;
  double chi = 0;
  for (int i = 0; i < 5; ++i) chi += std::pow(rng.normal(), 2);
  return z / std::sqrt(chi / 5) * std::sqrt(3.0 / 5);
}

inline Synthetic make_synthetic(int64_t rows, int64_t cols, int64_t tokens, bool heavy,
                                uint64_t seed) {
  Rng rng(seed);
  Synthetic s{rows, cols, {}, {}, {}};
  for (int64_t r = 0; r < rows; ++r) {
    const double scale = 0.02 * std::exp(0.2 * rng.normal());
    for (int64_t c = 0; c < cols; ++c)
      s.weights.push_back(static_cast<float>(scale * weight_draw(heavy, rng)));
  }
  RowMatrix mix = Eigen::HouseholderQR<RowMatrix>(gaussian(cols, cols, rng)).householderQ();
  for (int64_t i = 0; i < cols; ++i)
    mix.row(i) *= std::pow(static_cast<double>(i + 1), -0.45);  // variance i^-0.9
  for (int64_t c = 0; c < cols; ++c) mix.col(c) *= std::exp(0.5 * rng.normal());
  for (int hot = 0; hot < 4; ++hot)
    mix.col(static_cast<int64_t>(rng.below(static_cast<uint64_t>(cols)))) *= 10;
  s.covariance = mix.transpose() * mix;
  RowMatrix h = RowMatrix::Zero(cols, cols);
  for (int64_t t = 0; t < tokens; t += 512) {
    const RowMatrix x = gaussian(std::min<int64_t>(512, tokens - t), cols, rng) * mix;
    h.noalias() += 2.0 / static_cast<double>(tokens) * x.transpose() * x;
  }
  s.hessian.assign(h.data(), h.data() + h.size());
  return s;
}

inline RowMatrix as_matrix(const Synthetic& s) {
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             s.weights.data(), s.rows, s.cols)
      .cast<double>();
}

inline RowMatrix decode(const EncodedMatrix& m) {
  RowMatrix out(m.rows, m.cols);
  std::vector<float> row(static_cast<size_t>(m.cols));
  for (int64_t r = 0; r < m.rows; ++r) {
    m.codec->decode_row(m.view(), r, row.data());
    for (int64_t c = 0; c < m.cols; ++c) out(r, c) = row[static_cast<size_t>(c)];
  }
  return out;
}

/// No calibration token ever touched the column.
inline void forget_column(Synthetic& s, int64_t column) {
  for (int64_t i = 0; i < s.cols; ++i)
    s.hessian[static_cast<size_t>(column * s.cols + i)] =
        s.hessian[static_cast<size_t>(i * s.cols + column)] = 0;
}

/// The layer as it is served.
inline RowMatrix quantized(const Synthetic& s, const QuantOptions& options) {
  ThreadPool pool(2);
  const auto q = quantize_layer(s.input(), options, pool);
  EXPECT_TRUE(q) << q.error().message;
  return decode(q->matrix);
}

/// tr(E C E^T) / tr(W C W^T), E = W - Q.
inline double output_error(const RowMatrix& w, const RowMatrix& q, const RowMatrix& c) {
  const RowMatrix e = w - q;
  return (e * c).cwiseProduct(e).sum() / (w * c).cwiseProduct(w).sum();
}

}  // namespace planeloom::test
