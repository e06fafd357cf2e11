// "trellis k=K": the layout is in trellis.h.
#include "codecs/trellis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "codecs/plane_bits.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

// Found by a search as tools/trellis_tables.cc makes it (docs/decisions/0010).
constexpr TrellisCode kCodes[kMaxTrellisBits] = {
    {1,
     {6,  18, 19, 21, 26, 27, 29, 31, 33, 36, 38, 37, 40, 43, 47, 52,
      13, 18, 20, 23, 25, 28, 28, 32, 34, 36, 36, 40, 42, 44, 49, 57},
     {{{8, 27, 23, 19, 6, 17, 15, 4, 9, 10, 18, 5, 28, 13, 30, 16},
       {6, 12, 27, 17, 0, 25, 7, 3, 31, 5, 18, 10, 30, 20, 13, 24}}},
     12.8205f},
    {2,
     {1,  13, 17, 21, 24, 26, 28, 30, 33, 35, 37, 39, 42, 45, 48, 54,
      10, 15, 20, 22, 25, 27, 30, 31, 34, 36, 38, 41, 43, 47, 51, 62},
     {{{13, 25, 0, 19, 18, 28, 30, 4, 10, 21, 27, 23, 15, 6, 1, 8},
       {26, 2, 22, 25, 3, 1, 14, 23, 8, 28, 29, 4, 21, 31, 11, 0}}},
     12.8205f},
    {3,
     {4,  29, 66, 68, 38, 43, 73, 76, 49, 53, 81, 87, 58, 61, 94, 108,
      20, 34, 66, 70, 41, 47, 74, 79, 51, 55, 83, 89, 59, 63, 98, 122},
     {{{29, 3, 9, 30, 5, 22, 12, 31, 26, 4, 11, 7, 18, 16, 17, 8},
       {29, 17, 21, 15, 28, 11, 2, 22, 0, 30, 23, 9, 8, 26, 4, 3},
       {1, 25, 24, 3, 14, 27, 6, 29, 14, 12, 20, 21, 21, 2, 16, 26}}},
     22.2222f},
    {4,
     {8,  29, 39, 46, 51, 55, 59, 62, 65, 68, 71, 75, 79, 85, 92, 103,
      21, 35, 43, 49, 53, 56, 59, 63, 66, 69, 73, 77, 82, 88, 97, 115},
     {{{31, 31, 28, 13, 5, 21, 11, 27, 14, 2, 20, 11, 18, 24, 19, 9},
       {3, 20, 27, 15, 21, 6, 29, 8, 25, 31, 30, 18, 28, 0, 23, 1}}},
     18.1818f},
};

/// The nibble whose newest symbol is the lowest of `window` (trellis.h).
uint8_t nibble(int bits, uint32_t window) {
  const auto bit = [&](int i) { return window >> i & 1; };
  if (bits == 1) return static_cast<uint8_t>(bit(3) | bit(2) << 1 | bit(1) << 2 | bit(0) << 3);
  if (bits == 2) return static_cast<uint8_t>((window >> 2 & 3) | (window & 3) << 2);
  if (bits == 4) return window & 15;
  return static_cast<uint8_t>(bit(3) | bit(0) << 1 | (window >> 1 & 3) << 2);
}

/// A symbol as bits of planes, and back: of three, plane 2 is the lowest bit of the symbol.
uint8_t planes_of(int bits, uint8_t symbol) {
  return bits != 3 ? symbol : static_cast<uint8_t>(symbol >> 1 | (symbol & 1) << 2);
}
uint8_t symbol_of(int bits, uint8_t planes) {
  return bits != 3 ? planes : static_cast<uint8_t>((planes & 3) << 1 | planes >> 2);
}

class TrellisCodec final : public Codec {
 public:
  explicit TrellisCodec(const TrellisCode& code)
      : code_(code),
        bits_{code.bits},
        name_(fmt::format("trellis k={}", code.bits)),
        level_(size_t{1} << code.window()) {
    for (uint32_t window = 0; window < level_.size(); ++window)
      level_[window] = code.level_of_window(window);
  }

  std::string_view name() const override { return name_; }
  CodecLayout layout() const override {
    return {CodecLayout::Kind::kTrellis, DType::kI8, code_.bits, kGroup};
  }
  int64_t col_multiple() const override { return kGroup; }
  int row_block() const override { return kTileRows; }
  int64_t code_bytes(int64_t cols) const override { return bits_.block_bytes(cols) / kTileRows; }
  int64_t coef_bytes(int64_t) const override { return sizeof(uint16_t); }
  CodeForm form() const override { return {kGroup, code_.zero(), false, 32, 2 * code_.zero() - 1}; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const float s = scale(w, row);
    levels(w, row, 0, w.cols, [&](int64_t c, uint8_t level) {
      out[c] = s * static_cast<float>(level - code_.zero());
    });
  }

