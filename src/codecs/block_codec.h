// What the GGUF block formats share: a row is a run of equal blocks, a block is integer codes with
// a scale and an offset per 16 columns. A format states its layout once (unpack); the float form
// follows from it.
#pragma once
#include <bit>
#include <cstring>

#include "codecs/codec.h"
#include "tensor/half.h"

namespace planeloom {

inline uint16_t load_u16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline float load_half(const uint8_t* p) { return half_to_float(load_u16(p)); }

/// A Format has
/// - kType, kBlock, kBytes: the element type, columns and bytes of a block;
/// - kZero: w = scale * (code - kZero), or kAffine: w = scale * code + offset;
/// - kWide: codes above 127 occur;
/// - unpack(block, code, scale, offset): fills kBlock codes and kBlock / 16 scales, and as many
///   offsets only when it is affine.
inline constexpr int kAffine = -1;

template <class Format>
class BlockCodec final : public Codec {
 public:
  std::string_view name() const override { return dtype_info(Format::kType).name; }
  CodecLayout layout() const override { return {CodecLayout::Kind::kGguf, Format::kType}; }
  int64_t col_multiple() const override { return Format::kBlock; }
  int64_t code_bytes(int64_t cols) const override { return cols / Format::kBlock * Format::kBytes; }
  int planes() const override { return 1; }
  bool wide_codes() const override { return Format::kWide; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const uint8_t* block = row_bytes(w, row);
    uint8_t code[Format::kBlock];
    float scale[kGroups], offset[kGroups];
    for (int64_t c = 0; c < w.cols;
         c += Format::kBlock, block += Format::kBytes, out += Format::kBlock) {
      Format::unpack(block, code, scale, offset);
      for (int g = 0; g < kGroups; ++g)
        decode_group(code + 16 * g, scale[g], offset[g], out + 16 * g);
    }
  }

  void unpack_row(const PackedMatrix& w, int64_t row, PlaneRow out) const override {
    const uint8_t* block = row_bytes(w, row);
    for (int64_t c = 0; c < w.cols; c += Format::kBlock, block += Format::kBytes) {
      float* scale = out.scale + c / 16;
      float* offset = out.offset + c / 16;
      Format::unpack(block, out.code + c, scale, offset);
      if constexpr (Format::kZero != kAffine)
        for (int g = 0; g < kGroups; ++g) offset[g] = scale[g] * static_cast<float>(-Format::kZero);
    }
    const size_t padding = static_cast<size_t>(padded_cols(w.cols) - w.cols);
    std::memset(out.code + w.cols, 0, padding);
    std::memset(out.scale + w.cols / 16, 0, padding / 16 * sizeof(float));
    std::memset(out.offset + w.cols / 16, 0, padding / 16 * sizeof(float));
  }

 private:
  static constexpr int kGroups = Format::kBlock / 16;
  static_assert(Format::kBlock % 32 == 0);

  const uint8_t* row_bytes(const PackedMatrix& w, int64_t row) const {
    return reinterpret_cast<const uint8_t*>(w.codes.data()) + row * code_bytes(w.cols);
  }

  static void decode_group(const uint8_t* code, float scale, [[maybe_unused]] float offset,
                           float* out) {
    if constexpr (Format::kZero == kAffine) {
      for (int i = 0; i < 16; ++i) out[i] = scale * static_cast<float>(code[i]) + offset;
    } else {
      for (int i = 0; i < 16; ++i)
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
