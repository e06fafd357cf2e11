#include "compress/statistics.h"

#include <algorithm>

namespace planeloom {
namespace {

/// Columns c ... of x as a panel: a token is a column of it.
void column_panel(Rows x, int64_t c, float* panel) {
  const int64_t steps = panel_steps(x.rows), count = std::min<int64_t>(kPanelRows, x.cols - c);
  std::fill_n(panel, panel_size(x.rows), 0.0f);
  for (int64_t t = 0; t < x.rows; ++t)
    std::copy_n(x.data + t * x.cols + c, count, panel + panel_at(t, 0, steps));
}

}  // namespace

std::span<const float> column_panels(const Compute& compute, Rows x, std::vector<float>& room) {
  const int64_t size = panel_size(x.rows), count = (x.cols + kPanelRows - 1) / kPanelRows;
  room.resize(static_cast<size_t>(count * size));
  compute.pool->parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) column_panel(x, p * kPanelRows, room.data() + p * size);
  });
  return room;
}

void SecondMoments::add(const Compute& compute, Rows x) {
  const std::span<const float> panels = column_panels(compute, x, panels_);
  const int64_t size = panel_size(x.rows), count = (cols_ + kPanelRows - 1) / kPanelRows;
  compute.pool->parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    float tile[kPanelRows * kPanelRows];
    for (int64_t p = begin; p < end; ++p)
      for (int64_t q = p; q < count; ++q) {
        const int64_t i = p * kPanelRows, j = q * kPanelRows,
                      rows = std::min<int64_t>(kPanelRows, cols_ - i),
                      others = std::min<int64_t>(kPanelRows, cols_ - j);
        compute.kernels->dot_panels(panels.data() + q * size, panel_steps(x.rows),
                                    panels.data() + p * size, rows, others, tile, kPanelRows);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < others; ++c)
            sum_[static_cast<size_t>((i + r) * cols_ + j + c)] += tile[r * kPanelRows + c];
      }
  });
  tokens_ += x.rows;
}

Rows rotated_rows(const Compute& compute, const Rotation& rotation, Rows x,
                  std::vector<float>& room) {
  room.resize(static_cast<size_t>(x.rows * x.cols));
  compute.pool->parallel_for(x.rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      compute.kernels->rotate(rotation, x.data + t * x.cols, room.data() + t * x.cols);
  });
  return {room.data(), x.rows, x.cols};
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
