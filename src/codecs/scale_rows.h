#pragma once
#include <span>
#include <vector>

#include "codecs/codec.h"

namespace planeloom {

/// The coefficients of a matrix whose row r weighs factor[r] times what it did, rounded to fp16.
/// factor: (rows). An error for formats whose scales are no fp16 numbers of one row each: the
/// types of GGUF, and coefficients stored as bytes.
Result<std::vector<std::byte>> scale_rows(const PackedMatrix& w, std::span<const float> factor);

/// Whether scale_rows knows the format.
bool rows_can_be_scaled(const Codec& codec);

}  // namespace planeloom
