#include "quant/cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "quant/lanes.h"

namespace planeloom {
namespace {

using lanes::LaneKernels;

constexpr int64_t kPanel = kCholeskyUnit;  // rows of a panel: (columns, 16)
constexpr int64_t kHalf = kPanel / 2;      // what subtract_products takes of its right side
constexpr int64_t kBlock = 128;   // columns that are factored before the rest learns of them
constexpr int64_t kChunk = 1024;  // rows of a block of columns: 1 MiB, for the L2 cache

/// The block on the diagonal, by the textbook. a: its first entry, columns n apart.
bool factor_block(int64_t size, int64_t n, double* a) {
  for (int64_t k = 0; k < size; ++k) {
    double* column = a + k * n;
    if (!(column[k] > 0) || !std::isfinite(column[k])) return false;
    column[k] = std::sqrt(column[k]);
    for (int64_t i = k + 1; i < size; ++i) column[i] /= column[k];
    for (int64_t j = k + 1; j < size; ++j)
      for (int64_t i = j; i < size; ++i) a[j * n + i] -= column[i] * column[j];
  }
  return true;
}

/// y = L^-1 y for a panel y (size, 16), L the block on the diagonal that begins at l.
void solve_block(const LaneKernels& k, int64_t size, int64_t n, const double* l, double* y) {
  for (int64_t first = 0; first < size; first += kHalf) {
    k.subtract_products(first, y, l + first, n, y + first * kPanel, kPanel);
    for (int64_t j = first; j < first + kHalf; ++j) {
      double* row = y + j * kPanel;
      for (int64_t t = first; t < j; ++t)
        for (int64_t r = 0; r < kPanel; ++r) row[r] -= y[t * kPanel + r] * l[t * n + j];
      for (int64_t r = 0; r < kPanel; ++r) row[r] /= l[j * n + j];
    }
  }
}

/// y = L^-T y.
void solve_transposed_block(int64_t size, int64_t n, const double* l, double* y) {
  for (int64_t j = size - 1; j >= 0; --j) {
    double* row = y + j * kPanel;
    for (int64_t t = j + 1; t < size; ++t)
      for (int64_t r = 0; r < kPanel; ++r) row[r] -= y[t * kPanel + r] * l[j * n + t];
    for (int64_t r = 0; r < kPanel; ++r) row[r] /= l[j * n + j];
  }
}

/// Calls body(chunk's first row, its last, item) for every chunk of rows first ... n and every
/// item, so that a worker meets a chunk with many items before the next.
template <class Body>
void for_chunks(ThreadPool& pool, int64_t first, int64_t n, int64_t items, const Body& body) {
  const int64_t chunks = (n - first + kChunk - 1) / kChunk;
  pool.parallel_for(chunks * items, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = first + task / items * kChunk;
      body(row, std::min(row + kChunk, n), task % items);
    }
  });
}

}  // namespace

bool cholesky(Isa isa, ThreadPool& pool, int64_t n, double* a) {
  const LaneKernels& k = lanes::lane_kernels(isa);
  std::vector<double> packed(static_cast<size_t>(n * kBlock));  // rows below, in panels
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t size = std::min(kBlock, n - first), below = first + size;
    double* diagonal = a + first * n + first;
    if (!factor_block(size, n, diagonal)) return false;
    const auto panel = [&](int64_t row) { return packed.data() + (row - below) * size; };
    pool.parallel_for((n - below) / kPanel, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t row = below + p * kPanel;
        for (int64_t t = 0; t < size; ++t)
          std::copy_n(a + (first + t) * n + row, kPanel, panel(row) + t * kPanel);
        solve_block(k, size, n, diagonal, panel(row));
        for (int64_t t = 0; t < size; ++t)
          std::copy_n(panel(row) + t * kPanel, kPanel, a + (first + t) * n + row);
      }
    });
    // What is on and below the diagonal of the rest, a panel of columns an item.
    for_chunks(pool, below, n, (n - below) / kPanel, [&](int64_t row, int64_t end, int64_t item) {
      const int64_t column = below + item * kPanel;
      for (int64_t i = std::max(row, column); i < end; i += kPanel)
        for (const int64_t half : {int64_t{0}, kHalf})
          k.subtract_products(size, panel(i), panel(column) + half, kPanel,
                              a + (column + half) * n + i, n);
    });
  }
  return true;
}

void cholesky_solve(Isa isa, ThreadPool& pool, int64_t n, const double* l, int64_t panels,
                    double* x) {
  const LaneKernels& k = lanes::lane_kernels(isa);
  // What a block of L tells the rows beyond it, eight rows at a time: (row / 8, t, 8).
  std::vector<double> packed(static_cast<size_t>(n * kBlock));
  const auto pass_on = [&](int64_t first, int64_t size, int64_t begin, int64_t end,
                           const auto& entry) {
    pool.parallel_for((end - begin) / kHalf, 8, [&](int64_t from, int64_t to, int) {
      for (int64_t i = from * kHalf; i < to * kHalf; ++i)
        for (int64_t t = 0; t < size; ++t)
          packed[static_cast<size_t>(i / kHalf * size * kHalf + t * kHalf + i % kHalf)] =
              entry(begin + i, first + t);
    });
    for_chunks(pool, begin, end, panels, [&](int64_t row, int64_t last, int64_t panel) {
      double* y = x + panel * n * kPanel;
      for (int64_t i = row; i < last; i += kHalf)
        k.subtract_products(size, y + first * kPanel, packed.data() + (i - begin) * size, kHalf,
                            y + i * kPanel, kPanel);
    });
  };
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t size = std::min(kBlock, n - first);
    pool.parallel_for(panels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p)
        solve_block(k, size, n, l + first * n + first, x + (p * n + first) * kPanel);
    });
    pass_on(first, size, first + size, n, [&](int64_t i, int64_t t) { return l[t * n + i]; });
  }
  for (int64_t first = (n - 1) / kBlock * kBlock; first >= 0; first -= kBlock) {
    const int64_t size = std::min(kBlock, n - first);
    pool.parallel_for(panels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p)
        solve_transposed_block(size, n, l + first * n + first, x + (p * n + first) * kPanel);
    });
    pass_on(first, size, 0, first, [&](int64_t i, int64_t t) { return l[i * n + t]; });
  }
}

}  // namespace planeloom
