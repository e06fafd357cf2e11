#pragma once
#include <vector>

#include "models/session.h"

namespace planeloom {

/// Second moments of one linear's inputs: H = (2 / tokens) sum x x^T, the layer-wise loss's Hessian
/// (GPTQ, arXiv 2210.17323, section 3). Same bits for any thread count and ISA: sums run in sixteen
/// lanes within a window, window after window.
class SecondMoments {
 public:
  explicit SecondMoments(int64_t cols) : cols_(cols), sum_(static_cast<size_t>(cols * cols)) {}
  /// x: (tokens, cols).
  void add(const Compute& compute, Rows x);
  /// The Hessian, (cols, cols), symmetric; zeros when nothing was seen.
  std::vector<double> hessian() const;
  int64_t tokens() const { return tokens_; }

 private:
  int64_t cols_, tokens_ = 0;
  std::vector<float> sum_;     // (cols, cols), upper triangle of blocks
  std::vector<float> panels_;  // (cols / 16, panel) of the window being added
};

/// Listens for one linear of one layer, adds its inputs to the moments, and stops the pass there.
class MomentsHook : public Hooks {
 public:
  MomentsHook(const Compute& compute, int64_t layer, Linear linear, SecondMoments& moments)
      : compute_(compute), layer_(layer), linear_(linear), moments_(moments) {}
  Flow before_linear(int64_t layer, Linear linear, Rows x) override {
    if (layer != layer_ || linear != linear_) return Flow::kContinue;
    moments_.add(compute_, x);
    return Flow::kStop;
  }

 private:
  const Compute& compute_;
  int64_t layer_;
  Linear linear_;
  SecondMoments& moments_;
};

}  // namespace planeloom
