// What the GGUF block formats share: a row is a run of equal blocks, a block is integer codes with
// a scale (and an offset) per group of columns. A format states its layout once (unpack); the float
// form follows from it.
#pragma once
#include <bit>
#include <cstring>

#include "codecs/codec.h"
#include "tensor/half.h"

namespace planeloom {

inline uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline float load_half(const uint8_t* p) { return half_to_float(load_u16(p)); }

/// A Format has
/// - kType, kBlock, kBytes, kGroup: the element type, columns and bytes of a block, columns per
///   scale;
/// - kZero: w = scale * (code - kZero), or kAffine: w = scale * code + offset;
/// - kTop: the largest code;
/// - unpack(block, code, scale, offset): fills kBlock codes and kBlock / kGroup scales, and as many
///   offsets only when it is affine.
inline constexpr int kAffine = -1;

template <class Format>
class BlockCodec final : public Codec {
 public:
  std::string_view name() const override { return dtype_info(Format::kType).name; }
  CodecLayout layout() const override { return {CodecLayout::Kind::kGguf, Format::kType}; }
  int64_t col_multiple() const override { return Format::kBlock; }
  int64_t code_bytes(int64_t cols) const override { return cols / Format::kBlock * Format::kBytes; }
  CodeForm form() const override {
    return {Format::kGroup, kIsAffine ? 0 : Format::kZero, kIsAffine, kStep, Format::kTop};
  }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const uint8_t* block = row_bytes(w, row);
    uint8_t code[Format::kBlock];
    float scale[kGroups], offset[kGroups];
    for (int64_t c = 0; c < w.cols;
         c += Format::kBlock, block += Format::kBytes, out += Format::kBlock) {
      Format::unpack(block, code, scale, offset);
      for (int g = 0; g < kGroups; ++g)
        decode_group(code + Format::kGroup * g, scale[g], offset[g], out + Format::kGroup * g);
    }
  }

  void unpack_tile(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                   CodeTile out) const override {
    for (int64_t r = 0; r < kTileRows; ++r)
      for (int64_t c = 0; c < cols; c += Format::kBlock) {
        uint8_t code[Format::kBlock] = {};
        float scale[kGroups] = {}, offset[kGroups] = {};
        if (first + r < w.rows)
          Format::unpack(row_bytes(w, first + r) + (col + c) / Format::kBlock * Format::kBytes,
                         code, scale, offset);
        for (int64_t i = 0; i < Format::kBlock; i += 4)
          std::memcpy(out.code + (c + i) * kTileRows + 4 * r, code + i, 4);
        for (int64_t g = 0; g < kGroups; ++g) {
          const int64_t at = (c / Format::kGroup + g) * kTileRows + r;
          out.scale[at] = scale[g];
          if constexpr (kIsAffine) out.offset[at] = offset[g];
        }
      }
  }

 private:
  static constexpr bool kIsAffine = Format::kZero == kAffine;
  static constexpr int kGroups = Format::kBlock / Format::kGroup;
  static constexpr int kStep = 16;  // columns per activation scale
  static_assert(Format::kBlock % 32 == 0 && Format::kGroup % kStep == 0);

  const uint8_t* row_bytes(const PackedMatrix& w, int64_t row) const {
    return reinterpret_cast<const uint8_t*>(w.codes.data()) + row * code_bytes(w.cols);
  }

  static void decode_group(const uint8_t* code, float scale, [[maybe_unused]] float offset,
                           float* out) {
    if constexpr (kIsAffine) {
      for (int i = 0; i < Format::kGroup; ++i)
        out[i] = scale * static_cast<float>(code[i]) + offset;
    } else {
      for (int i = 0; i < Format::kGroup; ++i)
        out[i] = scale * static_cast<float>(int{code[i]} - Format::kZero);
    }
  }
};

template <class Format>
const Codec* block_codec() {
  static const BlockCodec<Format> codec;
  static_assert(Format::kBytes > 0);
  return &codec;
}

}  // namespace planeloom
