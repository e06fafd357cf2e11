// Raw measures of layers to scores, and scores to the order in which layers are served.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planeloom {

/// p = 1 / (1 + exp(-z)), z = (r - median) / (1.4826 median |r - median|): how unusually high a
/// measure is among its like, 0 to 1 (NSDS, arXiv 2603.17354). Where the median deviation is zero
/// the standard deviation takes its place; where that is too, and for a measure that is not finite,
/// p = 0.5.
std::vector<double> unusual(std::span<const double> raw);

/// 1 - (prod (1 - p))^(1/n): near 1 when any p is. NSDS's soft OR; 0.5 for none.
double soft_or(std::span<const double> p);

/// Spearman's rank correlation, equal values sharing their mean rank; 0 when either side is
/// constant or a value is not finite. Both of one size.
double rank_correlation(std::span<const double> a, std::span<const double> b);

/// Indices from the highest score to the lowest; the earlier of equals first, scores that are not
/// finite last.
std::vector<int64_t> by_score(std::span<const double> score);

}  // namespace planeloom
