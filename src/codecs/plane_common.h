// What the two plane formats share: their groups, their coefficients, and the checks of their
// encoders.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>

#include "codecs/planes.h"
#include "tensor/half.h"

namespace planeloom::planes_detail {

static_assert(std::endian::native == std::endian::little,
              "plane words are read as they lie in the file");

inline constexpr int kGroups[] = {32, 64, 96, 128, 192, 256};
inline constexpr int kGroupCount = 6;

/// Index into kGroups, or -1.
inline int group_index(int group) {
  for (int i = 0; i < kGroupCount; ++i)
    if (kGroups[i] == group) return i;
  return -1;
}

/// Coefficient i of a row (fp16, unaligned).
inline float coef_at(const PackedMatrix& w, int64_t row_bytes, int64_t row, int64_t i) {
  uint16_t h;
  std::memcpy(&h, w.coef.data() + row * row_bytes + i * 2, 2);
  return half_to_float(h);
}

/// Sets the columns past the end of the row to zero in every plane, scale and offset.
inline void clear_padding(int64_t cols, int planes, PlaneRow out) {
  const int64_t padded = padded_cols(cols), scales = padded / kScaleGroup;
  for (int p = 0; p < planes; ++p) {
    std::fill(out.code + p * padded + cols, out.code + (p + 1) * padded, uint8_t{0});
    std::fill(out.scale + p * scales + cols / kScaleGroup, out.scale + (p + 1) * scales, 0.0f);
  }
  std::fill(out.offset + cols / kScaleGroup, out.offset + scales, 0.0f);
}

/// Checks an encoder's arguments: codes (rows, cols) below `levels`, coef (rows, cols / group,
/// per_group).
inline Status check_encode(const Codec& codec, int64_t rows, int64_t cols, int group, int per_group,
                           int levels, std::span<const uint8_t> codes,
                           std::span<const uint16_t> coef) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (rows <= 0 || cols <= 0 || rows >= kLimit || cols >= kLimit)
    return fail("[encode {}] shape {} x {} out of range", codec.name(), rows, cols);
  if (cols % group != 0)
    return fail("[encode {}] {} columns, a multiple of {} wanted", codec.name(), cols, group);
  if (codes.size() != static_cast<uint64_t>(rows * cols))
    return fail("[encode {}] {} codes for {} x {} weights", codec.name(), codes.size(), rows, cols);
  if (const int64_t want = rows * (cols / group) * per_group;
      coef.size() != static_cast<uint64_t>(want))
    return fail("[encode {}] {} coefficients, {} wanted", codec.name(), coef.size(), want);
  for (uint8_t code : codes)
    if (code >= levels)
      return fail("[encode {}] code {}, below {} wanted", codec.name(), code, levels);
  return {};
}

/// An EncodedMatrix with room for the codes, coefficients copied.
inline EncodedMatrix make_encoded(const Codec* codec, int64_t rows, int64_t cols,
                                  std::span<const uint16_t> coef) {
  EncodedMatrix out{codec, rows, cols, {}, {}};
  out.codes.resize(static_cast<size_t>(rows * codec->code_bytes(cols)));
  const auto bytes = std::as_bytes(coef);
  out.coef.assign(bytes.begin(), bytes.end());
  return out;
}

}  // namespace planeloom::planes_detail
