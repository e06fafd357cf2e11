#pragma once
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace planeloom {

/// Where work runs: the threads and the implementation. Shared by everything that one session
/// computes.
struct Compute {
  ThreadPool* pool = nullptr;
  const Kernels* kernels = nullptr;
};

}  // namespace planeloom
