#include "alloc/spectrum.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace planeloom {
namespace {

constexpr int64_t kPanel = 512;  // rows or columns that are doubles at a time

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

/// The upper triangle's mirror image.
void fill_lower(std::vector<double>& symmetric, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      symmetric[static_cast<size_t>(i * n + j)] = symmetric[static_cast<size_t>(j * n + i)];
}

}  // namespace

void Moments::add(std::span<const float> values) { add_to(*this, values); }
void Moments::add(std::span<const double> values) { add_to(*this, values); }

double Moments::kurtosis() const {
  if (count == 0) return 0;
  const double m = sum[0] / count, m2 = sum[1] / count, m3 = sum[2] / count, m4 = sum[3] / count;
  const double variance = m2 - m * m;
  // The sums of equal values differ by their rounding.
  if (variance <= 1e-10 * m2) return 0;
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

Spectrum spectrum_of_gram(const Blas& blas, std::span<const double> gram, int64_t n) {
  Spectrum s;
  s.right.assign(gram.begin(), gram.end());
  std::vector<double> values(static_cast<size_t>(n));
  const int size = static_cast<int>(n), ask = -1;
  int info = 0, iwork_size = 0;
  double work_size = 0;
  blas.dsyevd("V", "U", &size, s.right.data(), &size, values.data(), &work_size, &ask, &iwork_size,
              &ask, &info);
  const int lwork = static_cast<int>(work_size), liwork = iwork_size;
  std::vector<double> work(static_cast<size_t>(lwork));
  std::vector<int> iwork(static_cast<size_t>(liwork));
  blas.dsyevd("V", "U", &size, s.right.data(), &size, values.data(), work.data(), &lwork,
              iwork.data(), &liwork, &info);
  if (info != 0) values.assign(values.size(), NAN);  // what the matrix held was no numbers
  for (int64_t i = 0; i < n / 2; ++i)
    std::swap_ranges(s.right.begin() + i * n, s.right.begin() + (i + 1) * n,
                     s.right.begin() + (n - 1 - i) * n);
  for (int64_t i = n; i-- > 0;)
    s.value.push_back(std::sqrt(std::max(values[static_cast<size_t>(i)], 0.0)));
  return s;
}

std::vector<double> gram_of_columns(const Blas& blas, MatrixView w) {
  std::vector<double> gram(static_cast<size_t>(w.cols * w.cols)), panel;
  for (int64_t r = 0; r < w.rows; r += kPanel) {
    const int64_t rows = std::min(kPanel, w.rows - r);
    panel.assign(w.data + r * w.cols, w.data + (r + rows) * w.cols);
    blas.dsyrk(Blas::kRowMajor, Blas::kUpper, Blas::kTransposed, static_cast<int>(w.cols),
               static_cast<int>(rows), 1, panel.data(), static_cast<int>(w.cols), 1, gram.data(),
               static_cast<int>(w.cols));
  }
  fill_lower(gram, w.cols);
  return gram;
}

std::vector<double> gram_of_rows(const Blas& blas, MatrixView w) {
  std::vector<double> gram(static_cast<size_t>(w.rows * w.rows)), panel;
  for (int64_t c = 0; c < w.cols; c += kPanel) {
    const int64_t cols = std::min(kPanel, w.cols - c);
    panel.clear();
    for (int64_t r = 0; r < w.rows; ++r)
      panel.insert(panel.end(), w.data + r * w.cols + c, w.data + r * w.cols + c + cols);
    blas.dsyrk(Blas::kRowMajor, Blas::kUpper, Blas::kPlain, static_cast<int>(w.rows),
               static_cast<int>(cols), 1, panel.data(), static_cast<int>(cols), 1, gram.data(),
               static_cast<int>(w.rows));
  }
  fill_lower(gram, w.rows);
  return gram;
}

std::vector<double> lengths_within(const Blas& blas, std::span<const double> vectors,
                                   std::span<const double> directions, int64_t n) {
  const int64_t count = static_cast<int64_t>(vectors.size()) / n,
                kept = static_cast<int64_t>(directions.size()) / n;
  std::vector<double> lengths, parts;
  for (int64_t first = 0; first < count; first += kPanel) {
    const int64_t rows = std::min(kPanel, count - first);
    parts.resize(static_cast<size_t>(rows * kept));
    blas.dgemm(Blas::kRowMajor, Blas::kPlain, Blas::kTransposed, static_cast<int>(rows),
               static_cast<int>(kept), static_cast<int>(n), 1, vectors.data() + first * n,
               static_cast<int>(n), directions.data(), static_cast<int>(n), 0, parts.data(),
               static_cast<int>(kept));
    for (int64_t i = 0; i < rows; ++i) {
      double squares = 0;
      for (int64_t k = i * kept; k < (i + 1) * kept; ++k)
        squares += parts[static_cast<size_t>(k)] * parts[static_cast<size_t>(k)];
      lengths.push_back(std::sqrt(squares));
    }
  }
  return lengths;
}

double kurtosis_of_product(const Blas& blas, MatrixView a, MatrixView b) {
  constexpr int64_t kRows = 64;
  std::vector<float> tile;
  Moments moments;
  for (int64_t r = 0; r < a.cols; r += kRows) {
    const int64_t rows = std::min(kRows, a.cols - r);
    tile.resize(static_cast<size_t>(rows * b.cols));
    blas.sgemm(Blas::kRowMajor, Blas::kTransposed, Blas::kPlain, static_cast<int>(rows),
               static_cast<int>(b.cols), static_cast<int>(a.rows), 1, a.data + r,
               static_cast<int>(a.cols), b.data, static_cast<int>(b.cols), 0, tile.data(),
               static_cast<int>(b.cols));
    moments.add(tile);
  }
  return moments.kurtosis();
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
