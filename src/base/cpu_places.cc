#include "base/cpu_places.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <thread>

namespace planeloom {
namespace {

constexpr double kNoQuota = 1e6;

/// CPUs granted by cgroup v2 `cpu.max` or v1 quota files.
double cgroup_cpus() {
  double quota = 0, period = 0;
  std::string text;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> text >> period)
    return text == "max" || period <= 0 ? kNoQuota : std::atof(text.c_str()) / period;
  std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (q >> quota && p >> period && quota > 0 && period > 0) return quota / period;
  return kNoQuota;
}

/// The first CPU of the core; the CPU itself where the kernel does not say.
int first_sibling(int cpu) {
  std::ifstream list("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                     "/topology/thread_siblings_list");
  int first = cpu;
  return list >> first ? first : cpu;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  if (cpus.empty())
    for (unsigned cpu = 0; cpu < std::max(1u, std::thread::hardware_concurrency()); ++cpu)
      cpus.push_back(static_cast<int>(cpu));
  return cpus;
}

}  // namespace

int CpuPlaces::threads() const {
  return std::max(1, std::min(cores, static_cast<int>(std::ceil(std::min(quota, kNoQuota)))));
}

CpuPlaces arrange_cpus(const std::vector<int>& allowed, const std::function<int(int)>& core_of,
                       double quota) {
  CpuPlaces places;
  places.quota = quota;
  std::vector<int> others;
  std::set<int> seen;
  for (int cpu : allowed) (seen.insert(core_of(cpu)).second ? places.cpus : others).push_back(cpu);
  places.cores = static_cast<int>(places.cpus.size());
  places.cpus.insert(places.cpus.end(), others.begin(), others.end());
  return places;
}

CpuPlaces cpu_places() { return arrange_cpus(allowed_cpus(), first_sibling, cgroup_cpus()); }

}  // namespace planeloom
