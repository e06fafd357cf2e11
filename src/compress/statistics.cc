#include "compress/statistics.h"

#include <algorithm>

namespace planeloom {
namespace {

constexpr int64_t kBlock = 32;  // columns per tile of the product

}  // namespace

void SecondMoments::add(const Compute& compute, Rows x) {
  const int64_t n = x.rows;
  transposed_.resize(static_cast<size_t>(cols_ * n));
  compute.pool->parallel_for(cols_, kBlock, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = 0; t < n; ++t)
      for (int64_t c = begin; c < end; ++c)
        transposed_[static_cast<size_t>(c * n + t)] = x.data[t * cols_ + c];
  });
  const int64_t blocks = (cols_ + kBlock - 1) / kBlock;
  compute.pool->parallel_for(blocks, 1, [&](int64_t begin, int64_t end, int) {
    float tile[kBlock * kBlock];
    for (int64_t bi = begin; bi < end; ++bi) {
      const int64_t i = bi * kBlock, rows = std::min(kBlock, cols_ - i);
      for (int64_t j = i; j < cols_; j += kBlock) {
        const int64_t others = std::min(kBlock, cols_ - j);
        compute.kernels->dot_f32(transposed_.data() + j * n, n, others, transposed_.data() + i * n,
                                 n, rows, n, tile, kBlock);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < others; ++c)
            sum_[static_cast<size_t>((i + r) * cols_ + j + c)] += tile[r * kBlock + c];
      }
    }
  });
  tokens_ += n;
}

std::vector<double> SecondMoments::hessian() const {
  std::vector<double> h(sum_.size());
  const double scale = tokens_ ? 2.0 / static_cast<double>(tokens_) : 0.0;
  for (int64_t i = 0; i < cols_; ++i)
    for (int64_t j = i; j < cols_; ++j)
      h[static_cast<size_t>(i * cols_ + j)] = h[static_cast<size_t>(j * cols_ + i)] =
          scale * sum_[static_cast<size_t>(i * cols_ + j)];
  return h;
}

}  // namespace planeloom
