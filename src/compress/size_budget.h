#pragma once
#include <vector>

#include "compress/forms.h"
#include "models/model.h"

namespace planeloom {

/// Bits for a whole file: of the embedding and the head (QuantizeOptions::embedding_bits) as many
/// as fit, but no more than one above those of the linears, the linears what is left; where the
/// linears lack at most a quarter of a bit beside an embedding as it came, that.
struct SizeBudget {
  int embedding_bits = 0;
  double bits_per_weight = 0;  // of the linears, every scale counted
};
/// forms: what the linears may be. An error, with the smallest size that would do, when the
/// smallest of them do not fit.
Result<SizeBudget> within_bytes(const Model& model, uint64_t bytes, const std::vector<Form>& forms);

}  // namespace planeloom
