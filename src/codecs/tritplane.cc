// "tritplane g=G": the layout is in planes.h.
#include <cstdlib>

#include "codecs/plane_codec.h"

namespace planeloom {
namespace {

using namespace planes_detail;

constexpr int kTritPlanes = 2, kDigits = 5;

/// Multiplying by 9^f (mod 65536) brings digit f to the top of the fraction.
constexpr uint16_t kPower[kDigits] = {1, 9, 81, 729, 6561};

/// The five digits as a fraction of 65536.
uint16_t pack(const uint8_t* digit) {
  int64_t n = 0;
  for (int f = 0; f < kDigits; ++f) n = 9 * n + digit[f];
  return static_cast<uint16_t>((n * 65536 + 59048) / 59049);
}
uint8_t digit_of(uint16_t word, int f) {
  return static_cast<uint8_t>((static_cast<uint16_t>(word * kPower[f]) * 9u) >> 16);
}

struct TritLayout {
  Coefficients stored;

  Coefficients form() const { return stored; }
  int coefficients() const {
    return stored == Coefficients::kTied ? 1 : stored == Coefficients::kByte ? 3 : 2;
  }
  LevelDepth depth() const { return stored == Coefficients::kTied ? kTiedDepth : kSevenBits; }
  int64_t block_bytes(int64_t cols) const {
    return (cols + kTritColumns - 1) / kTritColumns * 2 * kLineBytes;
  }
  void clear(uint8_t* block, int64_t cols) const {
    constexpr uint8_t kZeros[kDigits] = {4, 4, 4, 4, 4};
    const uint16_t word = pack(kZeros);
    for (int64_t at = 0; at < block_bytes(cols); at += 2) std::memcpy(block + at, &word, 2);
  }

  /// Where a weight is: a word of the block and its digit.
  struct Place {
    int64_t byte;
    int digit;
  };
  static Place place(int64_t row, int64_t c) {
    const auto quad = static_cast<int>(c % kTritColumns / 4), b = static_cast<int>(c % 4);
    const int line = quad < 4 ? quad / 2 : b % 2, digit = quad < 4 ? quad % 2 * 2 + b % 2 : 4;
    return {(c / kTritColumns * 2 + line) * kLineBytes + 4 * row + b / 2 * 2, digit};
  }
  PairIndex index(const uint8_t* block, int64_t row, int64_t c) const {
    const Place at = place(row, c);
    uint16_t word;
    std::memcpy(&word, block + at.byte, 2);
    const uint8_t code = digit_of(word, at.digit);
    return {static_cast<uint8_t>(code % 3), static_cast<uint8_t>(code / 3)};
  }
  /// code: digit of plane 1 + 3 x digit of plane 2.
  void set(uint8_t* block, int64_t row, int64_t c, uint8_t code) const {
    const Place at = place(row, c);
    uint16_t word;
    std::memcpy(&word, block + at.byte, 2);
    uint8_t digit[kDigits];
    for (int f = 0; f < kDigits; ++f) digit[f] = digit_of(word, f);
    digit[at.digit] = code;
    word = pack(digit);
    std::memcpy(block + at.byte, &word, 2);
  }
  LevelPairs levels(const float* coef) const {
    return {{-coef[0], 0.0f, coef[0], 0.0f}, {-coef[1], 0.0f, coef[1], 0.0f}};
  }
  /// byte: a1, a2, exponent; half: the scale of the tied ratio.
  IntLevels int_levels(const uint8_t* byte, const float* half) const {
    if (stored == Coefficients::kTied) return tables(kTiedRatio[0], kTiedRatio[1], half[0]);
    const int32_t most = depth().zero;
    const int32_t a1 = std::clamp(int32_t{static_cast<int8_t>(byte[0])}, -most, most),
                  rest = most - std::abs(a1),
                  a2 = std::clamp(int32_t{static_cast<int8_t>(byte[1])}, -rest, rest);
    return tables(a1, a2, byte_scale(byte[2]));
  }
  static IntLevels tables(int32_t a1, int32_t a2, float scale) {
    const auto p = static_cast<int8_t>(a1), q = static_cast<int8_t>(a2);
    return {{static_cast<int8_t>(-p), 0, p, 0}, {static_cast<int8_t>(-q), 0, q, 0}, scale};
  }
};

using TritplaneCodec = PlaneCodec<TritLayout>;

constexpr Coefficients kForms[] = {Coefficients::kHalf, Coefficients::kByte, Coefficients::kTied};

/// Null when out of range. Every instance is made at the first call and lives as long as the
/// program.
const TritplaneCodec* instance(int group, Coefficients stored) {
  static const std::vector<TritplaneCodec> all = [] {
    std::vector<TritplaneCodec> list;
    for (const Coefficients c : kForms)
      for (int g : kGroups)
        list.emplace_back(TritLayout{c},
                          CodecLayout{CodecLayout::Kind::kTritplane, DType::kI8, kTritPlanes, g},
                          fmt::format("tritplane g={}", g));
    return list;
  }();
  const int index = group_index(group);
  const auto form = std::find(std::begin(kForms), std::end(kForms), stored) - std::begin(kForms);
  return index < 0 ? nullptr : &all[static_cast<size_t>(form * kGroupCount + index)];
}

}  // namespace

Result<const Codec*> tritplane_codec(int group, Coefficients stored) {
  if (const Codec* codec = instance(group, stored)) return codec;
  return fail("[codec] tritplane g={}; g 32, 64, 96, 128, 192 or 256 wanted", group);
}

Result<EncodedMatrix> encode_tritplane(int group, Coefficients stored, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const std::byte> coef) {
  PL_TRY([[maybe_unused]] const Codec* known, tritplane_codec(group, stored));
  const TritplaneCodec* codec = instance(group, stored);
  PL_CHECK(codec->check_encode(rows, cols, 9, codes, coef));
  return codec->encode(rows, cols, codes, coef);
}

Result<EncodedMatrix> encode_tritplane(int group, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const uint16_t> coef) {
  return encode_tritplane(group, Coefficients::kHalf, rows, cols, codes, std::as_bytes(coef));
}

}  // namespace planeloom
