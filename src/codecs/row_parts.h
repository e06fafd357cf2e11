// A matrix whose rows lie in several matrices, each in a format of its own: of a vocabulary the
// tokens that come often have more bits than the others (docs/embedding.md).
#pragma once
#include <vector>

#include "codecs/codec.h"

namespace planeloom {

/// The rows of all parts, one part after another; the parts' bytes stay where they are. Its codec
/// decodes rows as floats, out of their part's rotation, and has no integer form: kernels go from
/// part to part. Errors: no part, widths that differ, a part that is itself in parts.
Result<PackedMatrix> join_rows(std::vector<PackedMatrix> parts);

/// Rows first ... first + rows - 1, sharing the bytes. Both are multiples of the codec's row_block,
/// but for rows that end where the matrix does; w is not in parts.
PackedMatrix slice_rows(const PackedMatrix& w, int64_t first, int64_t rows);

/// Bytes of codes and coefficients, those of all parts.
int64_t byte_size(const PackedMatrix& w);

}  // namespace planeloom
