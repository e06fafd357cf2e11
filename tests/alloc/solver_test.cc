#include "alloc/solver.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace planeloom {
namespace {

using Items = std::vector<std::vector<Choice>>;

struct Total {
  int64_t bytes = 0;
  double cost = 0;
};

Total total(const Items& items, const std::vector<int>& chosen) {
  Total t;
  for (size_t i = 0; i < items.size(); ++i) {
    const Choice& c = items[i][static_cast<size_t>(chosen[i])];
    t.bytes += c.bytes;
    t.cost += c.cost;
  }
  return t;
}

Total smallest(const Items& items) {
  Total t;
  for (const auto& item : items) t.bytes += std::ranges::min(item, {}, &Choice::bytes).bytes;
  return t;
}

/// The least cost of every way to choose; infinite when none fits.
double brute_force(const Items& items, int64_t budget, size_t i = 0) {
  if (budget < 0) return std::numeric_limits<double>::infinity();
  if (i == items.size()) return 0;
  double best = std::numeric_limits<double>::infinity();
  for (const Choice& c : items[i])
    best = std::min(best, c.cost + brute_force(items, budget - c.bytes, i + 1));
  return best;
}

/// Up to seven items of up to four choices; sizes are multiples of `step`, costs may be below zero.
Items drawn(int64_t step) {
  const int count = *rc::gen::inRange(1, 8);
  Items items(static_cast<size_t>(count));
  for (auto& item : items) {
    const int choices = *rc::gen::inRange(1, 5);
    for (int k = 0; k < choices; ++k)
      item.push_back({*rc::gen::inRange<int64_t>(0, 40) * step,
                      static_cast<double>(*rc::gen::inRange(-20, 100)) / 8});
  }
  return items;
}

RC_GTEST_PROP(Allocate, NoWayToChooseIsBetterAndTheBudgetHolds, ()) {
  const Items items = drawn(*rc::gen::element<int64_t>(1, 7, 4096));
  const int64_t least = smallest(items).bytes,
                budget = least + *rc::gen::inRange<int64_t>(0, 100000);
  const auto chosen = allocate(items, budget);
  RC_ASSERT(chosen.has_value());
  const Total t = total(items, *chosen);
  RC_ASSERT(t.bytes <= budget);
  RC_ASSERT(t.cost == brute_force(items, budget));  // multiples of 1/8 are added exactly
}

RC_GTEST_PROP(Allocate, MoreBytesNeverCostMore, ()) {
  const Items items = drawn(1);
  const int64_t less = smallest(items).bytes + *rc::gen::inRange<int64_t>(0, 100),
                more = less + *rc::gen::inRange<int64_t>(0, 100);
  RC_ASSERT(total(items, *allocate(items, more)).cost <= total(items, *allocate(items, less)).cost);
}

RC_GTEST_PROP(Allocate, TheOrderOfItemsDoesNotMatter, ()) {
  const Items items = drawn(1);
  const Items turned(items.rbegin(), items.rend());
  const int64_t budget = smallest(items).bytes + *rc::gen::inRange<int64_t>(0, 100);
  RC_ASSERT(total(items, *allocate(items, budget)).cost ==
            total(turned, *allocate(turned, budget)).cost);
}

// Sizes without a common divisor, as large as a model's: rounding may keep the budget from being
// used to its last bytes, but no more than that.
TEST(Allocate, LargeSizesAreRoundedUpALittle) {
  Rng rng(3);
  Items items(200);
  for (auto& item : items)
    for (int k = 1; k <= 4; ++k)
      item.push_back({static_cast<int64_t>(k * (1'000'000 + rng.below(9'000'000))) | 1,
                      std::pow(0.25, k) * (0.5 + rng.uniform())});
  const int64_t budget = 2'500'000'000;
  const auto chosen = allocate(items, budget);
  ASSERT_TRUE(chosen.has_value()) << chosen.error().message;
  const Total t = total(items, *chosen);
  EXPECT_LE(t.bytes, budget);
  EXPECT_GE(t.bytes, budget - budget / 200);  // within half a percent
  // The relaxation in which choices may be mixed bounds every way to choose from below: for any
  // price of a byte the sum of the items' cheapest choices, less what the budget is worth.
  double bound = -std::numeric_limits<double>::infinity();
  for (double price = 1e-11; price < 1e-6; price *= 1.02) {
    double sum = -price * static_cast<double>(budget);
    for (const auto& item : items) {
      double least = std::numeric_limits<double>::infinity();
      for (const Choice& c : item)
        least = std::min(least, c.cost + price * static_cast<double>(c.bytes));
      sum += least;
    }
    bound = std::max(bound, sum);
  }
  EXPECT_GE(t.cost, bound);
  EXPECT_LE(t.cost, bound * 1.005);
}

// What fits is found even where rounding up would hide it.
TEST(Allocate, TheSmallestChoicesFitTheirOwnSize) {
  Items items(200);
  for (size_t i = 0; i < items.size(); ++i)
    items[i] = {{i % 2 ? 1'000'001 : 1'000'003, 1.0}, {9'000'001, 0.5}};
  const int64_t least = smallest(items).bytes;
  for (const int64_t budget : {least, least + 100}) {
    const auto chosen = allocate(items, budget);
    ASSERT_TRUE(chosen.has_value()) << chosen.error().message;
    EXPECT_EQ(total(items, *chosen).bytes, least);
  }
  EXPECT_FALSE(allocate(items, least - 1));
}

// Sizes of a model, counted in more than 2^18 units: the property tests' sizes are not.
TEST(Allocate, RoundedSizesStayMonotoneAndWithinTheBudget) {
  Rng rng(5);
  Items items(60);
  for (auto& item : items)
    for (int k = 1; k <= 3; ++k)
      item.push_back({static_cast<int64_t>(k * (1'000'000 + rng.below(1'000'000))) | 1,
                      std::pow(0.25, k) * (0.5 + rng.uniform())});
  const int64_t least = smallest(items).bytes;
  double before = std::numeric_limits<double>::infinity();
  for (int64_t budget = least; budget < 3 * least; budget += least / 37) {
    const auto chosen = allocate(items, budget);
    ASSERT_TRUE(chosen.has_value());
    const Total t = total(items, *chosen);
    EXPECT_LE(t.bytes, budget);
    EXPECT_LE(t.cost, before);
    before = t.cost;
  }
}

TEST(Allocate, SaysWhatIsWrong) {
  const Items one{{{100, 1.0}, {200, 0.5}}};
  EXPECT_EQ(allocate(one, 99).error().message,
            "[allocate] 99 bytes: the smallest choices take 100");
  EXPECT_EQ(allocate(one, -5).error().message,
            "[allocate] -5 bytes: the smallest choices take 100");
  EXPECT_EQ(allocate(Items{{}}, 5).error().message,
            "[allocate] item 0: 0 choices, wanted 1 to 255");
  EXPECT_FALSE(allocate(Items{{{100, std::nan("")}}}, 500));
  EXPECT_FALSE(allocate(Items{{{-1, 1.0}}}, 500));
  EXPECT_TRUE(allocate(Items{}, 0)->empty());
}

}  // namespace
}  // namespace planeloom
