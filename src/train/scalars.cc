#include "train/scalars.h"

namespace planeloom {

Scalars::Scalars(const Model& model, float value) {
  size_t at = 0;
  const auto next = [&](size_t count) {
    begin_.push_back(at);
    at += count;
  };
  for (const LayerWeights& layer : model.layers) {
    for (const PackedMatrix& w : layer.linears) next(static_cast<size_t>(w.rows));
    for (const Norm norm : kBlockNorms) next(gain_of(layer, norm).size());
  }
  begin_.push_back(at);
  output_at_ = at;
  values_.assign(at + model.output_norm.size(), value);
}

}  // namespace planeloom
