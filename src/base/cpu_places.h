#pragma once
#include <functional>
#include <vector>

namespace planeloom {

/// Where threads may run.
struct CpuPlaces {
  std::vector<int> cpus;  // that this process may use; one of every core first, then the others
  int cores = 0;          // how many of them are on a core of their own
  double quota = 0;       // CPUs that a control group grants; a large number where none says

  /// Threads that help: hyperthreads of one core share what these kernels need, and threads beyond
  /// a quota are stopped in mid-work. At least 1.
  int threads() const;
};

/// Of this process: its affinity, the kernel's list of hyperthreads, the cgroup (v2 or v1).
CpuPlaces cpu_places();

/// allowed: CPUs; core_of: any number that hyperthreads of a core share.
CpuPlaces arrange_cpus(const std::vector<int>& allowed, const std::function<int(int)>& core_of,
                       double quota);

}  // namespace planeloom
