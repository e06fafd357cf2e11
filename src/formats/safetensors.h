// Safetensors: 8 bytes of header length, a JSON header, then the data.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// One entry of a safetensors header; shape as written (slowest dimension first), data borrowed.
struct SafeTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", ...: as written, known or not
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

/// Parses a whole file in memory (usually mapped) without touching tensor data. Offsets, sizes and
/// overlaps are checked; holes are allowed. A header above 32 MiB is refused.
Result<std::vector<SafeTensor>> parse_safetensors(std::span<const std::byte> bytes);

}  // namespace planeloom
