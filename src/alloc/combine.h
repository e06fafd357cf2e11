// Raw measures of layers to scores, and scores to the order in which layers are served.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planeloom {

/// z = (r - median) / (1.4826 median |r - median|): how unusually high a measure is among its like
/// (NSDS, arXiv 2603.17354). Where the median deviation is zero the standard deviation takes its
/// place; where that is too, and for a measure that is not finite, z = 0.
std::vector<double> unusual(std::span<const double> raw);

/// log(1 + exp(z)) = -log(1 - p) of p = 1 / (1 + exp(-z)), which itself is 1 from z = 37 on and
/// would tell outliers no longer apart.
double softplus(double z);

/// NSDS's soft OR S = 1 - (prod (1 - p))^(1/n), p = 1 / (1 + exp(-z)), as -log(1 - S), which orders
/// alike: the mean of softplus(z); log 2 for none.
double soft_or(std::span<const double> z);

/// Spearman's rank correlation, values that are equal but for rounding sharing their mean rank; no
/// number when either side is constant or a value is not finite. Both of one size.
double rank_correlation(std::span<const double> a, std::span<const double> b);

/// Indices from the highest score to the lowest; the earlier of equals first, what is no number
/// last.
std::vector<int64_t> by_score(std::span<const double> score);

}  // namespace planeloom
