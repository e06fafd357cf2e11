#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace planeloom {
namespace {

TEST(ThreadPool, EveryIndexOnceInRangesNoLongerThanTheGrain) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    for (int64_t n : {0, 1, 2, 7, 64, 1000, 1001})
      for (int64_t grain : {-1, 0, 1, 3, 64, 1000, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
        std::atomic<int> wrong{0};
        pool.parallel_for(n, grain, [&](int64_t begin, int64_t end, int worker) {
          if (begin < 0 || begin >= end || end > n || end - begin > std::max<int64_t>(1, grain) ||
              worker < 0 || worker >= threads)
            ++wrong;
          else
            for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        ASSERT_EQ(wrong, 0) << threads << " threads, n " << n << ", grain " << grain;
        for (const auto& count : seen)
          ASSERT_EQ(count, 1) << threads << " threads, n " << n << ", grain " << grain;
      }
  }
}

TEST(ThreadPool, TheRangesDoNotDependOnTheThreads) {
  const auto ranges = [](int threads) {
    ThreadPool pool(threads);
    std::vector<int64_t> end_of(1003, 0);
    pool.parallel_for(1003, 10, [&](int64_t begin, int64_t end, int) {
      end_of[static_cast<size_t>(begin)] = end;
    });
    return end_of;
  };
  const auto alone = ranges(1);
  EXPECT_EQ(ranges(2), alone);
  EXPECT_EQ(ranges(5), alone);
}

TEST(ThreadPool, WorkersNeverShareANumber) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(4 * 16, 0);  // one cache line each, written without a lock
  for (int round = 0; round < 200; ++round)
    pool.parallel_for(500, 7, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(worker) * 16] += i;
    });
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), int64_t{0}), 200 * 500 * 499 / 2);
}

TEST(ThreadPool, WhatABodyWroteIsSeenByTheCallerAndByTheNextJob) {
  ThreadPool pool(3);
  std::vector<int64_t> values(97, 0);
  for (int64_t round = 1; round <= 3000; ++round) {
    pool.parallel_for(97, 5, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        values[static_cast<size_t>(i)] += values[static_cast<size_t>(i)] + 1 == round;
    });
    ASSERT_EQ(values.front(), round);
    ASSERT_EQ(values.back(), round);
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 97 * 3000);
}

TEST(ThreadPool, ParkedWorkersWakeUp) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // long past the spinning
    std::atomic<int> present{0};
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    // Each of the two ranges waits for the other: one thread alone would wait until the limit.
    pool.parallel_for(2, 1, [&](int64_t, int64_t, int) {
      ++present;
      while (present < 2 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    });
    ASSERT_EQ(present, 2);
    ASSERT_LT(std::chrono::steady_clock::now(), limit) << "only one thread worked";
  }
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPool, BoundThreadsHaveACpuEachAndTheCallerIsLetGo) {
  const auto mine = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
    return set;
  };
  const cpu_set_t before = mine();
  const int threads = std::min(2, CPU_COUNT(&before));
  {
    ThreadPool pool(threads, ThreadPool::Placement::kBound);
    std::vector<int> cpu(static_cast<size_t>(threads), -1);
    for (int round = 0; round < 200; ++round)
      pool.parallel_for(threads, 1, [&](int64_t, int64_t, int worker) {
        const cpu_set_t set = mine();
        EXPECT_EQ(CPU_COUNT(&set), 1);
        cpu[static_cast<size_t>(worker)] = sched_getcpu();
      });
    if (threads == 2 && cpu[0] >= 0 && cpu[1] >= 0) {
      EXPECT_NE(cpu[0], cpu[1]);
    }
  }
  const cpu_set_t after = mine();
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(ThreadPool, TheDefaultIsWhatThisProcessMayUse) {
  const int threads = ThreadPool::default_threads();
  EXPECT_GE(threads, 1);
  EXPECT_EQ(ThreadPool(0).size(), std::min(threads, 256));
  EXPECT_EQ(ThreadPool(-3).size(), std::min(threads, 256));
}

}  // namespace
}  // namespace planeloom
