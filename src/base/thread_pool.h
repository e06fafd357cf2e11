#pragma once
#include <sched.h>

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
  /// kBound: each thread, the caller too while the pool lives, stays on a CPU of its own, one of
  /// every core first. Good on a machine that does nothing else, bad on a busy one.
  enum class Placement { kFree, kBound };

  /// threads <= 0 takes the default: the cores this process may use (base/cpu_places.h).
  explicit ThreadPool(int threads = 0, Placement placement = Placement::kFree);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end, worker) on disjoint ranges that cover [0, n), each at most `grain`
  /// long. Not reentrant: a body must not call parallel_for of the same pool.
  void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t, int)> body);

  /// Cores that this process may use, cut by a cgroup CPU quota.
  static int default_threads();

 private:
  struct Job {
    FunctionRef<void(int64_t, int64_t, int)>* body = nullptr;
    int64_t n = 0, grain = 1;
  };
  void worker_loop(int worker);
  void take_ranges(int worker);

  bool bound_ = false;
  cpu_set_t callers_cpus_{};  // before it was bound
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
