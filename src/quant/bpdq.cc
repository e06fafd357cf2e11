// BPDQ (arXiv 2602.04163) as published, in the simplified exact order of docs/bpdq.md: group by
// group a Babai sweep on each row's own 2^k levels alternates with a ridge refit of the k + 1
// coefficients.
//
// With H, R, D as in feedback.h and Y = (D_before R_before,G) + W_G R_GG:
//   target of the group   T = W_G + (D_before R_before,G) R_GG^-1
//   error of the group    E = (T - Q) R_GG = Y - Q R_GG   (the published delta correction, solved)
//   sum over groups       ||E||^2 = tr(D H D^T)           (a group's score is its share of the
//   loss)
//
// Refined PTQTP takes the same way with trit-planes: nine levels, other starts (docs/ptqtp.md).
#include <cmath>
#include <limits>
#include <span>

#include "codecs/level_pairs.h"
#include "quant/coefficients.h"
#include "quant/descent.h"
#include "quant/feedback.h"

namespace planeloom {
namespace {

using lanes::DoubleLanes;
using lanes::kLanes;
using lanes::Lanes;

constexpr int kDefaultRounds = 10;
constexpr int kStartBits = 8;  // the start keeps the most significant planes of an 8-bit rounding
/// Further starts: equal bins this many standard deviations wide about the mean, times the best
/// width for a Gaussian and 2 ... 16 levels (Max, 1960).
constexpr float kBinScales[] = {1.0f, 0.8f, 1.25f};
constexpr float kGaussianBins[] = {1.596f, 0.9957f, 0.5860f, 0.3352f};
/// Starts of trit-planes: scales 3 s and 2 s, s these root mean squares; 0.46 is the best for a
/// Gaussian.
constexpr float kTritScales[] = {0.40f, 0.52f, 0.46f};

/// Codes and coefficients of 16 rows of one group.
struct Choice {
  std::vector<Lanes> code;  // (group)
  Lanes coef[kMaxCoef];     // already rounded as the file stores them
};

/// The group that is being worked on, 16 rows of it.
struct GroupBlock {
  std::vector<Lanes> target, white;  // T and Y: (group)
  Choice now, best;
  double score[kLanes], best_score[kLanes];
  bool settled;  // the last refit changed nothing: further rounds would repeat themselves
};

struct Scratch {
  std::vector<Lanes> work;   // (group)
  std::vector<Lanes> plane;  // (group)
  std::vector<Lanes> z;      // (form.count(), group): planes and the constant, times R_GG
};

class Bpdq {
 public:
  Bpdq(const MethodContext& c, const CoefficientForm& form)
      : c_(c),
        group_(c.options.group),
        planes_(c.options.bits),
        rounds_(c.options.rounds > 0 ? c.options.rounds : kDefaultRounds),
        ridge_(c.options.ridge / c.hessian->scale),
        scratch_(static_cast<size_t>(c.pool.size())),
        blocks_(static_cast<size_t>(c.blocks())),
        per_row_(c.options.per_row_best || c.options.refine > 0),
        form_(form),
        feedback_(c, form_) {
    for (Scratch& s : scratch_) {  // any worker may take part in any region
      s.work.resize(static_cast<size_t>(group_));
      s.plane.resize(static_cast<size_t>(group_));
      s.z.resize(static_cast<size_t>(group_ * form_.count()));
    }
  }

  Result<QuantResult> run() {
    for_blocks([&](int64_t b, Scratch&) { feedback_.load(b); });
    for (int64_t first = 0; first < c_.input.cols; first += group_) quantize_group(first);
    if (c_.options.refine > 0) {
      Descent descent(c_, form_);
      for_workers([&](int64_t b, int worker) { descent.refine(feedback_.rows(b), worker); });
    }
    for_blocks([&](int64_t b, Scratch&) { feedback_.store(b); });
    return feedback_.encode(rounds_);
  }

 private:
  /// Runs body(block, scratch) over all blocks of rows. A block never reads another, so threads
  /// cannot matter.
  template <class Body>
  void for_blocks(const Body& body) {
    for_workers([&](int64_t b, int worker) { body(b, scratch_[static_cast<size_t>(worker)]); });
  }
  template <class Body>
  void for_workers(const Body& body) {
    c_.pool.parallel_for(c_.blocks(), 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t b = begin; b < end; ++b) body(b, worker);
    });
  }

