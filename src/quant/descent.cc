#include "quant/descent.h"

#include <algorithm>

namespace planeloom {

using lanes::kLanes;

Descent::Descent(const MethodContext& context, const CoefficientForm& form)
    : c_(context),
      cols_(context.input.cols),
      group_(context.options.group),
      form_(form),
      scratch_(static_cast<size_t>(context.pool.size())) {
  for (Scratch& s : scratch_) {
    s.gradient.resize(static_cast<size_t>(cols_));
    for (auto* of_group : {&s.value, &s.change, &s.plane})
      of_group->resize(static_cast<size_t>(group_));
    s.z.resize(static_cast<size_t>(group_ * form_.count()));
  }
}

/// G is kept up to date: codes column by column, then the group's coefficients.
void Descent::refine(const PlaneRows& rows, int worker) {
  Scratch& s = scratch_[static_cast<size_t>(worker)];
  const float* h = c_.hessian->matrix.data();
  std::fill(s.gradient.begin(), s.gradient.end(), Lanes{});
  c_.kernels.multiply_add(rows.error, cols_, {h, cols_}, cols_, false, s.gradient.data());
  for (int pass = 0; pass < c_.options.refine; ++pass)
    for (int64_t first = 0; first < cols_; first += group_) refine_group(rows, first, s);
}

void Descent::refine_group(const PlaneRows& rows, int64_t first, Scratch& s) const {
  const float* h = c_.hessian->matrix.data() + first * cols_;  // the group's rows
  Lanes level[kMaxLevels];
  levels_of(form_, coefficients(rows, first), level);
  for (int64_t t = 0; t < group_; ++t)
    for (int l = 0; l < kLanes; ++l)
      s.value[t].v[l] = level[static_cast<int>(rows.code[first + t].v[l])].v[l];
  std::fill(s.change.begin(), s.change.end(), Lanes{});
  c_.kernels.descend(group_, form_.levels(), h + first, cols_, level, s.gradient.data() + first,
                     s.value.data(), rows.code + first, s.change.data());
  refit(rows, first, h + first, s);
  for (int64_t t = 0; t < group_; ++t)
    for (int l = 0; l < kLanes; ++l) {
      rows.error[first + t].v[l] -= s.change[t].v[l];
      s.change[t].v[l] = -s.change[t].v[l];
    }
  c_.kernels.multiply_add(s.change.data(), group_, {h, cols_}, first, false, s.gradient.data());
  const int64_t after = first + group_;
  c_.kernels.multiply_add(s.change.data(), group_, {h + after, cols_}, cols_ - after, false,
                          s.gradient.data() + after);
}

/// The coefficients that the gradient asks for, X^T H X (c' - c) = X^T G, where they, rounded,
/// lower the loss. h: the group's block of H.
void Descent::refit(const PlaneRows& rows, int64_t first, const float* h, Scratch& s) const {
  const int n = form_.count();
  Lanes* gradient = s.gradient.data() + first;
  Lanes* coef = coefficients(rows, first);
  DoubleLanes gram[kMaxCoef][kMaxCoef], right[kMaxCoef];
  std::fill(s.z.begin(), s.z.end(), Lanes{});
  for (int p = 0; p < n; ++p)
    c_.kernels.multiply_add(plane(rows.code + first, p, s), group_, {h, cols_}, group_, false,
                            s.z.data() + p * group_);
  for (int p = 0; p < n; ++p) {
    const Lanes* x = plane(rows.code + first, p, s);
    for (int q = 0; q <= p; ++q) c_.kernels.dot(group_, x, s.z.data() + q * group_, &gram[p][q]);
    c_.kernels.dot(group_, x, gradient, &right[p]);
  }
  Lanes step[kMaxCoef] = {};
  for (int l = 0; l < kLanes; ++l) refit_row(gram, right, l, coef, step);
  for (int p = 0; p < n; ++p) {
    const Lanes* x = plane(rows.code + first, p, s);
    for (int64_t t = 0; t < group_; ++t)
      for (int l = 0; l < kLanes; ++l) {
        s.change[t].v[l] += step[p].v[l] * x[t].v[l];
        gradient[t].v[l] -= step[p].v[l] * s.z[p * group_ + t].v[l];
      }
  }
}

void Descent::refit_row(const DoubleLanes (&gram)[kMaxCoef][kMaxCoef],
                        const DoubleLanes (&right)[kMaxCoef], int l, Lanes* coef,
                        Lanes* step) const {
  const int n = form_.count();
  double trace = 0, a[kMaxCoef][kMaxCoef], c[kMaxCoef];
  for (int p = 0; p < n; ++p) trace += gram[p][p].v[l];
  for (int p = 0; p < n; ++p) {
    for (int q = 0; q <= p; ++q) a[p][q] = gram[p][q].v[l];
    a[p][p] += c_.options.ridge * trace / n;
    c[p] = right[p].v[l];
  }
  if (!solve_small(a, c, n)) return;
  for (int p = 0; p < n; ++p) c[p] += static_cast<double>(coef[p].v[l]);
  form_.round(c, nullptr);
  double move[kMaxCoef], gain = 0;  // of the loss: 2 move . right - move^T gram move
  for (int p = 0; p < n; ++p) move[p] = c[p] - static_cast<double>(coef[p].v[l]);
  for (int p = 0; p < n; ++p) {
    gain += 2 * move[p] * right[p].v[l] - move[p] * move[p] * gram[p][p].v[l];
    for (int q = 0; q < p; ++q) gain -= 2 * move[p] * move[q] * gram[p][q].v[l];
  }
  if (!(gain > 0)) return;
  for (int p = 0; p < n; ++p) {
    step[p].v[l] = static_cast<float>(move[p]);
    coef[p].v[l] = static_cast<float>(c[p]);
  }
}

/// What coefficient p is multiplied by: (group).
const Descent::Lanes* Descent::plane(const Lanes* code, int p, Scratch& s) const {
  c_.kernels.look_up(group_, form_.digits(p), code, s.plane.data());
  return s.plane.data();
}

}  // namespace planeloom
