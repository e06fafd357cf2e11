#include "compress/output_moments.h"

#include "quant/quantizer.h"

namespace planeloom {

bool OutputMoments::wanted(Linear linear, int64_t rows) {
  return linear != Linear::kV && linear != Linear::kGate && rows <= kMostRows &&
         rows % kRowsInTurn == 0 && rows > kRowsInTurn;
}

uint64_t OutputMoments::bytes(const Model& model) {
  uint64_t sum = 0;
  for (const LayerWeights& layer : model.layers)
    for (const Linear linear : kBlockLinears)
      if (const int64_t rows = layer.at(linear).rows; wanted(linear, rows))
        sum += static_cast<uint64_t>(rows * rows) * sizeof(float);
  return sum;
}

OutputMoments::OutputMoments(const Model& model) {
  for (const LayerWeights& layer : model.layers)
    for (const Linear linear : kBlockLinears) {
      const int64_t rows = layer.at(linear).rows;
      sums_.push_back(wanted(linear, rows) ? std::make_unique<SecondMoments>(rows) : nullptr);
    }
}

}  // namespace planeloom
