#include "alloc/two_widths.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "alloc/combine.h"

namespace planeloom {

Result<std::vector<int>> two_widths(std::span<const double> score, std::span<const int64_t> weights,
                                    double bits) {
  if (score.size() != weights.size() || score.empty())
    return fail("[allocate] {} scores for {} layers", score.size(), weights.size());
  if (!(bits >= kLowBits && bits <= kHighBits))
    return fail("[allocate] {} bits: wanted {} to {}", bits, kLowBits, kHighBits);
  const double share = (bits - kLowBits) / (kHighBits - kLowBits);
  const auto layers = static_cast<double>(score.size());
  const bool alike = std::ranges::all_of(weights, [&](int64_t n) { return n == weights[0]; });
  const double all = static_cast<double>(std::reduce(weights.begin(), weights.end()));
  std::vector<int> out(score.size(), kLowBits);
  int64_t count = 0;
  double sum = 0;
  for (const int64_t l : by_score(score)) {
    if (alike ? count >= std::llround(share * layers) : sum >= share * all) break;
    out[static_cast<size_t>(l)] = kHighBits;
    sum += static_cast<double>(weights[static_cast<size_t>(l)]);
    ++count;
  }
  return out;
}

double average_bits(std::span<const int> bits, std::span<const int64_t> weights) {
  double sum = 0, all = 0;
  for (size_t i = 0; i < bits.size(); ++i) {
    sum += bits[i] * static_cast<double>(weights[i]);
    all += static_cast<double>(weights[i]);
  }
  return all > 0 ? sum / all : 0;
}

}  // namespace planeloom
