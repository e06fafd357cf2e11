// Large symmetric systems in double. Every sum is of one term after another without fused
// multiply-adds, so that every ISA and any number of threads give the same bits, and the factor
// those of the textbook's three loops.
#pragma once
#include <cstdint>

#include "base/cpu.h"
#include "base/thread_pool.h"

namespace planeloom {

/// Sizes must be a multiple of this.
inline constexpr int64_t kCholeskyUnit = 16;

/// A = L L^T. a: (n, n), column by column; on and below the diagonal A becomes L, what lies above
/// is spoilt. False where A is not positive definite (a is spoilt then).
bool cholesky(Isa isa, ThreadPool& pool, int64_t n, double* a);

/// Solves L L^T x = b for 16 right sides a panel. l as cholesky leaves it; x: (panels, n, 16), b
/// becomes x.
void cholesky_solve(Isa isa, ThreadPool& pool, int64_t n, const double* l, int64_t panels,
                    double* x);

}  // namespace planeloom
