#pragma once
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "models/session.h"

namespace planeloom {

/// The columns of x, (tokens, cols), as panels (kernels.h), a token being a column of them. Returns
/// the panels, which `room` holds.
std::span<const float> column_panels(const Compute& compute, Rows x, std::vector<float>& room);

/// x, (tokens, cols), each row rotated, in `room`.
Rows rotated_rows(const Compute& compute, const Rotation& rotation, Rows x,
                  std::vector<float>& room);

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

/// Listens for one linear of one layer, hands its inputs, rotated where a rotation is given, to a
/// function, and stops the pass there.
class InputHook : public Hooks {
 public:
  using Take = FunctionRef<void(Rows)>;
  InputHook(const Compute& compute, int64_t layer, Linear linear, const Rotation* rotation,
            Take take)
      : compute_(compute), layer_(layer), linear_(linear), rotation_(rotation), take_(take) {}
  Flow before_linear(int64_t layer, Linear linear, Rows x) override {
    if (layer != layer_ || linear != linear_) return Flow::kContinue;
    take_(rotation_ ? rotated_rows(compute_, *rotation_, x, rotated_) : x);
    return Flow::kStop;
  }

 private:
  const Compute& compute_;
  int64_t layer_;
  Linear linear_;
  const Rotation* rotation_;
  Take take_;
  std::vector<float> rotated_;  // (tokens, cols)
};

}  // namespace planeloom
