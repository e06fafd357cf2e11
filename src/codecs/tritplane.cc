// "tritplane g=G": the layout is in planes.h.
#include <fmt/format.h>

#include "codecs/plane_codec.h"

namespace planeloom {
namespace {

using namespace planes_detail;

constexpr int kTritPlanes = 2, kDigits = 5;

/// Multiplying by 3^f (mod 256) brings digit f to the top of the fraction.
constexpr uint8_t kPower[kDigits] = {1, 3, 9, 27, 81};

/// The five digits as a fraction of 256.
uint8_t pack(const uint8_t* digit) {
  int n = 0;
  for (int f = 0; f < kDigits; ++f) n = 3 * n + digit[f];
  return static_cast<uint8_t>((n * 256 + 242) / 243);
}
uint8_t digit_of(uint8_t byte, int64_t f) {
  return static_cast<uint8_t>((static_cast<uint8_t>(byte * kPower[f]) * 3) >> 8);
}

struct TritLayout {
  int coefficients() const { return kTritPlanes; }
  int64_t block_bytes(int64_t cols) const {
    return (cols + kTritColumns - 1) / kTritColumns * kTritPlanes * kLineBytes;
  }
  void clear(uint8_t* block, int64_t cols) const {
    constexpr uint8_t kZeros[kDigits] = {1, 1, 1, 1, 1};
    std::memset(block, pack(kZeros), static_cast<size_t>(block_bytes(cols)));
  }
  /// The byte of plane 1; plane 2's is a line further.
  static int64_t byte(int64_t row, int64_t c) {
    return c / kTritColumns * kTritPlanes * kLineBytes + 4 * row + c % 4;
  }
  PairIndex index(const uint8_t* block, int64_t row, int64_t c) const {
    const uint8_t* at = block + byte(row, c);
    const int64_t f = c % kTritColumns / 4;
    return {digit_of(at[0], f), digit_of(at[kLineBytes], f)};
  }
  /// code: digit of plane 1 + 3 x digit of plane 2.
  void set(uint8_t* block, int64_t row, int64_t c, uint8_t code) const {
    const uint8_t value[kTritPlanes] = {static_cast<uint8_t>(code % 3),
                                        static_cast<uint8_t>(code / 3)};
    for (int p = 0; p < kTritPlanes; ++p) {
      uint8_t& at = block[byte(row, c) + p * kLineBytes];
      uint8_t digit[kDigits];
      for (int f = 0; f < kDigits; ++f) digit[f] = digit_of(at, f);
      digit[c % kTritColumns / 4] = value[p];
      at = pack(digit);
    }
  }
  LevelPairs levels(const float* coef) const {
    return {{-coef[0], 0.0f, coef[0], 0.0f}, {-coef[1], 0.0f, coef[1], 0.0f}};
  }
};

using TritplaneCodec = PlaneCodec<TritLayout>;

/// Null when out of range. Every instance is made at the first call and lives as long as the
/// program.
const TritplaneCodec* instance(int group) {
  static const std::vector<TritplaneCodec> all = [] {
    std::vector<TritplaneCodec> list;
    for (int g : kGroups)
      list.emplace_back(TritLayout{},
                        CodecLayout{CodecLayout::Kind::kTritplane, DType::kI8, kTritPlanes, g},
                        fmt::format("tritplane g={}", g));
    return list;
  }();
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
  return codec->encode(rows, cols, codes, coef);
}

}  // namespace planeloom
