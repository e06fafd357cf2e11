// Sixteen rows of planes while they are fitted: what BPDQ's rounds and the descent share.
#pragma once
#include "quant/coefficients.h"
#include "quant/methods.h"

namespace planeloom {

/// Sixteen rows in the Hessian's order. Borrowed.
struct PlaneRows {
  lanes::Lanes* error;  // (cols): W - W'
  lanes::Lanes* code;   // (cols)
  lanes::Lanes* coef;   // (groups, form.count()), rounded as they are stored
};

/// What a group's rows choose from, by code. coef: (form.count()); level: (form.levels()).
inline void levels_of(const CoefficientForm& form, const lanes::Lanes* coef, lanes::Lanes* level) {
  const int last = form.count() - 1;
  for (int v = 0; v < form.levels(); ++v)
    for (int l = 0; l < lanes::kLanes; ++l) {
      level[v].v[l] = coef[last].v[l] * form.digits(last)[v];
      for (int p = 0; p < last; ++p) level[v].v[l] += coef[p].v[l] * form.digits(p)[v];
    }
}

/// Solves a small symmetric system, lower half given, in place by Cholesky: b becomes the solution.
/// False when it is not positive definite.
bool solve_small(double (&a)[kMaxCoef][kMaxCoef], double (&b)[kMaxCoef], int n);

}  // namespace planeloom
