// A matrix that becomes planes group after group, each group making up for the errors of those
// before it: what BPDQ, GPTQ and refined PTQTP share.
//
// With the damped Hessian H = R R^T, R upper (hessian.h), and D = W - W' of everything before, what
// GPTQ's updates of the tail leave in a group is W_G + (D R_before,G) R_GG^-1: one product when the
// group's turn comes, and the inverse Hessian is never formed.
#pragma once
#include <vector>

#include "quant/coefficients.h"
#include "quant/plane_rows.h"

namespace planeloom {

/// Blocks of sixteen rows never meet: their calls may run at the same time. Columns are positions
/// in the Hessian's order, `first` a group's first.
class PlaneFeedback {
 public:
  using Lanes = lanes::Lanes;
  PlaneFeedback(const MethodContext& context, const CoefficientForm& form);

  /// Reads a block's weights.
  void load(int64_t block);
  /// white = D R_before,G, target = W_G + white R_GG^-1; both (group).
  void carry(int64_t block, int64_t first, Lanes* white, Lanes* target) const;
  /// The group's weights as they were: (group).
  const Lanes* weights(int64_t block, int64_t first) const {
    return weights_.data() + at(block, first);
  }
  /// R_GG and its inverse, (group, group).
  lanes::Strips factor(int64_t first) const { return c_.hessian->factor_from(first, first); }
  const float* inverse(int64_t first) const { return c_.hessian->inverse.data() + first * group_; }
  /// Takes codes (group) and coefficients (form.count(), rounded as they are stored) over and
  /// turns the group's weights into errors.
  void take(int64_t block, int64_t first, const Lanes* code, const Lanes* coef);
  /// A block all of whose groups were taken.
  PlaneRows rows(int64_t block);
  /// Puts a finished block's codes and coefficients where they belong in the original order.
  void store(int64_t block);
  /// After every block was stored. The report holds the rounds.
  Result<QuantResult> encode(int rounds) const;

 private:
  int64_t at(int64_t block, int64_t n) const { return block * c_.input.cols + n; }
  Lanes* coefficients(int64_t block, int64_t first) {
    return coef_lanes_.data() + (block * c_.groups() + first / group_) * form_.count();
  }

  const MethodContext& c_;
  const int64_t group_;
  const CoefficientForm form_;
  std::vector<Lanes> weights_;     // (blocks, cols): W, and D where a group was taken
  std::vector<Lanes> code_;        // (blocks, cols)
  std::vector<Lanes> coef_lanes_;  // (blocks, groups, form_.count())
  std::vector<uint8_t> codes_;     // (rows, cols)
  std::vector<std::byte> coef_;    // (rows, groups, bytes of form_)
};

}  // namespace planeloom
