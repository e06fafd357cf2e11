// What the two plane formats share: groups, coefficients, decoding through a pair of small tables,
// and the checks and the packing of their encoders.
#pragma once
#include <algorithm>
#include <bit>
#include <cstring>

#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "tensor/half.h"

namespace planeloom::planes_detail {

static_assert(std::endian::native == std::endian::little,
              "coefficients are read as they lie in the file");

inline constexpr int kGroups[] = {32, 64, 96, 128, 192, 256};
inline constexpr int kGroupCount = 6;

/// Index into kGroups, or -1.
inline int group_index(int group) {
  for (int i = 0; i < kGroupCount; ++i)
    if (kGroups[i] == group) return i;
  return -1;
}

/// Which entries of the two tables a weight takes.
struct PairIndex {
  uint8_t a = 0, b = 0;
};

/// A Layout says
/// - planes, coefficients(): how many of each a group has;
/// - block_bytes(cols): the lines of sixteen rows;
/// - index(block, row, col), set(block, row, col, code): reads and writes a weight's planes;
/// - levels(coef): the tables of one row and group.
template <class Layout>
class PlaneCodec final : public Codec {
 public:
  PlaneCodec(Layout layout, CodecLayout description, std::string name)
      : layout_(layout), description_(description), name_(std::move(name)) {}

  std::string_view name() const override { return name_; }
  CodecLayout layout() const override { return description_; }
  int64_t col_multiple() const override { return description_.group; }
  int row_block() const override { return kTileRows; }
  int64_t code_bytes(int64_t cols) const override { return layout_.block_bytes(cols) / kTileRows; }
  int64_t coef_bytes(int64_t cols) const override {
    return cols / description_.group * layout_.coefficients() * 2;
  }
  CodeForm form() const override { return {description_.group, 128, false, 32}; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const uint8_t* lines = block(w, row);
    LevelPairs pairs;
    for (int64_t c = 0; c < w.cols; ++c) {
      if (c % description_.group == 0) pairs = levels(w, row, c / description_.group);
      const PairIndex i = layout_.index(lines, row % kTileRows, c);
      out[c] = pairs.a[i.a] + pairs.b[i.b];
    }
  }

  void unpack_tile(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                   CodeTile out) const override {
    const uint8_t* lines = block(w, first);
    for (int64_t r = 0; r < kTileRows; ++r) {
      Int8Levels q{};
      for (int64_t c = 0; c < cols; ++c) {
        if (c % description_.group == 0) {
          const int64_t g = c / description_.group;
          q = quantize_levels(levels(w, first + r, col / description_.group + g));
          out.scale[g * kTileRows + r] = q.scale;
        }
        const PairIndex i = layout_.index(lines, r, col + c);
        out.code[c / 4 * kLineBytes + 4 * r + c % 4] =
            static_cast<uint8_t>(saturate8(q.qa[i.a] + q.qb[i.b]) + 128);
      }
    }
  }

  /// codes: (rows, cols); coef: (rows, groups, coefficients).
  EncodedMatrix encode(int64_t rows, int64_t cols, std::span<const uint8_t> codes,
                       std::span<const uint16_t> coef) const {
    const int64_t groups = cols / description_.group, per = layout_.coefficients();
    const auto stored = static_cast<size_t>(stored_rows(*this, rows));
    EncodedMatrix out{this, rows, cols, {}, {}};
    out.codes.resize(stored * static_cast<size_t>(code_bytes(cols)));
    out.coef.resize(stored * static_cast<size_t>(coef_bytes(cols)));
    auto* bytes = reinterpret_cast<uint8_t*>(out.codes.data());
    const int64_t blocks = static_cast<int64_t>(stored) / kTileRows;
    for (int64_t b = 0; b < blocks; ++b) layout_.clear(bytes + b * layout_.block_bytes(cols), cols);
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* lines = bytes + r / kTileRows * layout_.block_bytes(cols);
      for (int64_t c = 0; c < cols; ++c)
        layout_.set(lines, r % kTileRows, c, codes[static_cast<size_t>(r * cols + c)]);
      for (int64_t i = 0; i < groups * per; ++i)
        std::memcpy(out.coef.data() + coef_at(r, i, groups * per),
                    &coef[static_cast<size_t>(r * groups * per + i)], 2);
    }
    return out;
  }

 private:
  /// Byte of coefficient i of a row: (block, i, 16 rows) fp16.
  static int64_t coef_at(int64_t row, int64_t i, int64_t per_row) {
    return ((row / kTileRows * per_row + i) * kTileRows + row % kTileRows) * 2;
  }
  const uint8_t* block(const PackedMatrix& w, int64_t row) const {
    return reinterpret_cast<const uint8_t*>(w.codes.data()) +
           row / kTileRows * layout_.block_bytes(w.cols);
  }
  LevelPairs levels(const PackedMatrix& w, int64_t row, int64_t g) const {
    const int64_t per = layout_.coefficients(), per_row = w.cols / description_.group * per;
    float coef[kMaxCoefficients];
    for (int64_t i = 0; i < per; ++i) {
      uint16_t h;
      std::memcpy(&h, w.coef.data() + coef_at(row, g * per + i, per_row), 2);
      coef[i] = (h & 0x7c00) == 0x7c00 ? 0.0f : half_to_float(h);
    }
    return layout_.levels(coef);
  }

  static constexpr int kMaxCoefficients = 5;
  Layout layout_;
  CodecLayout description_;
  std::string name_;
};

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

}  // namespace planeloom::planes_detail
