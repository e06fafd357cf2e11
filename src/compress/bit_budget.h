#pragma once
#include <map>
#include <utility>

#include "compress/forms.h"
#include "compress/quantize_model.h"

namespace planeloom {

/// Bits for every linear of a model.
struct BitBudget {
  int bits = 0;                                          // of all linears but
  std::map<std::pair<int64_t, Linear>, int> layer_bits;  // these, which have one more
  double bits_per_weight = 0;                            // of the linears, every scale counted

  /// Gives `o` these bits; the rest of how it quantizes stays.
  void give(QuantizeOptions& o) const;
};

/// The most bits of a trellis that fit `bits_per_weight` over the linears, every scale counted: K
/// bits everywhere and one more where it lowers the loss most for its size (docs/trellis.md has
/// what was measured). An error when one bit does not fit.
Result<BitBudget> trellis_within(const Model& model, double bits_per_weight);

/// The same for bit-planes, in groups of `group` columns or the next smaller that divide a row.
Result<BitBudget> planes_within(const Model& model, int group, Coefficients coefficients,
                                double bits_per_weight);

/// A trellis for a whole file: of the embedding and the head (QuantizeOptions::embedding_bits) as
/// many bits as fit, but no more than one above those of the linears, the linears what is left;
/// where the linears can have all bits beside an embedding as it came, that.
struct SizeBudget {
  BitBudget linears;
  int embedding_bits = 0;
  double most_bits = 0;  // per weight of the linears, that the bytes leave for them
};
/// forms: what the linears may be if not kDefaultForms. An error, with the smallest size that would
/// do, when the smallest of them do not fit.
Result<SizeBudget> trellis_within_bytes(const Model& model, uint64_t bytes,
                                        std::vector<Form> forms = {});

}  // namespace planeloom
