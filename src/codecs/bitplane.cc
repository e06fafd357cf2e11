// "bitplane k=K g=G": the layout is in planes.h.
#include <array>

#include "codecs/plane_common.h"

namespace planeloom {
namespace {

using namespace planes_detail;

constexpr int kMaxK = 4;

/// Entry b: byte i is bit i of b, so that eight columns of a plane become bytes in one load.
constexpr std::array<uint64_t, 256> make_spread() {
  std::array<uint64_t, 256> table{};
  for (uint64_t b = 0; b < 256; ++b)
    for (int i = 0; i < 8; ++i) table[b] |= ((b >> i) & 1) << (8 * i);
  return table;
}
constexpr std::array<uint64_t, 256> kSpread = make_spread();

/// Where a row keeps the 32 columns of plane p from column c on, c a multiple of 32. Words are
/// little-endian, so half of a 64-bit word is the 32-bit word of its columns.
int64_t word_at(int planes, int64_t cols, int p, int64_t c) {
  const int64_t block = c / 64 * 64;
  return block / 8 * planes + (block + 64 <= cols ? p * 8 + (c - block) / 8 : p * 4);
}

class BitplaneCodec final : public Codec {
 public:
  BitplaneCodec(int planes, int group)
      : planes_(planes), group_(group), name_(fmt::format("bitplane k={} g={}", planes, group)) {}

  std::string_view name() const override { return name_; }
  CodecLayout layout() const override {
    return {CodecLayout::Kind::kBitplane, DType::kI8, planes_, group_};
  }
  int64_t col_multiple() const override { return group_; }
  int64_t code_bytes(int64_t cols) const override { return cols / 8 * planes_; }
  int64_t coef_bytes(int64_t cols) const override { return cols / group_ * (planes_ + 1) * 2; }
  int planes() const override { return planes_; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const uint8_t* codes = row_codes(w, row);
    const int levels = 1 << planes_;
    float level[1 << kMaxK];
    for (int64_t g = 0; g < w.cols / group_; ++g) {
      const auto coef = coefficients(w, row, g);
      for (int v = 0; v < levels; ++v) {
        level[v] = coef[planes_];
        for (int p = 0; p < planes_; ++p) level[v] += (v >> p) & 1 ? coef[p] : 0.0f;
      }
      for (int64_t c = g * group_; c < (g + 1) * group_; c += 32)
        for (int64_t i = 0; i < 4; ++i, out += 8) {
          uint64_t eight = 0;
          for (int p = 0; p < planes_; ++p)
            eight |= kSpread[codes[word_at(planes_, w.cols, p, c) + i]] << p;
          for (int j = 0; j < 8; ++j) out[j] = level[(eight >> (8 * j)) & 15];
        }
    }
  }

  void unpack_row(const PackedMatrix& w, int64_t row, PlaneRow out) const override {
    const uint8_t* codes = row_codes(w, row);
    const int64_t padded = padded_cols(w.cols), scales = padded / kScaleGroup;
    for (int p = 0; p < planes_; ++p)
      for (int64_t c = 0; c < w.cols; c += 32) {
        const uint8_t* word = codes + word_at(planes_, w.cols, p, c);
        for (int64_t i = 0; i < 4; ++i)
          std::memcpy(out.code + p * padded + c + 8 * i, &kSpread[word[i]], 8);
      }
    const int64_t per_group = group_ / kScaleGroup;
    for (int64_t g = 0; g < w.cols / group_; ++g) {
      const auto c = coefficients(w, row, g);
      for (int p = 0; p < planes_; ++p)
        std::fill_n(out.scale + p * scales + g * per_group, per_group, c[p]);
      std::fill_n(out.offset + g * per_group, per_group, c[planes_]);
    }
    clear_padding(w.cols, planes_, out);
  }

  void encode_row(const uint8_t* code, int64_t cols, uint8_t* out) const {
    for (int p = 0; p < planes_; ++p)
      for (int64_t c = 0; c < cols; c += 32) {
        uint32_t word = 0;
        for (int j = 0; j < 32; ++j) word |= ((uint32_t{code[c + j]} >> p) & 1) << j;
        std::memcpy(out + word_at(planes_, cols, p, c), &word, 4);
      }
  }

 private:
  const uint8_t* row_codes(const PackedMatrix& w, int64_t row) const {
    return reinterpret_cast<const uint8_t*>(w.codes.data()) + row * code_bytes(w.cols);
  }
  std::array<float, kMaxK + 1> coefficients(const PackedMatrix& w, int64_t row, int64_t g) const {
    std::array<float, kMaxK + 1> c{};
    for (int p = 0; p <= planes_; ++p)
      c[p] = coef_at(w, coef_bytes(w.cols), row, g * (planes_ + 1) + p);
    return c;
  }

  int planes_, group_;
  std::string name_;
};

/// Null when out of range. Every instance is made at the first call and lives as long as the
/// program.
const BitplaneCodec* instance(int planes, int group) {
  static const std::vector<BitplaneCodec> all = [] {
    std::vector<BitplaneCodec> list;
    for (int k = 1; k <= kMaxK; ++k)
      for (int g : kGroups) list.emplace_back(k, g);
    return list;
  }();
  const int index = group_index(group);
  if (planes < 1 || planes > kMaxK || index < 0) return nullptr;
  return &all[static_cast<size_t>((planes - 1) * kGroupCount + index)];
}

}  // namespace

bool plane_group_known(int group) { return group_index(group) >= 0; }

Result<const Codec*> bitplane_codec(int planes, int group) {
  if (const Codec* codec = instance(planes, group)) return codec;
  return fail("[codec] bitplane k={} g={}; k 1 to 4 and g 32, 64, 96, 128, 192 or 256 wanted",
              planes, group);
}

Result<EncodedMatrix> encode_bitplane(int planes, int group, int64_t rows, int64_t cols,
                                      std::span<const uint8_t> codes,
                                      std::span<const uint16_t> coef) {
  PL_TRY([[maybe_unused]] const Codec* known, bitplane_codec(planes, group));
  const BitplaneCodec* codec = instance(planes, group);
  PL_CHECK(check_encode(*codec, rows, cols, group, planes + 1, 1 << planes, codes, coef));
  EncodedMatrix out = make_encoded(codec, rows, cols, coef);
  auto* bytes = reinterpret_cast<uint8_t*>(out.codes.data());
  for (int64_t r = 0; r < rows; ++r)
    codec->encode_row(codes.data() + r * cols, cols, bytes + r * codec->code_bytes(cols));
  return out;
}

}  // namespace planeloom