  void quantize_group(int64_t first) {
    for_blocks([&](int64_t b, Scratch&) { set_target(b, first); });
    if (c_.options.refine > 0)
      for_blocks([&](int64_t b, Scratch& s) {
        for (const float scale : form_.trits() ? std::span(kTritScales).first<2>()
                                               : std::span<const float>(kBinScales)) {
          open(blocks_[b]);
          form_.trits() ? start_trits(blocks_[b], scale) : start_bins(blocks_[b], scale);
          refit(blocks_[b], first, s);
          for (int round = 0; round < rounds_; ++round) step(blocks_[b], first, false, s);
        }
      });
    for_blocks([&](int64_t b, Scratch& s) {
      open(blocks_[b]);
      form_.trits() ? start_trits(blocks_[b], kTritScales[2]) : start(blocks_[b]);
      refit(blocks_[b], first, s);
    });
    double best = std::numeric_limits<double>::infinity();
    bool keep = false;  // the round that has just ended is the best so far
    for (int round = 0; round < rounds_; ++round) {
      for_blocks([&](int64_t b, Scratch& s) { step(blocks_[b], first, keep, s); });
      double total = 0;
      for (const GroupBlock& block : blocks_)
        for (double score : block.score) total += score;
      keep = total < best;
      best = std::min(best, total);
    }
    for_blocks([&](int64_t b, Scratch&) {
      if (keep && !per_row_) blocks_[b].best = blocks_[b].now;
      feedback_.take(b, first, blocks_[b].best.code.data(), blocks_[b].best.coef);
    });
  }

  /// T and Y of the group from the errors made before it.
  void set_target(int64_t b, int64_t first) {
    GroupBlock& block = blocks_[b];
    block.white.resize(static_cast<size_t>(group_));
    block.target.resize(static_cast<size_t>(group_));
    feedback_.carry(b, first, block.white.data(), block.target.data());
    c_.kernels.multiply_add(feedback_.weights(b, first), group_, feedback_.factor(first), group_,
                            true, block.white.data());
    for (double& score : block.best_score) score = std::numeric_limits<double>::infinity();
    block.best.code.assign(static_cast<size_t>(group_), Lanes{});
  }

  /// Equal bins about each row's mean.
  void start_bins(GroupBlock& block, float scale) const {
    const auto n = static_cast<float>(group_), top = static_cast<float>((1 << planes_) - 1);
    for (int l = 0; l < kLanes; ++l) {
      float sum = 0, squares = 0;
      for (const Lanes& t : block.target) sum += t.v[l];
      const float mean = sum / n;
      for (const Lanes& t : block.target) squares += (t.v[l] - mean) * (t.v[l] - mean);
      const float width = scale * kGaussianBins[planes_ - 1] * std::sqrt(squares / n);
      for (int64_t t = 0; t < group_; ++t) {
        const float bin = width > 0 ? std::floor((block.target[t].v[l] - mean) / width) : 0;
        block.now.code[t].v[l] = std::fmax(0.0f, std::fmin(top, bin + (top + 1) / 2));
      }
    }
  }

  /// The nearest of the nine levels of trits in the ratio 3 : 2.
  void start_trits(GroupBlock& block, float scale) const {
    DoubleLanes squares;
    Lanes alpha[2];
    c_.kernels.dot(group_, block.target.data(), block.target.data(), &squares);
    for (int l = 0; l < kLanes; ++l) {
      const double s = scale * std::sqrt(squares.v[l] / static_cast<double>(group_));
      for (int p = 0; p < 2; ++p) alpha[p].v[l] = static_cast<float>(kTiedRatio[p] * s);
    }
    c_.kernels.trit_search(group_, block.target.data(), alpha, nullptr, block.now.code.data());
  }

  /// Before a start's codes.
  void open(GroupBlock& block) const {
    block.now.code.resize(static_cast<size_t>(group_));
    for (Lanes& c : block.now.coef) c = Lanes{};
    block.settled = false;
  }

  /// The most significant planes of an 8-bit rounding whose range holds zero; coefficients follow
  /// from the refit.
  void start(GroupBlock& block) const {
    for (int l = 0; l < kLanes; ++l) {
      float low = 0, high = 0;
      for (const Lanes& t : block.target) {
        low = std::fmin(low, t.v[l]);
        high = std::fmax(high, t.v[l]);
      }
      const float top = (1 << kStartBits) - 1, width = (high - low) / top;
      const float zero = width > 0 ? std::rint(-low / width) : 0;
      for (int64_t t = 0; t < group_; ++t) {
        const float u = width > 0 ? std::rint(block.target[t].v[l] / width) + zero : 0;
        const int clipped = static_cast<int>(std::fmax(0.0f, std::fmin(top, u)));
        block.now.code[t].v[l] = static_cast<float>(clipped >> (kStartBits - planes_));
      }
    }
  }

