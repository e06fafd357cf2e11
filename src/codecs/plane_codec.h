// What the two plane formats share: groups, coefficients, decoding through a pair of small tables,
// and the checks and the packing of their encoders.
#pragma once
#include <fmt/format.h>

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

/// What a codec's name says after the group.
inline std::string_view coefficients_suffix(Coefficients c) {
  return c == Coefficients::kByte ? " c=8" : c == Coefficients::kTied ? " r=3:2" : "";
}

/// Which entries of the two tables a weight takes.
struct PairIndex {
  uint8_t a = 0, b = 0;
};

/// A Layout says
/// - form(): how coefficients are stored; coefficients(): numbers per row and group;
/// - block_bytes(cols): the lines of sixteen rows;
/// - index(block, row, col), set(block, row, col, code): reads and writes a weight's planes;
/// - depth(): what |level| is at most, and how tables are rounded to levels;
/// - levels(coef): the tables of fp16 coefficients (not when tied);
/// - int_levels(raw): the integer tables of a row and group otherwise.
template <class Layout>
class PlaneCodec final : public Codec {
 public:
  PlaneCodec(Layout layout, CodecLayout description, std::string name)
      : layout_(layout), description_(description), name_(std::move(name)) {
    description_.coefficients = layout.form();
    name_ += coefficients_suffix(layout.form());
  }

  std::string_view name() const override { return name_; }
  CodecLayout layout() const override { return description_; }
  int64_t col_multiple() const override { return description_.group; }
  int row_block() const override { return kTileRows; }
  int64_t code_bytes(int64_t cols) const override { return layout_.block_bytes(cols) / kTileRows; }
  int64_t coef_bytes(int64_t cols) const override {
    return cols / description_.group * layout_.coefficients() * size();
  }
  CodeForm form() const override {
    const LevelDepth depth = layout_.depth();
    return {description_.group, depth.zero, false, 32, std::min(2 * depth.zero, 255)};
  }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const uint8_t* lines = block(w, row);
    LevelPairs pairs;
    IntLevels q{};
    for (int64_t c = 0; c < w.cols; ++c) {
      const int64_t g = c / description_.group;
      const PairIndex i = layout_.index(lines, row % kTileRows, c);
      if (has_float_levels()) {
        if (c % description_.group == 0) pairs = levels(raw(w, row, g));
        out[c] = pairs.a[i.a] + pairs.b[i.b];
      } else {
        if (c % description_.group == 0) q = int_levels(w, row, g);
        out[c] = q.scale * static_cast<float>(saturate8(q.qa[i.a] + q.qb[i.b]));
      }
    }
  }

  void unpack_tile(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                   CodeTile out) const override {
    const uint8_t* lines = block(w, first);
    const int32_t zero = layout_.depth().zero;
    for (int64_t r = 0; r < kTileRows; ++r) {
      IntLevels q{};
      for (int64_t c = 0; c < cols; ++c) {
        if (c % description_.group == 0) {
          const int64_t g = c / description_.group;
          q = int_levels(w, first + r, col / description_.group + g);
          out.scale[g * kTileRows + r] = q.scale;
        }
        const PairIndex i = layout_.index(lines, r, col + c);
        out.code[c / 4 * kLineBytes + 4 * r + c % 4] =
            static_cast<uint8_t>(saturate8(q.qa[i.a] + q.qb[i.b]) + zero);
      }
    }
  }

  /// Checks an encoder's arguments: codes (rows, cols) below `levels`, as many coefficients as
  /// encode wants.
  Status check_encode(int64_t rows, int64_t cols, int levels, std::span<const uint8_t> codes,
                      std::span<const std::byte> coef) const {
    constexpr int64_t kLimit = int64_t{1} << 31;
    if (rows <= 0 || cols <= 0 || rows >= kLimit || cols >= kLimit)
      return fail("[encode {}] shape {} x {} out of range", name_, rows, cols);
    if (cols % description_.group != 0)
      return fail("[encode {}] {} columns, a multiple of {} wanted", name_, cols,
                  description_.group);
    if (codes.size() != static_cast<uint64_t>(rows * cols))
      return fail("[encode {}] {} codes for {} x {} weights", name_, codes.size(), rows, cols);
    if (const int64_t want = rows * (cols / description_.group) * layout_.coefficients() * size();
        coef.size() != static_cast<uint64_t>(want))
      return fail("[encode {}] {} bytes of coefficients, {} wanted", name_, coef.size(), want);
    for (uint8_t code : codes)
      if (code >= levels) return fail("[encode {}] code {}, below {} wanted", name_, code, levels);
    return {};
  }

  /// codes: (rows, cols); coef: (rows, groups, coefficients) of `size()` bytes each.
  EncodedMatrix encode(int64_t rows, int64_t cols, std::span<const uint8_t> codes,
                       std::span<const std::byte> coef) const {
    const int64_t per_row = cols / description_.group * layout_.coefficients();
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
      for (int64_t i = 0; i < per_row; ++i)
        std::memcpy(out.coef.data() + coef_at(r, i, per_row),
                    coef.data() + (r * per_row + i) * size(), static_cast<size_t>(size()));
    }
    return out;
  }

 private:
  static constexpr int kMaxCoefficients = kMaxPlanes + 2;

  bool bytes_form() const { return layout_.form() == Coefficients::kByte; }
  bool has_float_levels() const { return layout_.form() == Coefficients::kHalf; }
  int64_t size() const { return bytes_form() ? 1 : 2; }
  /// Where coefficient i of a row is: (block, i, 16 rows).
  int64_t coef_at(int64_t row, int64_t i, int64_t per_row) const {
    return ((row / kTileRows * per_row + i) * kTileRows + row % kTileRows) * size();
  }
  const uint8_t* block(const PackedMatrix& w, int64_t row) const {
    return reinterpret_cast<const uint8_t*>(w.codes.data()) +
           row / kTileRows * layout_.block_bytes(w.cols);
  }

  /// The coefficients of a row and group as they are stored.
  struct Raw {
    uint8_t byte[kMaxCoefficients];
    float half[kMaxCoefficients];  // what is not finite is 0
  };
  Raw raw(const PackedMatrix& w, int64_t row, int64_t g) const {
    const int64_t per = layout_.coefficients(), per_row = w.cols / description_.group * per;
    Raw out{};
    for (int64_t i = 0; i < per; ++i) {
      const std::byte* at = w.coef.data() + coef_at(row, g * per + i, per_row);
      if (bytes_form()) {
        out.byte[i] = static_cast<uint8_t>(*at);
        continue;
      }
      uint16_t h;
      std::memcpy(&h, at, 2);
      out.half[i] = (h & 0x7c00) == 0x7c00 ? 0.0f : half_to_float(h);
    }
    return out;
  }
  LevelPairs levels(const Raw& raw) const { return layout_.levels(raw.half); }
  IntLevels int_levels(const PackedMatrix& w, int64_t row, int64_t g) const {
    const Raw stored = raw(w, row, g);
    return has_float_levels() ? quantize_levels(levels(stored), layout_.depth())
                              : layout_.int_levels(stored.byte, stored.half);
  }

  Layout layout_;
  CodecLayout description_;
  std::string name_;
};

}  // namespace planeloom::planes_detail
