#pragma once
#include <cstddef>
#include <span>

#include "base/result.h"
#include "tensor/dtype.h"

namespace planeloom {

/// Rows of floats as F32, F16, BF16 or Q8_0, the types that export writes; round to nearest as the
/// PyPI package `gguf` does, bit for bit. values: any number of whole blocks; out: exactly the
/// bytes they take. An error for another type or sizes that do not fit.
Status encode_simple(DType type, std::span<const float> values, std::span<std::byte> out);

}  // namespace planeloom
