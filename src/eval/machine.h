#pragma once
#include "kernels/compute.h"

namespace planeloom {

/// Bytes per second at which the pool's threads read memory: the best of several passes over a
/// buffer of 1 GiB, far beyond any cache.
double read_bandwidth(ThreadPool& pool);

/// int8 multiply-adds per second that the pool's threads reach in registers with the ISA's own dot
/// instruction; 0 for scalar code and where it is not measured (ARM).
double int8_peak(ThreadPool& pool, Isa isa);

}  // namespace planeloom
