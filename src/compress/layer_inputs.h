// What linears read while a model is quantized layer by layer: the calibration text on its way
// through the model as it has become and, where errors upstream are to be made up for, through the
// model as it was.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "codecs/rotation.h"
#include "compress/calibration.h"
#include "compress/statistics.h"
#include "compress/upstream.h"

namespace planeloom {

/// By the width of the inputs that they turn; none where it has no entry.
using Rotations = std::map<int64_t, std::shared_ptr<const Rotation>>;

class LayerInputs {
 public:
  /// Embeds the text. The model's layers are replaced as they are quantized; it and the rotations
  /// must outlive this. `upstream_damping`: empty when errors upstream do not matter (upstream.h).
  static Result<std::unique_ptr<LayerInputs>> create(const Model& model, CalibrationText text,
                                                     const Rotations& rotations,
                                                     std::optional<double> upstream_damping,
                                                     const Compute& compute);

  /// Second moments of a linear's rotated inputs, and what it and the linears beside it should
  /// give, when upstream errors matter.
  struct Seen {
    std::vector<double> hessian;  // (cols, cols) = 2/n sum x x^T
    std::optional<UpstreamTarget> target;
  };
  /// Of a linear of the layer that the text has come to; those before it have been replaced.
  Result<Seen> before(int64_t layer, Linear linear);
  /// The Hessian of the head, after all layers: (width, width).
  std::vector<double> before_head();
  /// Moves the text past a layer.
  void pass(int64_t layer);

  const CalibrationText& text() const { return text_; }

 private:
  /// One model and where the text is in it.
  struct Stream {
    std::unique_ptr<Session> session;
    std::vector<float> hidden;  // (windows, context, width): before the half that runs next
  };
  /// How far the quantized model has drifted where a linear reads, and where it writes.
  struct Drift {
    CrossMoments inputs;               // E[x' (x - x')^T]
    std::optional<CrossMoments> lack;  // E[r x'^T]
    std::vector<float> difference;     // x - x', then r, of one window
    Drift(int64_t cols, int64_t width) : inputs(cols, cols) {
      if (width > 0) lack.emplace(width, cols);
    }
  };

  LayerInputs(const Model& model, CalibrationText text, const Rotations& rotations,
              const Compute& compute)
      : model_(model), text_(std::move(text)), rotations_(rotations), compute_(compute) {}
  float* window(Stream& stream, int64_t i) const {
    return stream.hidden.data() + i * text_.context * model_.config.width;
  }
  const Rotation* rotation(Linear linear) const;
  bool writes_residual(Linear linear) const;
  void pass_attention(int64_t layer);
  void watch(Stream& stream, int64_t layer, Linear linear, int64_t i, InputHook::Take take);
  void add_drift(int64_t layer, Linear linear, int64_t i, Rows x, Drift& drift);

  const Model& model_;
  CalibrationText text_;
  const Rotations& rotations_;
  const Compute& compute_;
  int64_t attended_ = -1;          // the last layer whose attention half the text has passed
  Stream now_;                     // through the model as it has become
  std::optional<double> damping_;  // of the targets
  std::optional<Model> original_;
  Stream before_;  // through the original
};

}  // namespace planeloom
