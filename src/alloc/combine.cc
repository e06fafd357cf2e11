#include "alloc/combine.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace planeloom {
namespace {

/// Differences that rounding makes between values of which this is the largest.
double rounding(double largest) { return 1e-12 * largest; }

/// Of finite values.
double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::ranges::sort(v);
  const size_t half = v.size() / 2;
  return v.size() % 2 ? v[half] : (v[half - 1] + v[half]) / 2;
}

/// What stands for the spread of measures around their median.
double spread(const std::vector<double>& finite, double middle) {
  std::vector<double> away;
  double squares = 0, largest = 0;
  for (const double r : finite) {
    away.push_back(std::abs(r - middle));
    squares += away.back() * away.back();
    largest = std::max(largest, std::abs(r));
  }
  const double least = rounding(largest);
  if (const double mad = 1.4826 * median(away); mad > least) return mad;
  const double deviation = std::sqrt(squares / static_cast<double>(finite.size()));
  return deviation > least ? deviation : 0;
}

/// Ranks from 1, values that are as good as equal sharing their mean.
std::vector<double> ranks(std::span<const double> v) {
  std::vector<size_t> order(v.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](size_t a, size_t b) { return v[a] < v[b]; });
  double largest = 0;
  for (const double x : v) largest = std::max(largest, std::abs(x));
  std::vector<double> rank(v.size());
  for (size_t i = 0, end; i < order.size(); i = end) {
    for (end = i + 1; end < order.size() && v[order[end]] - v[order[i]] <= rounding(largest);)
      ++end;
    for (size_t j = i; j < end; ++j) rank[order[j]] = static_cast<double>(i + end + 1) / 2;
  }
  return rank;
}

}  // namespace

std::vector<double> unusual(std::span<const double> raw) {
  std::vector<double> finite, z(raw.size(), 0.0);
  std::ranges::copy_if(raw, std::back_inserter(finite), [](double r) { return std::isfinite(r); });
  if (finite.empty()) return z;
  const double middle = median(finite), unit = spread(finite, middle);
  for (size_t i = 0; i < raw.size(); ++i)
    if (unit > 0 && std::isfinite(raw[i])) z[i] = (raw[i] - middle) / unit;
  return z;
}

double softplus(double z) { return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))); }

double soft_or(std::span<const double> z) {
  if (z.empty()) return softplus(0);
  double sum = 0;
  for (const double one : z) sum += softplus(one);
  return sum / static_cast<double>(z.size());
}

double rank_correlation(std::span<const double> a, std::span<const double> b) {
  const auto finite = [](std::span<const double> v) {
    return std::ranges::all_of(v, [](double x) { return std::isfinite(x); });
  };
  if (a.size() != b.size() || !finite(a) || !finite(b)) return NAN;
  const std::vector<double> x = ranks(a), y = ranks(b);
  const double mean = (static_cast<double>(a.size()) + 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : NAN;
}

std::vector<int64_t> by_score(std::span<const double> score) {
  std::vector<int64_t> order(score.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](int64_t i) {
    const double s = score[static_cast<size_t>(i)];
    return std::isnan(s) ? -INFINITY : s;
  };
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return value(a) > value(b); });
  return order;
}

}  // namespace planeloom
