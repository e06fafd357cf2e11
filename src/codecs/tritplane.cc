// "tritplane g=G": the layout is in planes.h.
#include <array>

#include "codecs/plane_common.h"

namespace planeloom {
namespace {

using namespace planes_detail;

constexpr int kTritPlanes = 2;

/// Entry b: the five base-3 digits of b, lowest first, then three bytes of padding so that a copy
/// is one store.
constexpr std::array<std::array<uint8_t, 8>, 256> make_digits() {
  std::array<std::array<uint8_t, 8>, 256> table{};
  for (int b = 0; b < 256; ++b)
    for (int i = 0, rest = b % 243; i < 5; ++i, rest /= 3)
      table[b][i] = static_cast<uint8_t>(rest % 3);
  return table;
}
constexpr auto kDigits = make_digits();

/// Bytes that one plane needs for `columns` (64 or 32) columns.
constexpr int64_t plane_bytes(int64_t columns) { return (columns + 4) / 5; }

/// digits: (columns); columns is 64 or 32.
void decode_block(const uint8_t* bytes, int64_t columns, uint8_t* digits) {
  const int64_t whole = columns / 5;
  // Eight bytes a store: the three too many are overwritten by the next, and the last whole byte
  // has room for them.
  for (int64_t i = 0; i + 1 < whole; ++i) std::memcpy(digits + 5 * i, kDigits[bytes[i]].data(), 8);
  std::memcpy(digits + 5 * (whole - 1), kDigits[bytes[whole - 1]].data(), 5);
  std::memcpy(digits + 5 * whole, kDigits[bytes[whole]].data(),
              static_cast<size_t>(columns - 5 * whole));
}

void encode_block(const uint8_t* digits, int64_t columns, uint8_t* bytes) {
  for (int64_t i = 0; i < plane_bytes(columns); ++i) {
    int value = 0;
    for (int64_t c = std::min(columns, 5 * i + 5); c-- > 5 * i;) value = 3 * value + digits[c];
    bytes[i] = static_cast<uint8_t>(value);
  }
}

class TritplaneCodec final : public Codec {
 public:
  explicit TritplaneCodec(int group) : group_(group), name_(fmt::format("tritplane g={}", group)) {}

  std::string_view name() const override { return name_; }
  CodecLayout layout() const override {
    return {CodecLayout::Kind::kTritplane, DType::kI8, kTritPlanes, group_};
  }
  int64_t col_multiple() const override { return group_; }
  int64_t code_bytes(int64_t cols) const override {
    return kTritPlanes * (cols / 64 * plane_bytes(64) + (cols % 64 != 0 ? plane_bytes(32) : 0));
  }
  int64_t coef_bytes(int64_t cols) const override { return cols / group_ * kTritPlanes * 2; }
  int planes() const override { return kTritPlanes; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    uint8_t digits[kTritPlanes][64];
    float level[9] = {};
    int64_t group = -1;
    for (int64_t c = 0; c < w.cols; c += 64) {
      const int64_t columns = std::min<int64_t>(64, w.cols - c);
      for (int p = 0; p < kTritPlanes; ++p) decode_block(block(w, row, c, p), columns, digits[p]);
      for (int64_t half = 0; half < columns; half += 32) {  // a group starts at a multiple of 32
        if (const int64_t g = (c + half) / group_; g != group) levels(w, row, group = g, level);
        for (int64_t j = half; j < half + 32; ++j)
          out[c + j] = level[digits[0][j] + 3 * digits[1][j]];
      }
    }
  }

  void unpack_row(const PackedMatrix& w, int64_t row, PlaneRow out) const override {
    const int64_t padded = padded_cols(w.cols), scales = padded / kScaleGroup;
    for (int64_t c = 0; c < w.cols; c += 64)
      for (int p = 0; p < kTritPlanes; ++p)
        decode_block(block(w, row, c, p), std::min<int64_t>(64, w.cols - c),
                     out.code + p * padded + c);
    const int64_t per_group = group_ / kScaleGroup;
    for (int64_t g = 0; g < w.cols / group_; ++g) {
      float sum = 0;
      for (int p = 0; p < kTritPlanes; ++p) {
        const float alpha = coef_at(w, coef_bytes(w.cols), row, g * kTritPlanes + p);
        std::fill_n(out.scale + p * scales + g * per_group, per_group, alpha);
        sum += alpha;
      }
      std::fill_n(out.offset + g * per_group, per_group, -sum);
    }
    clear_padding(w.cols, kTritPlanes, out);
  }

  /// code: (cols), digit of plane 1 + 3 x digit of plane 2.
  void encode_row(const uint8_t* code, int64_t cols, uint8_t* out) const {
    uint8_t digits[64];
    for (int64_t c = 0; c < cols; c += 64) {
      const int64_t columns = std::min<int64_t>(64, cols - c);
      for (int p = 0; p < kTritPlanes; ++p, out += plane_bytes(columns)) {
        for (int64_t j = 0; j < columns; ++j)
          digits[j] = p == 0 ? code[c + j] % 3 : code[c + j] / 3;
        encode_block(digits, columns, out);
      }
    }
  }

 private:
  const uint8_t* block(const PackedMatrix& w, int64_t row, int64_t c, int plane) const {
    const int64_t width = plane_bytes(std::min<int64_t>(64, w.cols - c));
    return reinterpret_cast<const uint8_t*>(w.codes.data()) + row * code_bytes(w.cols) +
           c / 64 * kTritPlanes * plane_bytes(64) + plane * width;
  }
  void levels(const PackedMatrix& w, int64_t row, int64_t g, float* level) const {
    const float a1 = coef_at(w, coef_bytes(w.cols), row, g * 2),
                a2 = coef_at(w, coef_bytes(w.cols), row, g * 2 + 1);
    const float first[3] = {-a1, 0.0f, a1}, second[3] = {-a2, 0.0f, a2};
    for (int v = 0; v < 9; ++v) level[v] = first[v % 3] + second[v / 3];
  }

  int group_;
  std::string name_;
};

/// Null when out of range. Every instance is made at the first call and lives as long as the
/// program.
const TritplaneCodec* instance(int group) {
  static const std::vector<TritplaneCodec> all(std::begin(kGroups), std::end(kGroups));
  const int index = group_index(group);
  return index < 0 ? nullptr : &all[static_cast<size_t>(index)];
}

}  // namespace

Result<const Codec*> tritplane_codec(int group) {
  if (const Codec* codec = instance(group)) return codec;
  return fail("[codec] tritplane g={}; g 32, 64, 96, 128, 192 or 256 wanted", group);
}

Result<EncodedMatrix> encode_tritplane(int group, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const uint16_t> coef) {
  PL_TRY([[maybe_unused]] const Codec* known, tritplane_codec(group));
  const TritplaneCodec* codec = instance(group);
  PL_CHECK(check_encode(*codec, rows, cols, group, kTritPlanes, 9, codes, coef));
  EncodedMatrix out = make_encoded(codec, rows, cols, coef);
  auto* bytes = reinterpret_cast<uint8_t*>(out.codes.data());
  for (int64_t r = 0; r < rows; ++r)
    codec->encode_row(codes.data() + r * cols, cols, bytes + r * codec->code_bytes(cols));
  return out;
}

}  // namespace planeloom
