// GPTQ (arXiv 2210.17323) with a clipping search: group by group a uniform grid of an integer zero
// for each row, found on the weights that make up for the errors so far, then one sweep.
#include <vector>

#include "codecs/planes.h"
#include "quant/feedback.h"
#include "quant/grid.h"

namespace planeloom {
namespace {

using lanes::Lanes;

struct Scratch {
  std::vector<Lanes> white, target, code;  // (group)
};

}  // namespace

Result<QuantResult> quantize_gptq(const MethodContext& c) {
  const int64_t group = c.options.group;
  const CoefficientForm form = CoefficientForm::bitplanes(c.options.coefficients, c.options.bits);
  PlaneFeedback feedback(c, form);
  std::vector<Scratch> scratch(static_cast<size_t>(c.pool.size()));
  const auto quantize_group = [&](int64_t b, int64_t first, Scratch& s) {
    feedback.carry(b, first, s.white.data(), s.target.data());
    Lanes coef[kMaxCoef], level[kMaxLevels];
    search_grid(c, form, GridZero::kInteger, s.target.data(), c.hessian->diagonal.data() + first,
                coef);
    levels_of(form, coef, level);
    c.kernels.sweep(group, form.levels(), feedback.inverse(first), level, s.target.data(),
                    s.code.data());
    feedback.take(b, first, s.code.data(), coef);
  };
  c.pool.parallel_for(c.blocks(), 1, [&](int64_t begin, int64_t end, int worker) {
    Scratch& s = scratch[static_cast<size_t>(worker)];
    for (auto* of_group : {&s.white, &s.target, &s.code})
      of_group->resize(static_cast<size_t>(group));
    for (int64_t b = begin; b < end; ++b) {
      feedback.load(b);
      for (int64_t first = 0; first < c.input.cols; first += group) quantize_group(b, first, s);
      feedback.store(b);
    }
  });
  return feedback.encode(1);
}

}  // namespace planeloom
