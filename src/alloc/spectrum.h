// Moments and spectra of matrices. Row-major, borrowed.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "alloc/blas.h"

namespace planeloom {

/// (rows, cols).
struct MatrixView {
  const float* data = nullptr;
  int64_t rows = 0, cols = 0;

  MatrixView rows_from(int64_t first, int64_t count) const {
    return {data + first * cols, count, cols};
  }
};

/// Sums of the first four powers, of which the excess kurtosis is made.
struct Moments {
  double count = 0, sum[4] = {};
  void add(std::span<const float> values);
  void add(std::span<const double> values);
  /// E[(x - mean)^4] / E[(x - mean)^2]^2 - 3; 0 for none or all as good as equal, no number when
  /// one of them is none.
  double kurtosis() const;
};
double kurtosis(MatrixView m);
/// Of the entries of A^T B, some rows of it at a time; A (r, m), B (r, n).
double kurtosis_of_product(const Blas& blas, MatrixView a, MatrixView b);

/// Singular values, the largest first, with the vectors on the sides that were asked for: (values,
/// n), each of length 1.
struct Spectrum {
  std::vector<double> value;
  std::vector<double> left, right;

  int64_t size() const { return static_cast<int64_t>(value.size()); }
  /// Values, at least two where there are as many, whose squares are `share` of the sum of all.
  int64_t covering(double share) const;
};

/// Of A^T B, where A is (r, m) and B (r, n), r small: left vectors (m), right ones (n), by QR of
/// both and a core of r x r. A product of attention's factors without ever making it.
Spectrum spectrum_of_product(MatrixView a, MatrixView b);

/// Rows of a Gram matrix that LAPACK's counts can tell.
inline constexpr int64_t kMostEigenvalues = 32000;

/// From the eigenvalues of a Gram matrix (n, n), symmetric, n <= kMostEigenvalues: their roots (no
/// numbers where the matrix holds any that are none), and the eigenvectors as `right`. Of W^T W
/// these are W's singular values and right vectors, of W W^T its left ones.
Spectrum spectrum_of_gram(const Blas& blas, std::span<const double> gram, int64_t n);

/// W^T W, (cols, cols).
std::vector<double> gram_of_columns(const Blas& blas, MatrixView w);
/// W W^T, (rows, rows).
std::vector<double> gram_of_rows(const Blas& blas, MatrixView w);

/// Lengths of what of each vector (count, n) lies in the span of orthonormal directions (kept, n).
std::vector<double> lengths_within(const Blas& blas, std::span<const double> vectors,
                                   std::span<const double> directions, int64_t n);

/// W C W^T, (rows, rows); c: (cols, cols), symmetric.
std::vector<double> gram_through(MatrixView w, std::span<const double> c);

/// Eigenvalues of a symmetric matrix (n, n), none below 0, the largest first.
std::vector<double> eigenvalues(std::span<const double> gram, int64_t n);

/// exp of the entropy of shares v_i / sum v: how many of them there are, as it were. 0 for none.
double effective_count(std::span<const double> v);

}  // namespace planeloom
