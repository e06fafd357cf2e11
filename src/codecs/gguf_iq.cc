// IQ1, IQ2 and IQ3: neighbouring weights are one point of a fixed set (codecs/iq_grids.h). Of two
// and three bits the points are magnitudes and signs stand beside them; of one bit the points have
// signs, and all are moved by an eighth up or down.
#include <array>

#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"
#include "codecs/iq_grids.h"

namespace planeloom {
namespace {

/// The points of a set, a byte per column.
template <int kPoints, int kColumns>
using Points = std::array<std::array<uint8_t, kColumns>, kPoints>;

template <int kPoints, int kColumns, int kValues>
Points<kPoints, kColumns> spread(const uint16_t (&grid)[kPoints], const int (&value)[kValues]) {
  constexpr int kBits = kColumns == 8 ? 2 : 3;
  Points<kPoints, kColumns> out;
  for (int p = 0; p < kPoints; ++p)
    for (int i = 0; i < kColumns; ++i)
      out[p][i] = static_cast<uint8_t>(value[(grid[p] >> (kBits * i)) & ((1 << kBits) - 1)]);
  return out;
}

/// Seven signs; of eight columns an even number is negative.
uint8_t even_signs(uint32_t seven) {
  seven &= 127;
  return static_cast<uint8_t>(seven | (std::popcount(seven) & 1u) << 7);
}

/// zero + or - the magnitudes: bit i of `signs` for column i.
template <size_t kColumns>
void place(const std::array<uint8_t, kColumns>& magnitude, uint32_t signs, int zero,
           uint8_t* code) {
  for (size_t i = 0; i < kColumns; ++i)
    code[i] = static_cast<uint8_t>((signs >> i) & 1 ? zero - magnitude[i] : zero + magnitude[i]);
}

uint32_t load_u32(const uint8_t* p) { return load_u16(p) | uint32_t{load_u16(p + 2)} << 16; }

constexpr int kTwoBitValues[] = {8, 25, 43, 0};
constexpr int kThreeBitValues[] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int kOddValues[] = {1, 3, 5, 7, 9, 11, 13, 15};

template <int kGroupOf, int kBytesOf, int kZeroOf>
struct Block256 {
  static constexpr int kBlock = 256, kGroup = kGroupOf, kBytes = kBytesOf;
  static constexpr int kZero = kZeroOf, kTop = 2 * kZeroOf;
};

struct IQ2_XXS : Block256<32, 66, 43> {
  static constexpr DType kType = DType::kIQ2_XXS;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 8 x (4 points, 4 x 7 signs, 4 bits of scale)
    static const auto points = spread<256, 8>(kIq2XxsGrid, kTwoBitValues);
    const float d = load_half(b);
    for (int g = 0; g < 8; ++g) {
      const uint8_t* q = b + 2 + 8 * g;
      const uint32_t rest = load_u32(q + 4);
      scale[g] = d * (0.5f + static_cast<float>(rest >> 28)) * 0.25f;
      for (int i = 0; i < 4; ++i)
        place(points[q[i]], even_signs(rest >> (7 * i)), kZero, code + 32 * g + 8 * i);
    }
  }
};

int nibble(const uint8_t* p, int i) { return (p[i / 2] >> (4 * (i & 1))) & 15; }

/// Sixteen four-bit scales.
void nibble_scales(const uint8_t* p, float d, float* scale) {
  for (int g = 0; g < 16; ++g) scale[g] = d * (0.5f + static_cast<float>(nibble(p, g))) * 0.25f;
}

struct IQ2_XS : Block256<16, 74, 43> {
  static constexpr DType kType = DType::kIQ2_XS;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 32 x (9 bits of a point, 7 signs) | 16 four-bit scales
    static const auto points = spread<512, 8>(kIq2XsGrid, kTwoBitValues);
    nibble_scales(b + 66, load_half(b), scale);
    for (int i = 0; i < 32; ++i) {
      const uint32_t q = load_u16(b + 2 + 2 * i);
      place(points[q & 511], even_signs(q >> 9), kZero, code + 8 * i);
    }
  }
};

struct IQ2_S : Block256<16, 82, 43> {
  static constexpr DType kType = DType::kIQ2_S;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 32 low bytes of points | 32 bytes of signs | 32 x 2 high bits | 16 four-bit scales
    static const auto points = spread<1024, 8>(kIq2SGrid, kTwoBitValues);
    nibble_scales(b + 74, load_half(b), scale);
    for (int i = 0; i < 32; ++i) {
      const int high = (b[66 + i / 4] >> (2 * (i & 3))) & 3;
      place(points[static_cast<size_t>(b[2 + i] | high << 8)], b[34 + i], kZero, code + 8 * i);
    }
  }
};

