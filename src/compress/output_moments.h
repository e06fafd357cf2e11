// What a linear's outputs mean to the model's loss, together.
#pragma once
#include <vector>

#include "compress/statistics.h"

namespace planeloom {

/// For linears that row feedback helps (quant/row_feedback.h): second moments of the loss's
/// gradient by their outputs. What the outputs of v and gate share on one text they do not share on
/// another (docs/guide.md), and wider matrices than these would take too much memory.
class OutputMoments {
 public:
  static constexpr int64_t kMostRows = 4096;
  static bool wanted(Linear linear, int64_t rows);
  /// Of all of a model's: what they take.
  static uint64_t bytes(const Model& model);

  explicit OutputMoments(const Model& model);
  /// Null for a linear that is not wanted.
  SecondMoments* at(int64_t layer, Linear linear) { return sums_[place(layer, linear)].get(); }
  const SecondMoments* at(int64_t layer, Linear linear) const {
    return sums_[place(layer, linear)].get();
  }

 private:
  static size_t place(int64_t layer, Linear linear) {
    return static_cast<size_t>(layer) * std::size(kBlockLinears) + static_cast<size_t>(linear);
  }
  std::vector<std::unique_ptr<SecondMoments>> sums_;
};

}  // namespace planeloom
