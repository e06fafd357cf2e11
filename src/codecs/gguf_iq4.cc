// IQ4: four-bit indices into one fixed table of 16 values, finer near zero.
#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"

namespace planeloom {
namespace {

/// The table's values plus 127 (the table is -127, -104, ..., 89, 113), so that codes are unsigned.
constexpr uint8_t kTable[16] = {0,   23,  44,  62,  78,  92,  105, 117,
                                128, 140, 152, 165, 180, 196, 216, 240};

void look_up(const uint8_t* q, uint8_t* code) {  // 16 bytes: low nibbles first, then high
  for (int i = 0; i < 16; ++i) code[i] = kTable[q[i] & 15];
  for (int i = 0; i < 16; ++i) code[16 + i] = kTable[q[i] >> 4];
}

struct IQ4_NL {
  static constexpr DType kType = DType::kIQ4_NL;
  static constexpr int kBlock = 32, kGroup = 32, kBytes = 18, kZero = 127, kTop = 255;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float*) {  // d | 16 nibble pairs
    scale[0] = load_half(b);
    look_up(b + 2, code);
  }
};

struct IQ4_XS {
  static constexpr DType kType = DType::kIQ4_XS;
  static constexpr int kBlock = 256, kGroup = 32, kBytes = 136, kZero = 127, kTop = 255;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // d | 8 x 2 high scale bits | 8 x 4 low scale bits | 8 x 16 nibble pairs
    const float d = load_half(b);
    const int high = load_u16(b + 2);
    for (int g = 0; g < 8; ++g) {
      const int s = ((b[4 + g / 2] >> (4 * (g & 1))) & 15) | ((high >> (2 * g)) & 3) << 4;
      scale[g] = d * static_cast<float>(s - 32);
      look_up(b + 8 + 16 * g, code + 32 * g);
    }
  }
};

}  // namespace

const Codec* iq4_codec(DType type) {
  if (type == DType::kIQ4_NL) return block_codec<IQ4_NL>();
  return type == DType::kIQ4_XS ? block_codec<IQ4_XS>() : nullptr;
}

}  // namespace planeloom