  /// One round: sweep, refit, score. `keep`: the state found here is the best one so far, save it
  /// first.
  void step(GroupBlock& block, int64_t first, bool keep, Scratch& s) const {
    if (keep && !per_row_) block.best = block.now;
    if (block.settled) return;
    Lanes level[kMaxLevels];
    levels_of(form_, block.now.coef, level);
    s.work = block.target;
    c_.kernels.sweep(group_, form_.levels(), feedback_.inverse(first), level, s.work.data(),
                     block.now.code.data());
    block.settled = !refit(block, first, s);
    DoubleLanes score;
    c_.kernels.residual(group_, form_.count(), block.white.data(), s.z.data(), block.now.coef,
                        &score);
    std::copy(std::begin(score.v), std::end(score.v), block.score);
    if (per_row_) keep_better_rows(block);
  }

  void keep_better_rows(GroupBlock& block) const {
    for (int l = 0; l < kLanes; ++l) {
      if (!(block.score[l] < block.best_score[l])) continue;
      block.best_score[l] = block.score[l];
      for (int p = 0; p < form_.count(); ++p) block.best.coef[p].v[l] = block.now.coef[p].v[l];
      for (int64_t t = 0; t < group_; ++t) block.best.code[t].v[l] = block.now.code[t].v[l];
    }
  }

  /// The coefficients that minimise ||Y - X c R_GG||^2 + ridge ||c||^2 for the codes at hand,
  /// rounded as the file stores them. Leaves X R_GG in s.z. False when no coefficient changed.
  bool refit(GroupBlock& block, int64_t first, Scratch& s) const {
    const int n = form_.count();
    std::fill(s.z.begin(), s.z.end(), Lanes{});
    for (int p = 0; p < n; ++p) {
      c_.kernels.look_up(group_, form_.digits(p), block.now.code.data(), s.plane.data());
      c_.kernels.multiply_add(s.plane.data(), group_, feedback_.factor(first), group_, true,
                              s.z.data() + p * group_);
    }
    DoubleLanes gram[kMaxCoef][kMaxCoef], right[kMaxCoef];
    for (int p = 0; p < n; ++p) {
      for (int q = 0; q <= p; ++q)
        c_.kernels.dot(group_, s.z.data() + p * group_, s.z.data() + q * group_, &gram[p][q]);
      c_.kernels.dot(group_, s.z.data() + p * group_, block.white.data(), &right[p]);
    }
    bool changed = false;
    for (int l = 0; l < kLanes; ++l) changed |= refit_row(gram, right, l, block.now.coef);
    return changed;
  }

  /// One row of the refit. A system that resists even a thousandfold ridge keeps its old
  /// coefficients.
  bool refit_row(const DoubleLanes (&gram)[kMaxCoef][kMaxCoef],
                 const DoubleLanes (&right)[kMaxCoef], int l, Lanes* coef) const {
    const int n = form_.count();
    double trace = 0;
    for (int p = 0; p < n; ++p) trace += gram[p][p].v[l];
    double ridge = c_.options.cap_ridge ? std::fmin(ridge_, c_.options.ridge * trace / n) : ridge_;
    ridge = std::fmax(ridge, 1e-12 * trace);
    double a[kMaxCoef][kMaxCoef], b[kMaxCoef];
    for (int attempt = 0;; ++attempt, ridge *= 10) {
      for (int p = 0; p < n; ++p) {
        for (int q = 0; q <= p; ++q) a[p][q] = gram[p][q].v[l] + (p == q ? ridge : 0.0);
        b[p] = right[p].v[l];
      }
      if (solve_small(a, b, n)) break;
      if (attempt == 3) return false;
    }
    bool changed = false;
    form_.round(b, nullptr);
    for (int p = 0; p < n; ++p) {
      const auto rounded = static_cast<float>(b[p]);
      changed |= rounded != coef[p].v[l];
      coef[p].v[l] = rounded;
    }
    return changed;
  }

  const MethodContext& c_;
  const int64_t group_;
  const int planes_, rounds_;  // planes_: of bit-planes
  const double ridge_;         // in the factor's units, where the mean diagonal is 1
  std::vector<Scratch> scratch_;
  std::vector<GroupBlock> blocks_;
  const bool per_row_;  // the best round per row, not one for all
  const CoefficientForm form_;
  PlaneFeedback feedback_;
};

}  // namespace

Result<QuantResult> quantize_bpdq(const MethodContext& c) {
  return Bpdq(c, CoefficientForm::bitplanes(c.options.coefficients, c.options.bits)).run();
}

Result<QuantResult> refine_ptqtp(const MethodContext& c) {
  return Bpdq(c, CoefficientForm::tritplanes(c.options.coefficients)).run();
}

}  // namespace planeloom
