// A text on its way through a model, layer by layer, and what the model says of it when something
// is changed in the layer that it has come to.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "compress/calibration.h"

namespace planeloom {

struct TextPassOptions {
  ActivationMode activations = ActivationMode::kInt8;
  /// Share of every window whose predictions are not scored: half, as by perplexity
  /// (eval/perplexity.h), or less.
  double unscored = 0.5;
};

class TextPass {
 public:
  /// Embeds the text. The model must outlive this; its matrices may be replaced between calls.
  static Result<std::unique_ptr<TextPass>> create(const Model& model, CalibrationText text,
                                                  const TextPassOptions& options,
                                                  const Compute& compute);

  int64_t layer() const { return layer_; }
  /// What layer() reads: (windows, context, width).
  std::span<const float> hidden() const { return hidden_; }
  int64_t scored() const;  // predictions

  /// Moves the text past layer(); `hooks` (null for none) sees every window's pass. An error after
  /// Ctrl-C, here and below: what was read so far is of no use.
  Status pass(Hooks* hooks);

  /// What is seen of a prediction: logits (vocab), or what the head would read for them (width).
  enum class End { kLogits, kHeadInput };
  /// Some scored predictions, row ... of them: their ends, and the tokens that came.
  using Sink = FunctionRef<void(int64_t row, Rows ends, std::span<const int32_t> next)>;
  /// Runs layers first ... of the model on what layer() reads, which stays as it is.
  Status finish(int64_t first, End end, Sink sink);

  /// What one prediction costs; called by several threads at once, each with a scratch of its own.
  using Loss = FunctionRef<double(int64_t row, std::span<const float> end, int32_t next,
                                  std::vector<float>& scratch)>;
  /// finish() with the mean of `loss` over all predictions: the same for any number of threads.
  Result<double> mean_loss(int64_t first, End end, Loss loss);

 private:
  TextPass(const Model& model, CalibrationText text, double unscored, const Compute& compute)
      : model_(model), compute_(compute), text_(std::move(text)), unscored_(unscored) {}
  int64_t first_scored() const {
    return static_cast<int64_t>(unscored_ * static_cast<double>(text_.context));
  }

  const Model& model_;
  const Compute& compute_;
  CalibrationText text_;
  double unscored_;
  std::unique_ptr<Session> session_;
  int64_t layer_ = 0;
  std::vector<float> hidden_, window_, ends_;
};

}  // namespace planeloom
