// The value types of GGUF metadata, for reader and writer. Private to formats.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tensor/dtype.h"

namespace planeloom {

inline constexpr uint32_t kGgufArray = 9;

template <class T>
struct GgufTag {
  using type = T;
};

/// Calls f(GgufTag<T>{}) for the C++ type behind a scalar type number; false for an unknown number
/// (or an array's).
template <class F>
bool for_gguf_type(uint32_t type, F&& f) {
  switch (type) {
    case 0:
      f(GgufTag<uint8_t>{});
      return true;
    case 1:
      f(GgufTag<int8_t>{});
      return true;
    case 2:
      f(GgufTag<uint16_t>{});
      return true;
    case 3:
      f(GgufTag<int16_t>{});
      return true;
    case 4:
      f(GgufTag<uint32_t>{});
      return true;
    case 5:
      f(GgufTag<int32_t>{});
      return true;
    case 6:
      f(GgufTag<float>{});
      return true;
    case 7:
      f(GgufTag<bool>{});
      return true;
    case 8:
      f(GgufTag<std::string>{});
      return true;
    case 10:
      f(GgufTag<uint64_t>{});
      return true;
    case 11:
      f(GgufTag<int64_t>{});
      return true;
    case 12:
      f(GgufTag<double>{});
      return true;
    default:
      return false;
  }
}

/// The reverse.
template <class T>
constexpr uint32_t gguf_type_of() {
  if constexpr (std::is_same_v<T, uint8_t>)
    return 0;
  else if constexpr (std::is_same_v<T, int8_t>)
    return 1;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return 2;
  else if constexpr (std::is_same_v<T, int16_t>)
    return 3;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return 4;
  else if constexpr (std::is_same_v<T, int32_t>)
    return 5;
  else if constexpr (std::is_same_v<T, float>)
    return 6;
  else if constexpr (std::is_same_v<T, bool>)
    return 7;
  else if constexpr (std::is_same_v<T, std::string>)
    return 8;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return 10;
  else if constexpr (std::is_same_v<T, int64_t>)
    return 11;
  else {
    static_assert(std::is_same_v<T, double>);
    return 12;
  }
}

/// Bytes of a tensor, with every product checked.
Result<uint64_t> gguf_tensor_bytes(std::string_view name, DType type,
                                   std::span<const int64_t> dims);

}  // namespace planeloom
