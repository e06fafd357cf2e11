#include "quant/feedback.h"

#include <algorithm>

#include "codecs/planes.h"

namespace planeloom {

using lanes::kLanes;
using lanes::Lanes;

PlaneFeedback::PlaneFeedback(const MethodContext& c, const CoefficientForm& form)
    : c_(c),
      group_(c.options.group),
      form_(form),
      weights_(static_cast<size_t>(c.blocks() * c.input.cols)),
      code_(weights_.size()),
      coef_lanes_(static_cast<size_t>(c.blocks() * c.groups() * form_.count())),
      codes_(static_cast<size_t>(c.input.rows * c.input.cols)),
      coef_(static_cast<size_t>(c.input.rows * c.groups() * form_.bytes())) {}

void PlaneFeedback::load(int64_t b) {
  for (int64_t n = 0; n < c_.input.cols; ++n)
    weights_[static_cast<size_t>(at(b, n))] =
        load_column(c_.input, b, c_.hessian->order[static_cast<size_t>(n)]);
}

void PlaneFeedback::carry(int64_t b, int64_t first, Lanes* white, Lanes* target) const {
  std::fill_n(white, group_, Lanes{});
  c_.kernels.multiply_add(weights(b, 0), first, c_.hessian->factor_from(0, first), group_, false,
                          white);
  std::copy_n(weights(b, first), group_, target);
  c_.kernels.multiply_add(white, group_, {inverse(first), group_}, group_, true, target);
}

void PlaneFeedback::take(int64_t b, int64_t first, const Lanes* code, const Lanes* coef) {
  std::copy_n(coef, form_.count(), coefficients(b, first));
  std::copy_n(code, group_, code_.data() + at(b, first));
  Lanes level[kMaxLevels];
  levels_of(form_, coef, level);
  for (int64_t t = 0; t < group_; ++t) {
    Lanes& error = weights_[static_cast<size_t>(at(b, first + t))];
    for (int l = 0; l < kLanes; ++l) error.v[l] -= level[static_cast<int>(code[t].v[l])].v[l];
  }
}

PlaneRows PlaneFeedback::rows(int64_t b) {
  return {weights_.data() + at(b, 0), code_.data() + at(b, 0), coefficients(b, 0)};
}

void PlaneFeedback::store(int64_t b) {
  const int64_t row0 = b * kLanes;
  const int count = static_cast<int>(std::min<int64_t>(kLanes, c_.input.rows - row0));
  for (int64_t first = 0; first < c_.input.cols; first += group_) {
    const int32_t* order = c_.hessian->order.data() + first;
    const int64_t original_group = order[0] / group_;
    const Lanes* coef = coefficients(b, first);
    for (int l = 0; l < count; ++l) {
      double c[kMaxCoef];
      for (int p = 0; p < form_.count(); ++p) c[p] = static_cast<double>(coef[p].v[l]);
      form_.round(
          c, coef_.data() + ((row0 + l) * c_.groups() + original_group) * int64_t{form_.bytes()});
      for (int64_t t = 0; t < group_; ++t)
        codes_[static_cast<size_t>((row0 + l) * c_.input.cols + order[t])] =
            static_cast<uint8_t>(code_[static_cast<size_t>(at(b, first + t))].v[l]);
    }
  }
}

Result<QuantResult> PlaneFeedback::encode(int rounds) const {
  QuantResult result;
  const int group = static_cast<int>(group_);
  PL_TRY(result.matrix,
         form_.trits()
             ? encode_tritplane(group, form_.stored(), c_.input.rows, c_.input.cols, codes_, coef_)
             : encode_bitplane(c_.options.bits, group, form_.stored(), c_.input.rows, c_.input.cols,
                               codes_, coef_));
  result.report.rounds = rounds;
  result.report.mean_rounds = rounds;
  return result;
}

}  // namespace planeloom
