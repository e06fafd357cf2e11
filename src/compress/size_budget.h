#pragma once
#include <vector>

#include "compress/forms.h"
#include "models/model.h"

namespace planeloom {

/// Bits for a whole file: of the embedding and the head (QuantizeOptions::embedding_bits) and of
/// the linears, such that one more byte would take about as much off what either loses. The linears
/// have no more than the largest of their forms; the rest is the embedding's, up to staying as it
/// came.
struct SizeBudget {
  double embedding_bits = 0;
  double bits_per_weight = 0;  // of the linears, every scale counted
};
/// forms: what the linears may be. An error, with the smallest size that would do, when the
/// smallest of them do not fit.
Result<SizeBudget> within_bytes(const Model& model, uint64_t bytes, const std::vector<Form>& forms);

}  // namespace planeloom
