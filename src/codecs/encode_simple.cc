#include "codecs/encode_simple.h"

#include <cmath>
#include <cstring>

#include "tensor/half.h"

namespace planeloom {
namespace {

void store_u16(uint16_t value, std::byte* out) {
  out[0] = static_cast<std::byte>(value & 255);
  out[1] = static_cast<std::byte>(value >> 8);
}

/// d = max|x| / 127 and q = x * (1 / d) rounded half away from zero; the reciprocal uses d before
/// it becomes a half.
void encode_q8_block(const float* x, std::byte* out) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::fmax(largest, std::fabs(x[i]));
  const float d = largest / 127.0f, inverse = d == 0.0f ? 0.0f : 1.0f / d;
  store_u16(float_to_half(d), out);
  for (int i = 0; i < 32; ++i) {
    const float rounded = std::round(x[i] * inverse);  // half away from zero
    // Beyond +-127 only when 1 / d overflowed (d subnormal) or x is not finite: clamp, never
    // convert out of range.
    const float clamped = rounded > 127.0f ? 127.0f : rounded < -127.0f ? -127.0f : rounded;
    out[2 + i] = static_cast<std::byte>(clamped == clamped ? static_cast<int>(clamped) : 0);
  }
}

}  // namespace

Status encode_simple(DType type, std::span<const float> values, std::span<std::byte> out) {
  const DTypeInfo info = dtype_info(type);
  const bool known =
      type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kQ8_0;
  if (!known)
    return fail("[encode] type {}; wanted F32, F16, BF16 or Q8_0",
                info.name ? info.name : "unknown");
  const size_t block = static_cast<size_t>(info.block), bytes = static_cast<size_t>(info.bytes);
  if (values.size() % block != 0 || out.size() % bytes != 0 ||
      values.size() / block != out.size() / bytes)
    return fail("[encode] {} values into {} bytes of {}, blocks of {} values and {} bytes wanted",
                values.size(), out.size(), info.name, block, bytes);
  switch (type) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
      break;
    case DType::kQ8_0:
      for (size_t b = 0; b < values.size() / 32; ++b)
        encode_q8_block(values.data() + 32 * b, out.data() + 34 * b);
      break;
    default:
      for (size_t i = 0; i < values.size(); ++i)
        store_u16(type == DType::kF16 ? float_to_half(values[i]) : float_to_bf16(values[i]),
                  out.data() + 2 * i);
  }
  return {};
}

}  // namespace planeloom
