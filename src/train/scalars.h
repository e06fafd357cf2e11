#pragma once
#include <span>
#include <vector>

#include "models/norms.h"

namespace planeloom {

/// One number for each row of every linear and each gain of every norm of a model: the factors that
/// distillation finds for them, or the gradient of these. They lie in one vector, so that an
/// optimizer need not know what is what.
class Scalars {
 public:
  Scalars(const Model& model, float value);

  std::span<float> all() { return values_; }
  std::span<const float> all() const { return values_; }
  /// Of the outputs of a linear: (rows).
  std::span<float> rows(int64_t layer, Linear linear) { return {part(layer, linear_at(linear))}; }
  std::span<const float> rows(int64_t layer, Linear linear) const {
    return {part(layer, linear_at(linear))};
  }
  /// Of a norm's gains; empty where there is no such norm.
  std::span<float> gains(int64_t layer, Norm norm) { return part(layer, norm_at(norm)); }
  std::span<const float> gains(int64_t layer, Norm norm) const {
    return part(layer, norm_at(norm));
  }
  std::span<float> output_gains() { return std::span(values_).subspan(output_at_); }
  std::span<const float> output_gains() const { return std::span(values_).subspan(output_at_); }

 private:
  static constexpr size_t kParts = std::size(kBlockLinears) + std::size(kBlockNorms);
  static size_t linear_at(Linear linear) { return static_cast<size_t>(linear); }
  static size_t norm_at(Norm norm) { return std::size(kBlockLinears) + static_cast<size_t>(norm); }
  std::span<float> part(int64_t layer, size_t i) {
    const size_t p = static_cast<size_t>(layer) * kParts + i;
    return std::span(values_).subspan(begin_[p], begin_[p + 1] - begin_[p]);
  }
  std::span<const float> part(int64_t layer, size_t i) const {
    const size_t p = static_cast<size_t>(layer) * kParts + i;
    return std::span(values_).subspan(begin_[p], begin_[p + 1] - begin_[p]);
  }

  std::vector<size_t> begin_;  // (layers * kParts + 1)
  size_t output_at_ = 0;
  std::vector<float> values_;
};

}  // namespace planeloom
