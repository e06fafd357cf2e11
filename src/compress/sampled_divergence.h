// KL to what a model says of a text, told from a few hundred tokens of the vocabulary.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "models/model.h"

namespace planeloom {

/// A head of 262,144 rows costs more than all layers of a small model. But with p the model's
/// probabilities and d the change of the logits, KL = log E_p[exp d] - E_p[d]: two means under p,
/// for which a sample of the tokens will do. Tokens of at least kShare are all in it, with p as
/// their weight; of the others one for every kShare of probability on the way through the
/// vocabulary (systematic sampling), which share the rest evenly. What moves to tokens that p puts
/// far below kShare is seen only as far as they are in the sample: a KL of small changes is right
/// (docs/allocation.md), one of a model that goes astray comes out too small.
class SampledDivergence {
 public:
  static constexpr double kShare = 1.0 / 1024;

  explicit SampledDivergence(const Model& model) : model_(model) {}

  /// The model's logits of the next prediction: (vocab). False when they are no numbers.
  bool add(std::span<const float> logits, const Kernels& kernels);
  /// KL(model || another) of prediction `row`, nats, never below 0 but for rounding. `input`: what
  /// the head of the other, the same head, reads: (width). Several threads may ask at once, each
  /// with a scratch of its own.
  double operator()(int64_t row, std::span<const float> input, const Kernels& kernels,
                    std::vector<float>& scratch) const;

 private:
  struct Token {
    int32_t id;
    float logit, weight;  // the weights of a prediction add up to 1
  };
  const Model& model_;
  std::vector<Token> tokens_;
  std::vector<size_t> ends_;  // of every prediction, in tokens_
};

}  // namespace planeloom
