// Sixteen rows of bit-planes while they are fitted: what BPDQ's rounds and the descent share.
#pragma once
#include "codecs/planes.h"
#include "quant/methods.h"

namespace planeloom {

inline constexpr int kMaxCoef = kMaxPlanes + 1;

/// Sixteen rows in the Hessian's order. Borrowed.
struct PlaneRows {
  lanes::Lanes* error;  // (cols): W - W'
  lanes::Lanes* code;   // (cols): bit p is plane p
  lanes::Lanes* coef;   // (groups, planes + 1): planes, then the bias, rounded as they are stored
};

/// What a group's rows choose from, by code. coef: planes, then the bias.
inline void levels_of(int planes, const lanes::Lanes* coef, lanes::Lanes* level) {
  for (int v = 0; v < 1 << planes; ++v)
    for (int l = 0; l < lanes::kLanes; ++l) {
      level[v].v[l] = coef[planes].v[l];
      for (int p = 0; p < planes; ++p) level[v].v[l] += (v >> p) & 1 ? coef[p].v[l] : 0.0f;
    }
}

/// Solves a small symmetric system, lower half given, in place by Cholesky: b becomes the solution.
/// False when it is not positive definite.
bool solve_small(double (&a)[kMaxCoef][kMaxCoef], double (&b)[kMaxCoef], int n);

}  // namespace planeloom
