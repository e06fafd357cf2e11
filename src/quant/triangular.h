// Small upper triangular matrices.
#pragma once
#include <cstdint>
#include <vector>

namespace planeloom {

/// out (n, stride) = R^-1, upper triangular; r(i, j) in double for i <= j < n. What lies below the
/// diagonal is left as it is.
template <class R>
void invert_upper(int64_t n, const R& r, float* out, int64_t stride) {
  std::vector<double> u(static_cast<size_t>(n * n));
  for (int64_t j = 0; j < n; ++j) {
    u[static_cast<size_t>(j * n + j)] = 1.0 / r(j, j);
    for (int64_t i = j - 1; i >= 0; --i) {
      double sum = 0;
      for (int64_t k = i + 1; k <= j; ++k) sum += r(i, k) * u[static_cast<size_t>(k * n + j)];
      u[static_cast<size_t>(i * n + j)] = -sum / r(i, i);
    }
    for (int64_t i = 0; i <= j; ++i)
      out[i * stride + j] = static_cast<float>(u[static_cast<size_t>(i * n + j)]);
  }
}

}  // namespace planeloom
