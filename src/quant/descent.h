// Coordinate descent on tr(D H D^T), D = W - W', over codes and coefficients of whole rows: what
// BPDQ's group by group sweep has left. Not of the paper (docs/bpdq.md).
#pragma once
#include <vector>

#include "quant/coefficients.h"
#include "quant/plane_rows.h"

namespace planeloom {

class Descent {
 public:
  /// The context's Hessian must have kept its matrix.
  Descent(const MethodContext& context, const CoefficientForm& form);
  /// As many passes as the options ask for. Rows never meet, so threads cannot matter.
  void refine(const PlaneRows& rows, int worker);

 private:
  using Lanes = lanes::Lanes;
  using DoubleLanes = lanes::DoubleLanes;
  struct Scratch {
    std::vector<Lanes> gradient;              // (cols): G = D H
    std::vector<Lanes> value, change, plane;  // (group)
    std::vector<Lanes> z;                     // (form_.count(), group): planes times H_GG
  };

  void refine_group(const PlaneRows& rows, int64_t first, Scratch& s) const;
  void refit(const PlaneRows& rows, int64_t first, const float* h, Scratch& s) const;
  void refit_row(const DoubleLanes (&gram)[kMaxCoef][kMaxCoef],
                 const DoubleLanes (&right)[kMaxCoef], int l, Lanes* coef, Lanes* step) const;
  const Lanes* plane(const Lanes* code, int p, Scratch& s) const;
  Lanes* coefficients(const PlaneRows& rows, int64_t first) const {
    return rows.coef + first / group_ * form_.count();
  }

  const MethodContext& c_;
  const int64_t cols_, group_;
  const CoefficientForm form_;
  std::vector<Scratch> scratch_;  // per worker
};

}  // namespace planeloom
