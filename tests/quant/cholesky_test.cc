#include "quant/cholesky.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"

namespace planeloom {
namespace {

/// B B^T + n / 4 I, column by column.
std::vector<double> definite(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<double> b(static_cast<size_t>(n * n)), a(b.size());
  for (double& v : b) v = rng.normal();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = i == j ? 0.25 * static_cast<double>(n) : 0.0;
      for (int64_t k = 0; k < n; ++k) sum += b[i * n + k] * b[j * n + k];
      a[i * n + j] = sum;
    }
  return a;
}

/// The textbook's three loops.
std::vector<double> factor(int64_t n, std::vector<double> a) {
  for (int64_t k = 0; k < n; ++k) {
    a[k * n + k] = std::sqrt(a[k * n + k]);
    for (int64_t i = k + 1; i < n; ++i) a[k * n + i] /= a[k * n + k];
    for (int64_t j = k + 1; j < n; ++j)
      for (int64_t i = j; i < n; ++i) a[j * n + i] -= a[k * n + i] * a[k * n + j];
  }
  return a;
}

constexpr int64_t kSizes[] = {16, 32, 112, 128, 144, 272, 1296};  // blocks of 128, chunks of 1024

TEST(Cholesky, IsTheTextbooksForEveryIsaAndAnyThreads) {
  for (const int64_t n : kSizes) {
    const auto a = definite(n, 1), want = factor(n, a);
    for (const Isa isa : supported_isas())
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        auto got = a;
        ASSERT_TRUE(cholesky(isa, pool, n, got.data()));
        for (int64_t j = 0; j < n; ++j)
          for (int64_t i = j; i < n; ++i) ASSERT_EQ(got[j * n + i], want[j * n + i]) << n;
      }
  }
}

TEST(Cholesky, SolvesTheSameForEveryIsaAndAnyThreads) {
  constexpr int64_t kPanels = 3;
  for (const int64_t n : kSizes) {
    const auto a = definite(n, 2), l = factor(n, a);
    Rng rng(3);
    std::vector<double> right(static_cast<size_t>(kPanels * n * kCholeskyUnit)), first;
    for (double& v : right) v = rng.normal();
    for (const Isa isa : supported_isas())
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        auto x = right;
        cholesky_solve(isa, pool, n, l.data(), kPanels, x.data());
        if (first.empty()) first = x;
        ASSERT_EQ(x, first) << n;
      }
    const auto at = [&](int64_t p, int64_t i, int64_t r) {
      return (p * n + i) * kCholeskyUnit + r;
    };
    for (int64_t p = 0; p < kPanels; ++p)
      for (int64_t r = 0; r < kCholeskyUnit; r += 5)
        for (int64_t i = 0; i < n; ++i) {
          double product = 0;
          for (int64_t j = 0; j < n; ++j) product += a[i * n + j] * first[at(p, j, r)];
          ASSERT_NEAR(product, right[at(p, i, r)], 1e-10) << n;
        }
  }
}

TEST(Cholesky, SaysWhatIsNotPositiveDefinite) {
  ThreadPool pool(2);
  for (const double wrong : {0.0, -1.0, std::nan(""), HUGE_VAL})
    for (const int64_t at : {0, 15, 200, 271}) {
      std::vector<double> a(272 * 272, 0.0);
      for (int64_t i = 0; i < 272; ++i) a[i * 273] = i == at ? wrong : 2.0;
      EXPECT_FALSE(cholesky(supported_isas().back(), pool, 272, a.data())) << wrong << " " << at;
    }
}

}  // namespace
}  // namespace planeloom
