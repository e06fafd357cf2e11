#include "alloc/spectrum.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace planeloom {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowMajorD = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Wide = Eigen::MatrixXd;

Eigen::Map<const RowMajor> map(MatrixView m) { return {m.data, m.rows, m.cols}; }
Eigen::Map<const RowMajorD> map(std::span<const double> m, int64_t n) { return {m.data(), n, n}; }

template <class T>
void add_to(Moments& m, std::span<const T> values) {
  for (const T v : values) {
    const double x = static_cast<double>(v), xx = x * x;
    m.sum[0] += x;
    m.sum[1] += xx;
    m.sum[2] += xx * x;
    m.sum[3] += xx * xx;
  }
  m.count += static_cast<double>(values.size());
}

/// Column k of `m` to row k of the vectors.
void put(const Wide& m, std::vector<double>& out) {
  out.resize(static_cast<size_t>(m.size()));
  Eigen::Map<Wide>(out.data(), m.rows(), m.cols()) = m;  // columns of Eigen's lie in a row
}

/// The thin factors of A^T: (m, r) orthonormal, and (r, r).
std::pair<Wide, Wide> qr_of_transposed(MatrixView a) {
  const Wide turned = map(a).cast<double>().transpose();
  const Eigen::Index r = std::min(a.rows, a.cols);
  Eigen::HouseholderQR<Wide> qr(turned);
  Wide q = qr.householderQ() * Wide::Identity(a.cols, r);
  Wide upper = qr.matrixQR().topRows(r).triangularView<Eigen::Upper>();
  return {std::move(q), std::move(upper)};
}

/// A copy of the Gram matrix of Eigen's own, as a plain vector.
std::vector<double> whole(const Wide& symmetric) {
  std::vector<double> out(static_cast<size_t>(symmetric.size()));
  Eigen::Map<Wide>(out.data(), symmetric.rows(), symmetric.cols()) = symmetric;
  return out;
}

/// X^T X for X of doubles, both halves.
Wide gram(const Wide& x) {
  Wide g = Wide::Zero(x.cols(), x.cols());
  g.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
  return g.selfadjointView<Eigen::Lower>();
}

}  // namespace

void Moments::add(std::span<const float> values) { add_to(*this, values); }
void Moments::add(std::span<const double> values) { add_to(*this, values); }

double Moments::kurtosis() const {
  if (count == 0) return 0;
  const double m = sum[0] / count, m2 = sum[1] / count, m3 = sum[2] / count, m4 = sum[3] / count;
  const double variance = m2 - m * m;
  if (!(variance > 1e-14 * m2)) return 0;
  const double fourth = m4 - 4 * m * m3 + 6 * m * m * m2 - 3 * m * m * m * m;
  return fourth / (variance * variance) - 3;
}

double kurtosis(MatrixView m) {
  Moments moments;
  for (int64_t r = 0; r < m.rows; ++r)
    moments.add(std::span(m.data + r * m.cols, static_cast<size_t>(m.cols)));
  return moments.kurtosis();
}

int64_t Spectrum::covering(double share) const {
  double all = 0, sum = 0;
  for (const double s : value) all += s * s;
  int64_t k = 0;
  while (k < size() && (k < 2 || sum < share * all)) {
    const double s = value[static_cast<size_t>(k++)];
    sum += s * s;
  }
  return k;
}

Spectrum spectrum_of_product(MatrixView a, MatrixView b) {
  const auto [q1, r1] = qr_of_transposed(a);
  const auto [q2, r2] = qr_of_transposed(b);
  const Wide core = r1 * r2.transpose();
  const Eigen::BDCSVD<Wide> svd(core, Eigen::ComputeThinU | Eigen::ComputeThinV);
  Spectrum s;
  s.value.assign(svd.singularValues().begin(), svd.singularValues().end());
  put(q1 * svd.matrixU(), s.left);
  put(q2 * svd.matrixV(), s.right);
  return s;
}

Spectrum spectrum_of_gram(std::span<const double> gram, int64_t n) {
  const Eigen::SelfAdjointEigenSolver<Wide> solver(map(gram, n));
  Spectrum s;
  for (int64_t i = n; i-- > 0;)
    s.value.push_back(std::sqrt(std::max(0.0, solver.eigenvalues()[i])));
  put(solver.eigenvectors().rowwise().reverse(), s.right);
  return s;
}

std::vector<double> gram_of_columns(MatrixView w) { return whole(gram(map(w).cast<double>())); }

std::vector<double> gram_of_rows(MatrixView w) {
  return whole(gram(map(w).cast<double>().transpose()));
}

std::vector<double> gram_through(MatrixView w, std::span<const double> c) {
  const Wide rows = map(w).cast<double>();
  const Wide g = rows * map(c, w.cols) * rows.transpose();
  return whole((g + g.transpose()) / 2);
}

std::vector<double> eigenvalues(std::span<const double> gram, int64_t n) {
  const Eigen::SelfAdjointEigenSolver<Wide> solver(map(gram, n), Eigen::EigenvaluesOnly);
  std::vector<double> v;
  for (int64_t i = n; i-- > 0;) v.push_back(std::max(0.0, solver.eigenvalues()[i]));
  return v;
}

double effective_count(std::span<const double> v) {
  double sum = 0, entropy = 0;
  for (const double x : v) sum += x;
  if (!(sum > 0)) return 0;
  for (const double x : v)
    if (x > 0) entropy -= x / sum * std::log(x / sum);
  return std::exp(entropy);
}

}  // namespace planeloom
