#include "codecs/scale_rows.h"

#include <cstring>

#include "tensor/half.h"

namespace planeloom {

bool rows_can_be_scaled(const Codec& codec) {
  const CodecLayout layout = codec.layout();
  return layout.kind != CodecLayout::Kind::kGguf && layout.coefficients != Coefficients::kByte;
}

Result<std::vector<std::byte>> scale_rows(const PackedMatrix& w, std::span<const float> factor) {
  if (!rows_can_be_scaled(*w.codec))
    return fail("[codec] {}: its rows have no fp16 scales", w.codec->name());
  if (static_cast<int64_t>(factor.size()) != w.rows)
    return fail("[codec] {} factors for {} rows", factor.size(), w.rows);
  // Every plane format and the trellis keep sixteen fp16 numbers together, one of each row.
  std::vector<std::byte> coef(w.coef.begin(), w.coef.end());
  const auto row_bytes = static_cast<size_t>(w.codec->coef_bytes(w.cols)),
             block_bytes = row_bytes * kTileRows;
  for (size_t at = 0; at + sizeof(uint16_t) <= coef.size(); at += sizeof(uint16_t)) {
    const size_t row = at / block_bytes * kTileRows + at / sizeof(uint16_t) % kTileRows;
    if (row >= factor.size()) continue;  // padding
    uint16_t half = 0;
    std::memcpy(&half, coef.data() + at, sizeof half);
    half = float_to_half(half_to_float(half) * factor[row]);
    std::memcpy(coef.data() + at, &half, sizeof half);
  }
  return coef;
}

}  // namespace planeloom
