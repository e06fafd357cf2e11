#pragma once
#include <vector>

#include "codecs/rotation.h"
#include "kernels/compute.h"

namespace planeloom {

/// Rows first ... of a matrix as floats, out of its own rotation and, unless null, in `to`: (rows,
/// cols).
void decode_rows(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const Rotation* to, std::vector<float>& out);

}  // namespace planeloom
