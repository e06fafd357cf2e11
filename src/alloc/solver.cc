#include "alloc/solver.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace planeloom {
namespace {

constexpr int64_t kMostCells = int64_t{1} << 18;
constexpr size_t kMostChoices = 255;
constexpr double kNone = std::numeric_limits<double>::infinity();

Status check(std::span<const std::vector<Choice>> items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].empty() || items[i].size() > kMostChoices)
      return fail("[allocate] item {}: {} choices, wanted 1 to {}", i, items[i].size(),
                  kMostChoices);
    for (const Choice& c : items[i])
      if (c.bytes < 0 || !std::isfinite(c.cost))
        return fail("[allocate] item {}: {} bytes that cost {}", i, c.bytes, c.cost);
  }
  return {};
}

/// What sizes are counted in. It does not depend on the budget, or a larger one might cost more.
int64_t unit_of(std::span<const std::vector<Choice>> items, int64_t largest) {
  int64_t divisor = 0;
  for (const auto& item : items)
    for (const Choice& c : item) divisor = std::gcd(divisor, c.bytes);
  divisor = std::max<int64_t>(1, divisor);
  return largest / divisor <= kMostCells ? divisor : largest / kMostCells + 1;
}

}  // namespace

Result<std::vector<int>> allocate(std::span<const std::vector<Choice>> items, int64_t budget) {
  PL_CHECK(check(items));
  int64_t smallest = 0, largest = 0;
  for (const auto& item : items) {
    const auto [least, most] = std::ranges::minmax(item, {}, &Choice::bytes);
    smallest += least.bytes;
    largest += most.bytes;
  }
  const int64_t unit = unit_of(items, largest);
  // Rounding up adds less than a unit to every item.
  const int64_t most = largest / unit + static_cast<int64_t>(items.size());
  const int64_t cells = std::min(std::max<int64_t>(budget, 0) / unit, most) + 1;
  std::vector<double> best(static_cast<size_t>(cells), 0.0),
      next(best);                                          // of at most so many units
  std::vector<uint8_t> taken(items.size() * best.size());  // (items, cells)
  const auto units = [unit](const Choice& c) { return (c.bytes + unit - 1) / unit; };
  for (size_t i = 0; i < items.size(); ++i) {
    std::ranges::fill(next, kNone);
    uint8_t* choice = taken.data() + i * best.size();
    for (size_t k = 0; k < items[i].size(); ++k) {
      const int64_t size = units(items[i][k]);
      const double cost = items[i][k].cost;
      for (int64_t c = size; c < cells; ++c)
        if (const double sum = best[static_cast<size_t>(c - size)] + cost;
            sum < next[static_cast<size_t>(c)]) {
          next[static_cast<size_t>(c)] = sum;
          choice[c] = static_cast<uint8_t>(k);
        }
    }
    best.swap(next);
  }
  if (budget < smallest)
    return fail("[allocate] {} bytes: the smallest choices take {}", budget, smallest);
  std::vector<int> chosen(items.size());
  if (best.back() == kNone) {  // they fit, but not once sizes are rounded up
    for (size_t i = 0; i < items.size(); ++i)
      chosen[i] = static_cast<int>(
          std::ranges::min_element(items[i], {},
                                   [](const Choice& c) { return std::pair(c.bytes, c.cost); }) -
          items[i].begin());
    return chosen;
  }
  int64_t left = cells - 1;
  for (size_t i = items.size(); i-- > 0;) {
    chosen[i] = taken[i * best.size() + static_cast<size_t>(left)];
    left -= units(items[i][static_cast<size_t>(chosen[i])]);
  }
  return chosen;
}

}  // namespace planeloom