  void unpack_tile(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                   CodeTile out) const override {
    for (int64_t r = 0; r < kTileRows; ++r) {
      const float s = scale(w, first + r);
      for (int64_t g = 0; g < cols / kGroup; ++g) out.scale[g * kTileRows + r] = s;
      levels(w, first + r, col, cols, [&](int64_t c, uint8_t level) {
        out.code[c / 4 * kLineBytes + 4 * r + c % 4] = level;
      });
    }
  }

  EncodedMatrix encode(int64_t rows, int64_t cols, std::span<const uint8_t> symbols,
                       std::span<const uint16_t> scale) const {
    const auto stored = static_cast<size_t>(stored_rows(*this, rows));
    EncodedMatrix out{this, rows, cols, {}, {}};
    out.codes.resize(stored * static_cast<size_t>(code_bytes(cols)));
    out.coef.resize(stored * sizeof(uint16_t));
    std::memcpy(out.coef.data(), scale.data(), scale.size_bytes());
    auto* lines = reinterpret_cast<uint8_t*>(out.codes.data());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        bits_.set(lines + r / kTileRows * bits_.block_bytes(cols), r % kTileRows, c,
                  planes_of(code_.bits, symbols[static_cast<size_t>(r * cols + c)]));
    return out;
  }

 private:
  static constexpr int kGroup = 32;  // columns that a tile's scale is repeated for

  static float scale(const PackedMatrix& w, int64_t row) {
    uint16_t h;
    std::memcpy(&h, w.coef.data() + row * static_cast<int64_t>(sizeof h), sizeof h);
    return (h & 0x7c00) == 0x7c00 ? 0.0f : half_to_float(h);
  }

  /// take(c, level) of columns col + c, c = 0 ... cols - 1.
  template <class Take>
  void levels(const PackedMatrix& w, int64_t row, int64_t col, int64_t cols,
              const Take& take) const {
    const uint8_t* lines = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                           row / kTileRows * bits_.block_bytes(w.cols);
    const uint32_t mask = (1u << code_.window()) - 1;
    uint32_t window[4] = {};  // of each sequence
    const int64_t before = int64_t{4} * ((code_.window() - 1) / code_.bits);
    for (int64_t c = std::max<int64_t>(0, col - before); c < col + cols; ++c) {
      const uint8_t symbol = symbol_of(code_.bits, bits_.code(lines, row % kTileRows, c));
      uint32_t& now = window[c % 4];
      now = (now << code_.bits | symbol) & mask;
      if (c >= col) take(c - col, level_[now]);
    }
  }

  const TrellisCode& code_;
  PlaneBits bits_;
  std::string name_;
  std::vector<uint8_t> level_;  // of every window
};

/// Null when out of range.
const TrellisCodec* instance(int bits) {
  static const TrellisCodec all[] = {TrellisCodec(kCodes[0]), TrellisCodec(kCodes[1]),
                                     TrellisCodec(kCodes[2]), TrellisCodec(kCodes[3])};
  return bits < 1 || bits > kMaxTrellisBits ? nullptr : &all[bits - 1];
}

}  // namespace

uint8_t TrellisCode::level_of_window(uint32_t window) const {
  uint8_t index = nibble(bits, window);
  for (int i = 0; i < hashes(); ++i)
    index ^= hash[static_cast<size_t>(i)][nibble(bits, window >> (i + 1) * stride() * bits)];
  return table[index];
}

const TrellisCode& trellis_code(int bits) { return kCodes[bits - 1]; }

Result<const Codec*> trellis_codec(int bits) {
  if (const Codec* codec = instance(bits)) return codec;
  return fail("[codec] trellis k={}; k 1 to {} wanted", bits, kMaxTrellisBits);
}

Result<EncodedMatrix> encode_trellis(int bits, int64_t rows, int64_t cols,
                                     std::span<const uint8_t> symbols,
                                     std::span<const uint16_t> scale) {
  PL_TRY([[maybe_unused]] const Codec* known, trellis_codec(bits));
  const TrellisCodec* codec = instance(bits);
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (rows <= 0 || cols <= 0 || rows >= kLimit || cols >= kLimit)
    return fail("[encode {}] shape {} x {} out of range", codec->name(), rows, cols);
  if (cols % codec->col_multiple() != 0)
    return fail("[encode {}] {} columns, a multiple of {} wanted", codec->name(), cols,
                codec->col_multiple());
  if (symbols.size() != static_cast<uint64_t>(rows * cols) ||
      scale.size() != static_cast<uint64_t>(rows))
    return fail("[encode {}] {} symbols and {} scales for {} x {} weights", codec->name(),
                symbols.size(), scale.size(), rows, cols);
  for (const uint8_t symbol : symbols)
    if (symbol >> bits)
      return fail("[encode {}] symbol {}, below {} wanted", codec->name(), symbol, 1 << bits);
  return codec->encode(rows, cols, symbols, scale);
}

}  // namespace planeloom
