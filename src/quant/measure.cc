// The error report: always from the encoded bytes, never from what a method believes it wrote.
#include <cmath>

#include "quant/methods.h"

namespace planeloom {
namespace {

using lanes::DoubleLanes;
using lanes::kLanes;
using lanes::Lanes;

/// Per row: squared norms of weights and error, plain and through the factor R.
struct RowSums {
  double weight = 0, error = 0, weight_out = 0, error_out = 0;
};

struct Scratch {
  std::vector<Lanes> weight, error, product;  // (cols), (cols), (group)
  std::vector<float> decoded;                 // (cols)
};

void add(const DoubleLanes& from, double RowSums::* member, RowSums* rows) {
  for (int l = 0; l < kLanes; ++l) rows[l].*member += from.v[l];
}

/// ||x R||^2 per row, group by group so that the product stays in cache.
void add_through_factor(const MethodContext& c, const std::vector<Lanes>& x,
                        std::vector<Lanes>& product, double RowSums::* member, RowSums* rows) {
  const int group = c.options.group;
  for (int64_t g = 0; g < c.input.cols; g += group) {
    product.assign(static_cast<size_t>(group), Lanes{});
    c.kernels.multiply_add(x.data(), g + group, c.hessian->factor_from(0, g), group, false,
                           product.data());
    DoubleLanes sum;
    c.kernels.dot(group, product.data(), product.data(), &sum);
    add(sum, member, rows);
  }
}

void measure_block(const MethodContext& c, const PackedMatrix& matrix, int64_t block, Scratch& s,
                   RowSums* rows) {
  const int64_t cols = c.input.cols, first = block * kLanes;
  s.weight.resize(static_cast<size_t>(cols));
  s.error.resize(static_cast<size_t>(cols));
  s.decoded.resize(static_cast<size_t>(cols));
  const auto column = [&](int64_t n) {
    return c.hessian ? c.hessian->order[static_cast<size_t>(n)] : n;
  };
  for (int64_t n = 0; n < cols; ++n)
    s.error[n] = s.weight[n] = load_column(c.input, block, column(n));
  for (int64_t l = 0; l < std::min<int64_t>(kLanes, c.input.rows - first); ++l) {
    matrix.codec->decode_row(matrix, first + l, s.decoded.data());
    for (int64_t n = 0; n < cols; ++n) s.error[n].v[l] -= s.decoded[static_cast<size_t>(column(n))];
  }
  DoubleLanes sum;
  c.kernels.dot(cols, s.weight.data(), s.weight.data(), &sum);
  add(sum, &RowSums::weight, rows);
  c.kernels.dot(cols, s.error.data(), s.error.data(), &sum);
  add(sum, &RowSums::error, rows);
  if (!c.hessian || c.hessian->identity) return;
  add_through_factor(c, s.weight, s.product, &RowSums::weight_out, rows);
  add_through_factor(c, s.error, s.product, &RowSums::error_out, rows);
}

}  // namespace

void measure_error(const MethodContext& c, QuantResult& result) {
  const PackedMatrix matrix = result.matrix.view();
  std::vector<RowSums> rows(static_cast<size_t>(c.blocks() * kLanes));
  std::vector<Scratch> scratch(static_cast<size_t>(c.pool.size()));
  c.pool.parallel_for(c.blocks(), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t b = begin; b < end; ++b)
      measure_block(c, matrix, b, scratch[static_cast<size_t>(worker)], rows.data() + b * kLanes);
  });
  RowSums total;
  for (const RowSums& row : rows) {
    total.weight += row.weight;
    total.error += row.error;
    total.weight_out += row.weight_out;
    total.error_out += row.error_out;
  }
  ErrorReport& report = result.report;
  report.weight_error = total.weight > 0 ? std::sqrt(total.error / total.weight) : 0;
  report.bits_per_weight = bits_per_weight(*matrix.codec, matrix.rows, matrix.cols);
  if (!c.hessian || c.hessian->identity) return;
  // R R^T is the damped Hessian: take the damping out again, so that the figure is the layer's own.
  report.damping = c.hessian->damping;
  const double weight_out = total.weight_out - report.damping * total.weight;
  const double error_out = std::fmax(0.0, total.error_out - report.damping * total.error);
  report.output_error = weight_out > 0 ? error_out / weight_out : 0;
}

}  // namespace planeloom
