#include "train/output_gradients.h"

#include "base/rng.h"
#include "train/gradient.h"

namespace planeloom {

Result<OutputMoments> output_gradients(const Model& model, const CalibrationText& text,
                                       uint64_t seed, const Compute& compute, Progress& progress) {
  PL_TRY(Gradient gradient, Gradient::make(model, compute, ActivationMode::kFloat));
  OutputMoments moments(model);
  Scalars unused(model, 0.0f);
  Rng seeds(seed);
  for (int64_t i = 0; i < text.windows(); ++i) {
    if (interrupted())
      return fail("[quantize] interrupted before the first layer; nothing was kept");
    progress.update("guide", static_cast<uint64_t>(i), static_cast<uint64_t>(text.windows()));
    gradient.fisher(
        text.window(i), seeds.next(),
        [&](int64_t layer, Linear linear, Rows g) {
          if (SecondMoments* sum = moments.at(layer, linear)) sum->add(compute, g);
        },
        unused);
  }
  return moments;
}

bool has_output_gradients(const Model& model) { return Gradient::known(model); }

uint64_t output_gradients_bytes(const Model& model, int64_t context) {
  return Gradient::bytes(model, context);
}

}  // namespace planeloom
