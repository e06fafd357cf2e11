#include "quant/hessian.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "codecs/planes.h"
#include "quant/cholesky.h"
#include "quant/triangular.h"

namespace planeloom {
namespace {

constexpr double kDampingStep = 0.01;
constexpr int kDampingTries =
    6;  // a Hessian that six steps do not mend is not merely rounded: lift its diagonal
constexpr int kFloorTries = 6;
constexpr double kFirstFloor = 1e-6;

Status check(std::span<const double> h, int64_t cols, int group) {
  if (!plane_group_known(group))
    return fail("[hessian] group {}; 32, 64, 96, 128, 192 or 256 wanted", group);
  if (cols <= 0 || cols > (int64_t{1} << 20) || cols % group != 0)
    return fail("[hessian] {} columns, a multiple of the group {} wanted", cols, group);
  if (!h.empty() && h.size() != static_cast<uint64_t>(cols * cols))
    return fail("[hessian] {} entries, {} x {} wanted", h.size(), cols, cols);
  for (double value : h)
    if (!std::isfinite(value)) return fail("[hessian] an entry is not finite");
  for (int64_t i = 0; i < cols && !h.empty(); ++i)
    if (h[static_cast<size_t>(i * cols + i)] < 0)
      return fail("[hessian] diagonal entry {} is negative", i);
  return {};
}

/// GAR: inside each group by falling diagonal, then the groups by their largest entry.
std::vector<int32_t> group_aware_order(const std::vector<double>& diagonal, int group) {
  const int64_t cols = static_cast<int64_t>(diagonal.size());
  std::vector<int32_t> inside(diagonal.size());
  std::iota(inside.begin(), inside.end(), 0);
  const auto larger = [&](int32_t a, int32_t b) { return diagonal[a] > diagonal[b]; };
  for (int64_t g = 0; g < cols; g += group)
    std::stable_sort(inside.begin() + g, inside.begin() + g + group, larger);
  std::vector<int32_t> starts;
  for (int64_t g = 0; g < cols; g += group) starts.push_back(static_cast<int32_t>(g));
  std::stable_sort(starts.begin(), starts.end(),
                   [&](int32_t a, int32_t b) { return larger(inside[a], inside[b]); });
  std::vector<int32_t> order;
  for (int32_t start : starts)
    order.insert(order.end(), inside.begin() + start, inside.begin() + start + group);
  return order;
}

/// C C^T = J (P^T H P / s + (damping + floor) I) J, J the reversal: then R = J C J is upper and R
/// R^T is the rest. c: (n, n), column by column.
bool factor_reversed(std::span<const double> h, const PreparedHessian& p, double added, Isa isa,
                     ThreadPool& pool, std::vector<double>& c) {
  const int64_t n = p.cols;
  pool.parallel_for(n, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t j = begin; j < end; ++j) {
      const double* row = h.data() + p.order[static_cast<size_t>(n - 1 - j)] * n;
      double* column = c.data() + j * n;
      for (int64_t i = j; i < n; ++i)
        column[i] = row[p.order[static_cast<size_t>(n - 1 - i)]] / p.scale;
      column[j] += added;
    }
  });
  return cholesky(isa, pool, n, c.data());
}

void store(const std::vector<double>& c, ThreadPool& pool, PreparedHessian& p) {
  const int64_t n = p.cols, group = p.group;
  const auto r = [&](int64_t i, int64_t j) {
    return c[static_cast<size_t>((n - 1 - j) * n + n - 1 - i)];
  };
  p.factor.assign(static_cast<size_t>(n * n), 0.0f);
  pool.parallel_for(n / 8, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t first = begin * 8; first < end * 8; first += 8)
      for (int64_t j = first; j < first + 8; ++j)
        for (int64_t i = 0; i <= j; ++i)
          p.factor[static_cast<size_t>((first / 8 * n + i) * 8 + j % 8)] =
              static_cast<float>(r(i, j));
  });
  p.inverse.assign(static_cast<size_t>(n * group), 0.0f);
  for (int64_t g = 0; g < n; g += group)
    invert_upper(
        group, [&](int64_t i, int64_t j) { return r(g + i, g + j); }, p.inverse.data() + g * group,
        group);
}

void keep_matrix(std::span<const double> h, PreparedHessian& p) {
  const int64_t n = p.cols;
  p.matrix.resize(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i) {
    const double* row = h.data() + int64_t{p.order[static_cast<size_t>(i)]} * n;
    for (int64_t j = 0; j < n; ++j)
      p.matrix[static_cast<size_t>(i * n + j)] = static_cast<float>(
          row[p.order[static_cast<size_t>(j)]] / p.scale + (i == j ? kKeptDamping : 0.0));
  }
}

}  // namespace

Result<PreparedHessian> prepare_hessian(std::span<const double> h, int64_t cols, int group,
                                        double damping, bool keep, std::vector<int32_t> order,
                                        Isa isa, ThreadPool* pool) {
  PL_CHECK(check(h, cols, group));
  if (!(damping >= 0) || damping > 10) return fail("[hessian] damping {}, 0 to 10 wanted", damping);
  std::optional<ThreadPool> alone;
  if (!pool) pool = &alone.emplace(1);
  PreparedHessian p;
  p.cols = cols;
  p.group = group;
  std::vector<double> diagonal(static_cast<size_t>(cols), 1.0);
  for (int64_t i = 0; i < cols && !h.empty(); ++i)
    diagonal[i] = h[static_cast<size_t>(i * cols + i)];
  p.scale = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(cols);
  p.identity = h.empty() || !(p.scale >= 1e-300);
  if (!std::isfinite(p.scale)) return fail("[hessian] the diagonal overflows");
  std::vector<double> identity;
  if (p.identity) {
    identity.assign(static_cast<size_t>(cols * cols), 0.0);
    for (int64_t i = 0; i < cols; ++i) identity[static_cast<size_t>(i * cols + i)] = 1.0;
    h = identity;
    diagonal.assign(diagonal.size(), 1.0);
    p.scale = 1;
  }
  p.order = order.empty() ? group_aware_order(diagonal, group) : std::move(order);
  const double largest = *std::max_element(diagonal.begin(), diagonal.end()) / p.scale;
  std::vector<double> c(static_cast<size_t>(cols * cols));
  for (int step = 0; step < kDampingTries + kFloorTries; ++step) {
    p.damping = damping + kDampingStep * std::min(step, kDampingTries);
    if (step >= kDampingTries)
      p.damping += kFirstFloor * largest * std::pow(10.0, step - kDampingTries);
    if (!factor_reversed(h, p, p.damping, isa, *pool, c)) continue;
    store(c, *pool, p);
    for (const int32_t column : p.order)
      p.diagonal.push_back(
          static_cast<float>(diagonal[static_cast<size_t>(column)] / p.scale + p.damping));
    if (keep) keep_matrix(h, p);
    return p;
  }
  return fail("[hessian] {} x {}: not positive definite even with {} of the mean diagonal added",
              cols, cols, p.damping);
}

}  // namespace planeloom
