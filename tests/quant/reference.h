// Slow, literal versions in double precision, written from the published order of steps: explicit
// inverse Hessian, tail updates after every step, delta correction with the old state. Nothing is
// shared with src/quant.
#pragma once
#include <algorithm>
#include <numeric>

#include "quant/synthetic.h"
#include "tensor/half.h"

namespace planeloom::test {

struct Reference {
  RowMatrix quantized;  // (rows, cols), original order
  double score = 0;     // sum of ||E_group||^2 over the groups
  double damped = 0;    // tr((W - W') H_d (W - W')^T)
  double drift = 0;     // largest |E by delta correction - (T - Q) U_loc^-1|, relative to ||E||
};

struct Ordered {
  std::vector<int> order;
  RowMatrix weights, damped, u;  // in group-aware order; inverse(damped) = u^T u
};

/// GAR, 5 % damping, and the upper factor of the inverse by two Cholesky factorisations.
inline Ordered order_and_factor(const Synthetic& s, int group) {
  Ordered o;
  const auto diagonal = [&](int i) { return s.hessian[static_cast<size_t>(i) * s.cols + i]; };
  std::vector<std::vector<int>> groups;
  for (int g = 0; g < s.cols; g += group) {
    std::vector<int> members(static_cast<size_t>(group));
    std::iota(members.begin(), members.end(), g);
    std::stable_sort(members.begin(), members.end(),
                     [&](int a, int b) { return diagonal(a) > diagonal(b); });
    groups.push_back(members);
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const auto& a, const auto& b) { return diagonal(a[0]) > diagonal(b[0]); });
  for (const auto& g : groups) o.order.insert(o.order.end(), g.begin(), g.end());
  const RowMatrix w = as_matrix(s);
  o.weights.resize(s.rows, s.cols);
  o.damped.resize(s.cols, s.cols);
  double mean = 0;
  for (int i = 0; i < s.cols; ++i) mean += diagonal(i) / static_cast<double>(s.cols);
  for (int j = 0; j < s.cols; ++j) {
    o.weights.col(j) = w.col(o.order[j]);
    for (int i = 0; i < s.cols; ++i)
      o.damped(i, j) = s.hessian[static_cast<size_t>(o.order[i]) * s.cols + o.order[j]] +
                       (i == j ? 0.05 * mean : 0);
  }
  const RowMatrix inverse = o.damped.llt().solve(RowMatrix::Identity(s.cols, s.cols));
  o.u = inverse.llt().matrixU();
  return o;
}

inline void finish(const Ordered& o, const RowMatrix& q, Reference& out) {
  const RowMatrix e = o.weights - q;
  out.damped = (e * o.damped).cwiseProduct(e).sum();
  out.quantized.resize(q.rows(), q.cols());
  for (int j = 0; j < q.cols(); ++j) out.quantized.col(o.order[j]) = q.col(j);
}

/// GPTQ on a min-max grid per group (range found on the corrected weights when the group begins).
inline RowMatrix gptq_min_max(const Synthetic& s, int bits, int group) {
  const Ordered o = order_and_factor(s, group);
  RowMatrix w = o.weights, q = w;
  const double top = (1 << bits) - 1;
  for (int g = 0; g < s.cols; g += group) {
    const Eigen::VectorXd low = w.middleCols(g, group).rowwise().minCoeff(),
                          step = (w.middleCols(g, group).rowwise().maxCoeff() - low) / top;
    for (int t = g; t < g + group; ++t) {
      for (int r = 0; r < s.rows; ++r)
        q(r, t) = low[r] + step[r] * std::clamp(std::rint((w(r, t) - low[r]) / step[r]), 0.0, top);
      const Eigen::VectorXd e = (w.col(t) - q.col(t)) / o.u(t, t);
      w.rightCols(s.cols - t) -= e * o.u.row(t).tail(s.cols - t);
    }
  }
  Reference out;
  finish(o, q, out);
  return out.quantized;
}

/// GPTQ with the best of many clipped grids per row and group, weighted by the damped Hessian's
/// diagonal, zeros integer: in its published order, every error pushed to all columns after it.
inline RowMatrix gptq_clipped(const Synthetic& s, int bits, int group) {
  const Ordered o = order_and_factor(s, group);
  RowMatrix w = o.weights, q = w;
  const double top = (1 << bits) - 1;
  const auto half = [](double v) { return half_to_float(float_to_half(static_cast<float>(v))); };
  struct Grid {
    double step, bias;
  };
  const auto nearest = [&](const Grid& g, double v) {
    const double code = g.step > 0 ? std::clamp(std::rint((v - g.bias) / g.step), 0.0, top) : 0;
    return g.bias + code * g.step;
  };
  for (int g = 0; g < s.cols; g += group) {
    std::vector<Grid> best(static_cast<size_t>(s.rows));
    for (int r = 0; r < s.rows; ++r) {
      const auto part = w.row(r).segment(g, group);
      const double low = std::min(0.0, part.minCoeff()), high = std::max(0.0, part.maxCoeff());
      double least = INFINITY;
      for (int share = 50; share >= 10; --share)
        for (int side = 0; side < 2; ++side) {
          const double step = half((high - low) * share / 50 / top),
                       zero = std::clamp(std::floor(-low * top / (high - low)) + side, 0.0, top);
          const Grid grid{step, half(-zero * step)};
          double error = 0;
          for (int t = g; t < g + group; ++t)
            error += o.damped(t, t) * std::pow(w(r, t) - nearest(grid, w(r, t)), 2);
          if (error < least) best[r] = grid, least = error;
        }
    }
    for (int t = g; t < g + group; ++t) {
      for (int r = 0; r < s.rows; ++r) q(r, t) = nearest(best[r], w(r, t));
      const Eigen::VectorXd e = (w.col(t) - q.col(t)) / o.u(t, t);
      w.rightCols(s.cols - t) -= e * o.u.row(t).tail(s.cols - t);
    }
  }
  Reference out;
  finish(o, q, out);
  return out.quantized;
}

