// Which rows of an embedding have how many bits: tokens that come often more than others.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "codecs/codec.h"

namespace planeloom {

/// Rows that follow one another and are stored alike: as trellis codes of so many bits, or (0) as
/// they came.
struct RowPart {
  int64_t rows = 0;
  int bits = 0;
  bool operator==(const RowPart&) const = default;
};

/// How many parts there are at most.
int64_t most_parts(int64_t vocab);

/// What a row's bits are worth by its token, (vocab), from how often it comes in `text`, tokens
/// below vocab; adds up to about 1 (docs/embedding.md). All alike without a text.
std::vector<double> row_weights(int64_t vocab, std::span<const int32_t> text);

/// The parts of `embedding` that lose least, sum of weight * 4^-bits, within so many bits a weight
/// (scales counted); an error where one bit does not fit.
Result<std::vector<RowPart>> embedding_parts(const PackedMatrix& embedding,
                                             std::span<const double> weights,
                                             double bits_per_weight);

}  // namespace planeloom
