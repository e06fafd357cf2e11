// OpenBLAS, loaded where it is first wanted: products and eigenvectors of matrices with thousands
// of rows. Nothing links to it, so that no other command waits for it to load.
#pragma once
#include "base/result.h"

namespace planeloom {

/// Arguments as in cblas.h and LAPACK, row-major; layouts, sides and transposes are their numbers.
struct Blas {
  static constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112, kUpper = 121;

  void (*sgemm)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
  void (*dgemm)(int order, int trans_a, int trans_b, int m, int n, int k, double alpha,
                const double* a, int lda, const double* b, int ldb, double beta, double* c,
                int ldc);
  /// C = alpha A A^T + beta C (kPlain) or alpha A^T A + beta C, one triangle of it.
  void (*dsyrk)(int order, int triangle, int trans, int n, int k, double alpha, const double* a,
                int lda, double beta, double* c, int ldc);
  /// Eigenvalues, the smallest first, and eigenvectors in the matrix's place.
  void (*dsyevd)(const char* job, const char* triangle, const int* n, double* a, const int* lda,
                 double* values, double* work, const int* lwork, int* iwork, const int* liwork,
                 int* info);
};

/// One thread a call, and any number of threads may call. An error says what to install.
Result<const Blas*> load_blas();

}  // namespace planeloom