/// One group of published BPDQ: codes and coefficients of all rows, and the errors they leave.
struct PublishedGroup {
  int planes, group;
  RowMatrix target, u, l;  // T, U_loc, U_loc^-1
  Eigen::MatrixXi code;    // (rows, group)
  RowMatrix c;             // (rows, planes + 1)

  double value(int r, int code_value) const {
    double v = c(r, planes);
    for (int p = 0; p < planes; ++p) v += (code_value >> p & 1) * c(r, p);
    return v;
  }
  RowMatrix decoded() const {
    RowMatrix q(target.rows(), group);
    for (int r = 0; r < q.rows(); ++r)
      for (int t = 0; t < group; ++t) q(r, t) = value(r, code(r, t));
    return q;
  }
  void start() {
    code.resize(target.rows(), group);
    c = RowMatrix::Zero(target.rows(), planes + 1);
    for (int r = 0; r < target.rows(); ++r) {
      const double low = std::min(0.0, target.row(r).minCoeff()),
                   high = std::max(0.0, target.row(r).maxCoeff());
      const double step = (high - low) / 255, zero = std::rint(-low / step);
      for (int t = 0; t < group; ++t)
        code(r, t) =
            static_cast<int>(std::clamp(std::rint(target(r, t) / step) + zero, 0.0, 255.0)) >>
            (8 - planes);
    }
    refit();
  }
  void refit() {
    for (int r = 0; r < target.rows(); ++r) {
      RowMatrix x = RowMatrix::Ones(group, planes + 1);
      for (int t = 0; t < group; ++t)
        for (int p = 0; p < planes; ++p) x(t, p) = code(r, t) >> p & 1;
      const RowMatrix xw = l.transpose() * x;
      const Eigen::VectorXd yw = l.transpose() * target.row(r).transpose();
      const RowMatrix a = xw.transpose() * xw + 1e-4 * RowMatrix::Identity(planes + 1, planes + 1);
      const Eigen::VectorXd solved = a.ldlt().solve(xw.transpose() * yw);
      for (int p = 0; p <= planes; ++p)
        c(r, p) = half_to_float(float_to_half(static_cast<float>(solved[p])));
    }
  }
  /// Babai sweep; returns the errors e_t, divided by U_tt.
  RowMatrix sweep() {
    RowMatrix p = target, e(target.rows(), group);
    for (int t = 0; t < group; ++t) {
      for (int r = 0; r < p.rows(); ++r) {
        int best = 0;
        for (int v = 1; v < 1 << planes; ++v)
          if (std::abs(p(r, t) - value(r, v)) < std::abs(p(r, t) - value(r, best))) best = v;
        code(r, t) = best;
        e(r, t) = (p(r, t) - value(r, best)) / u(t, t);
      }
      p.rightCols(group - t) -= e.col(t) * u.row(t).tail(group - t);
    }
    return e;
  }
};

/// BPDQ in the published order: the tail is updated by every sweep and corrected by delta E after
/// every refit.
inline Reference published_bpdq(const Synthetic& s, int planes, int group, int rounds) {
  const Ordered o = order_and_factor(s, group);
  Reference out;
  RowMatrix w = o.weights, q = w;
  for (int g = 0; g < s.cols; g += group) {
    const int64_t rest = s.cols - g - group;
    PublishedGroup p{planes, group, w.middleCols(g, group), o.u.block(g, g, group, group), {},
                     {},     {}};
    p.l = p.u.inverse();
    p.start();
    const RowMatrix u_tail = o.u.block(g, g + group, group, rest), before = w.rightCols(rest);
    RowMatrix best_q, best_tail;
    double best = INFINITY;
    for (int round = 0; round < rounds; ++round) {
      RowMatrix e = p.sweep(), tail = before - e * u_tail;
      const RowMatrix old = p.decoded();
      p.refit();
      const RowMatrix delta = (old - p.decoded()) * p.l;
      e += delta;
      tail -= delta * u_tail;
      out.drift = std::max(out.drift, (e - (p.target - p.decoded()) * p.l).norm() / e.norm());
      if (e.squaredNorm() < best) {
        best = e.squaredNorm();
        best_q = p.decoded();
        best_tail = tail;
      }
    }
    out.score += best;
    q.middleCols(g, group) = best_q;
    w.rightCols(rest) = best_tail;
  }
  finish(o, q, out);
  return out;
}

}  // namespace planeloom::test
