#include "compress/bit_budget.h"

#include "codecs/trellis.h"

namespace planeloom {
namespace {

/// By what one more bit lowers the divergence, for its size: measured on SmolLM2, on prose and on
/// source code, by giving three bits instead of two to one kind of linear in all layers
/// (docs/trellis.md). Early layers come first, which gain a little more.
constexpr Linear kOrder[] = {Linear::kV,    Linear::kK,  Linear::kO, Linear::kDown,
                             Linear::kGate, Linear::kUp, Linear::kQ};

/// Bits that a matrix takes in so many bits a weight.
Result<double> size_of(const PackedMatrix& w, int bits) {
  PL_TRY(const Codec* codec, trellis_codec(bits));
  return bits_per_weight(*codec, w.rows, w.cols) * static_cast<double>(w.rows) *
         static_cast<double>(w.cols);
}

}  // namespace

Result<BitBudget> trellis_within(const Model& model, double bits_per_weight) {
  double weights = 0, size[kMaxTrellisBits + 1] = {};
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      weights += static_cast<double>(w.rows) * static_cast<double>(w.cols);
      for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
        PL_TRY(const double one, size_of(w, bits));
        size[bits] += one;
      }
    }
  BitBudget budget;
  while (budget.bits < kMaxTrellisBits && size[budget.bits + 1] <= bits_per_weight * weights)
    ++budget.bits;
  if (budget.bits == 0)
    return fail("[quantize] {} bits per weight: one bit and its scales take {:.3f}",
                bits_per_weight, size[1] / weights);
  double used = size[budget.bits];
  if (budget.bits < kMaxTrellisBits)
    for (const Linear linear : kOrder)
      for (int64_t l = 0; l < model.config.layers; ++l) {
        const PackedMatrix& w = model.layers[static_cast<size_t>(l)].at(linear);
        PL_TRY(const double before, size_of(w, budget.bits));
        PL_TRY(const double after, size_of(w, budget.bits + 1));
        if (used + after - before > bits_per_weight * weights) continue;
        used += after - before;
        budget.layer_bits[{l, linear}] = budget.bits + 1;
      }
  budget.bits_per_weight = used / weights;
  return budget;
}

}  // namespace planeloom
