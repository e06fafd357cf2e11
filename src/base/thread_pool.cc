#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>

#include "base/cpu_places.h"

namespace planeloom {
namespace {

// About 20 microseconds of spinning: shorter than a park and wake, longer than the gap between two
// layers.
constexpr int kSpins = 4000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // some ten nanoseconds; `yield` does nothing on most processors
#endif
}

/// Binds the calling thread to one CPU. Where the kernel refuses it runs on as it is.
void bind_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

int ThreadPool::default_threads() { return cpu_places().threads(); }

ThreadPool::ThreadPool(int threads, Placement placement) {
  const CpuPlaces places = cpu_places();
  if (threads <= 0) threads = places.threads();
  threads = std::min(threads, 256);
  // More threads than CPUs would wait for each other on the first ones.
  const bool bind =
      placement == Placement::kBound && static_cast<size_t>(threads) <= places.cpus.size();
  bound_ = bind && sched_getaffinity(0, sizeof callers_cpus_, &callers_cpus_) == 0;
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int i = 1; i < threads; ++i) {
    const int cpu = bound_ ? places.cpus[static_cast<size_t>(i)] : -1;
    workers_.emplace_back([this, i, cpu] {
      if (cpu >= 0) bind_to(cpu);
      worker_loop(i);
    });
  }
  if (bound_) bind_to(places.cpus.front());
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
  if (bound_) sched_setaffinity(0, sizeof callers_cpus_, &callers_cpus_);
}

void ThreadPool::take_ranges(int worker) {
  for (;;) {
    const int64_t begin = next_.fetch_add(job_.grain, std::memory_order_relaxed);
    if (begin >= job_.n) return;
    (*job_.body)(begin, std::min(begin + job_.grain, job_.n), worker);
  }
}

void ThreadPool::worker_loop(int worker) {
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen &&
           !stop_.load(std::memory_order_relaxed)) {
      if (++spins < kSpins) {
        pause_cpu();
        continue;
      }
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return generation_.load() != seen || stop_.load(); });
    }
    if (stop_.load()) return;
    seen = generation_.load(std::memory_order_acquire);
    take_ranges(worker);
    running_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void ThreadPool::parallel_for(int64_t n, int64_t grain,
                              FunctionRef<void(int64_t, int64_t, int)> body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(1, grain);
  if (workers_.empty() || n <= grain) {
    for (int64_t begin = 0; begin < n; begin += grain) body(begin, std::min(begin + grain, n), 0);
    return;
  }
  job_ = {&body, n, grain};
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);  // a worker about to park must not miss the new generation
    generation_.fetch_add(1, std::memory_order_acq_rel);
  }
  wake_.notify_all();
  take_ranges(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) != 0;) {
    if (++spins < kSpins)
      pause_cpu();
    else
      std::this_thread::yield();
  }
}

}  // namespace planeloom