struct IQ3_XXS : Block256<32, 98, 62> {
  static constexpr DType kType = DType::kIQ3_XXS;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 64 points | 8 x (4 x 7 signs, 4 bits of scale)
    static const auto points = spread<256, 4>(kIq3XxsGrid, kThreeBitValues);
    const float d = load_half(b);
    for (int g = 0; g < 8; ++g) {
      const uint32_t rest = load_u32(b + 66 + 4 * g);
      scale[g] = d * (0.5f + static_cast<float>(rest >> 28)) * 0.5f;
      for (int i = 0; i < 8; ++i) {
        const uint32_t signs = even_signs(rest >> (i / 2 * 7)) >> (i % 2 * 4);
        place(points[b[2 + 8 * g + i]], signs, kZero, code + 32 * g + 4 * i);
      }
    }
  }
};

struct IQ3_S : Block256<32, 110, 15> {
  static constexpr DType kType = DType::kIQ3_S;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 64 low bytes of points | 64 ninth bits | 32 bytes of signs | 8 four-bit scales
    static const auto points = spread<512, 4>(kIq3SGrid, kOddValues);
    const float d = load_half(b);
    for (int g = 0; g < 8; ++g) scale[g] = d * static_cast<float>(1 + 2 * nibble(b + 106, g));
    for (int i = 0; i < 64; ++i) {
      const int high = (b[66 + i / 8] >> (i & 7)) & 1;
      place(points[static_cast<size_t>(b[2 + i] | high << 8)],
            static_cast<uint32_t>(b[74 + i / 2] >> (i % 2 * 4)), kZero, code + 4 * i);
    }
  }
};

/// Codes of one bit count eighths: 8 times the point, one more or less, and 9.
constexpr int kEighths[] = {1, 9, 17, 0};

const Points<2048, 8>& one_bit_points() {
  static const auto points = spread<2048, 8>(kIq1Grid, kEighths);
  return points;
}

void place_moved(uint32_t point, bool down, uint8_t* code) {
  const auto& eighths = one_bit_points()[point];
  for (size_t i = 0; i < 8; ++i) code[i] = static_cast<uint8_t>(eighths[i] + (down ? -1 : 1));
}

struct IQ1_S : Block256<32, 50, 9> {
  static constexpr DType kType = DType::kIQ1_S;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 32 low bytes of points | 8 x (4 x 3 high bits, 3 bits of scale, down)
    const float d = load_half(b) * 0.125f;
    for (int g = 0; g < 8; ++g) {
      const uint32_t rest = load_u16(b + 34 + 2 * g);
      scale[g] = d * static_cast<float>(2 * ((rest >> 12) & 7) + 1);
      for (int i = 0; i < 4; ++i)
        place_moved(b[2 + 4 * g + i] | ((rest >> (3 * i)) & 7) << 8, rest >> 15,
                    code + 32 * g + 8 * i);
    }
  }
};

struct IQ1_M : Block256<16, 56, 9> {
  static constexpr DType kType = DType::kIQ1_M;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // 32 low bytes of points | 32 x (3 high bits, down) | 4 x (4 x 3 bits of scale, 4 bits of d)
    uint32_t half = 0;
    for (int i = 0; i < 4; ++i) half |= uint32_t{load_u16(b + 48 + 2 * i)} >> 12 << (4 * i);
    const float d = half_to_float(static_cast<uint16_t>(half)) * 0.125f;
    for (int g = 0; g < 16; ++g)
      scale[g] =
          d * static_cast<float>(2 * ((load_u16(b + 48 + g / 4 * 2) >> (3 * (g & 3))) & 7) + 1);
    for (int i = 0; i < 32; ++i) {
      const uint32_t high = b[32 + i / 2] >> (i % 2 * 4);
      place_moved(b[i] | (high & 7) << 8, high & 8, code + 8 * i);
    }
  }
};

}  // namespace

const Codec* iq_codec(DType type) {
  switch (type) {
    case DType::kIQ1_S:
      return block_codec<IQ1_S>();
    case DType::kIQ1_M:
      return block_codec<IQ1_M>();
    case DType::kIQ2_XXS:
      return block_codec<IQ2_XXS>();
    case DType::kIQ2_XS:
      return block_codec<IQ2_XS>();
    case DType::kIQ2_S:
      return block_codec<IQ2_S>();
    case DType::kIQ3_XXS:
      return block_codec<IQ3_XXS>();
    case DType::kIQ3_S:
      return block_codec<IQ3_S>();
    default:
      return nullptr;
  }
}

}  // namespace planeloom
