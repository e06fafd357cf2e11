#include "base/cpu_places.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace planeloom {
namespace {

TEST(CpuPlaces, OneOfEveryCoreComesFirst) {
  // Hyperthreads as Linux numbers them: 0 and 4 share a core, 1 and 5, ...
  const auto by_half = [](int cpu) { return cpu % 4; };
  const CpuPlaces all = arrange_cpus({0, 1, 2, 3, 4, 5, 6, 7}, by_half, 1e6);
  EXPECT_EQ(all.cpus, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(all.cores, 4);
  EXPECT_EQ(all.threads(), 4);
  const auto by_pair = [](int cpu) { return cpu / 2; };
  EXPECT_EQ(arrange_cpus({0, 1, 2, 3}, by_pair, 1e6).cpus, (std::vector<int>{0, 2, 1, 3}));
  // Only the hyperthreads that this process may use count.
  const CpuPlaces some = arrange_cpus({5, 6, 7}, by_half, 1e6);
  EXPECT_EQ(some.cores, 3);
  EXPECT_EQ(arrange_cpus({1, 5}, by_half, 1e6).threads(), 1);
}

TEST(CpuPlaces, AQuotaCutsThreads) {
  const auto own = [](int cpu) { return cpu; };
  EXPECT_EQ(arrange_cpus({0, 1, 2, 3}, own, 1.5).threads(), 2);
  EXPECT_EQ(arrange_cpus({0, 1, 2, 3}, own, 0.1).threads(), 1);
  EXPECT_EQ(arrange_cpus({0, 1, 2, 3}, own, 9).threads(), 4);
  EXPECT_EQ(arrange_cpus({}, own, 9).threads(), 1);
}

TEST(CpuPlaces, ThisMachineHasSome) {
  const CpuPlaces places = cpu_places();
  ASSERT_FALSE(places.cpus.empty());
  EXPECT_GE(places.cores, 1);
  EXPECT_LE(static_cast<size_t>(places.cores), places.cpus.size());
  EXPECT_GT(places.quota, 0);
  auto sorted = places.cpus;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_TRUE(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
}

}  // namespace
}  // namespace planeloom
