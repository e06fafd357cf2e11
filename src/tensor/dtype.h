#pragma once
#include <cstdint>
#include <string_view>

namespace planeloom {

/// Element types of stored tensors. The numbers are GGUF's (ggml_type), so a file's tag casts
/// directly.
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
};

/// Storage of a type: `bytes` hold `block` consecutive elements of a row. name is null for an
/// unknown tag.
struct DTypeInfo {
  const char* name;
  int block;
  int bytes;
};

/// {nullptr, 0, 0} for a tag that Planeloom does not read.
DTypeInfo dtype_info(DType type);

}  // namespace planeloom
