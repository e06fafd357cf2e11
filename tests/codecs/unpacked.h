// A tile of integer codes with room around it, and what each weight of it says.
#pragma once
#include <vector>

#include "codecs/codec.h"
#include "kernels/kernels.h"

namespace planeloom::test {

struct Unpacked {
  CodeForm form;
  int64_t cols;
  std::vector<uint8_t> code;
  std::vector<float> scale, offset;

  Unpacked(const CodeForm& f, int64_t columns)
      : form(f),
        cols(columns),
        code(static_cast<size_t>(columns * kTileRows), 0xee),
        scale(static_cast<size_t>(columns / f.group * kTileRows), -77.0f),
        offset(scale.size(), 0.0f) {}

  CodeTile tile() { return {code.data(), scale.data(), offset.data()}; }
  TileView view() const { return {code.data(), scale.data(), offset.data(), cols, form}; }
  int code_at(int64_t r, int64_t c) const {
    return code[static_cast<size_t>(c / 4 * 64 + 4 * r + c % 4)];
  }
  float scale_at(int64_t r, int64_t c) const {
    return scale[static_cast<size_t>(c / form.group * kTileRows + r)];
  }
  float weight(int64_t r, int64_t c) const {
    const float w = scale_at(r, c) * static_cast<float>(code_at(r, c) - form.zero);
    return form.affine ? w + offset[static_cast<size_t>(c / form.group * kTileRows + r)] : w;
  }
};

/// Rows first .. first + 15 and columns col .. col + cols - 1, by the codec or by `fast`.
inline Unpacked unpack(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                       UnpackTile fast = nullptr) {
  Unpacked u(w.codec->form(), cols);
  fast ? fast(w, first, col, cols, u.tile()) : w.codec->unpack_tile(w, first, col, cols, u.tile());
  return u;
}

}  // namespace planeloom::test
