#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace planeloom {

/// Fork-join pool: the caller is worker 0, the others spin briefly and then park between jobs.
/// Work is cut by index only, so results cannot depend on the number of threads.
class ThreadPool {
 public:
  /// threads <= 0 takes the default: the CPUs this process may use (affinity and cgroup quota).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end, worker) on disjoint ranges that cover [0, n), each at most `grain`
  /// long. Not reentrant: a body must not call parallel_for of the same pool.
  void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t, int)> body);

  /// CPUs that this process may use: the affinity mask, cut by a cgroup CPU quota.
  static int default_threads();

 private:
  struct Job {
    FunctionRef<void(int64_t, int64_t, int)>* body = nullptr;
    int64_t n = 0, grain = 1;
  };
  void worker_loop(int worker);
  void take_ranges(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Job job_;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace planeloom
