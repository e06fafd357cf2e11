// Blocks of 32 with one half-precision scale d (and a minimum m in the _1 types). The low nibbles
// of the 16 code bytes are columns 0..15, the high nibbles columns 16..31.
#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"

namespace planeloom {
namespace {

struct Block32 {
  static constexpr int kBlock = 32, kGroup = 32;
};

void nibbles(const uint8_t* q, uint8_t* code) {
  for (int i = 0; i < 16; ++i) code[i] = q[i] & 15;
  for (int i = 0; i < 16; ++i) code[16 + i] = q[i] >> 4;
}

/// Adds bit 4 of column c from bit c of four little-endian bytes.
void fifth_bits(const uint8_t* high, uint8_t* code) {
  for (int c = 0; c < 32; ++c)
    code[c] = static_cast<uint8_t>(code[c] | ((high[c >> 3] >> (c & 7)) & 1) << 4);
}

struct Q4_0 : Block32 {
  static constexpr DType kType = DType::kQ4_0;
  static constexpr int kBytes = 18, kZero = 8, kTop = 15;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float*) {  // d | 16 nibble pairs
    scale[0] = load_half(b);
    nibbles(b + 2, code);
  }
};

struct Q4_1 : Block32 {
  static constexpr DType kType = DType::kQ4_1;
  static constexpr int kBytes = 20, kZero = kAffine, kTop = 15;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float* offset) {  // d | m | nibbles
    scale[0] = load_half(b);
    offset[0] = load_half(b + 2);
    nibbles(b + 4, code);
  }
};

struct Q5_0 : Block32 {
  static constexpr DType kType = DType::kQ5_0;
  static constexpr int kBytes = 22, kZero = 16, kTop = 31;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float*) {  // d | 4 high-bit bytes | nibbles
    scale[0] = load_half(b);
    nibbles(b + 6, code);
    fifth_bits(b + 2, code);
  }
};

struct Q5_1 : Block32 {
  static constexpr DType kType = DType::kQ5_1;
  static constexpr int kBytes = 24, kZero = kAffine, kTop = 31;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float* offset) {  // d | m | high bits | nibbles
    scale[0] = load_half(b);
    offset[0] = load_half(b + 2);
    nibbles(b + 8, code);
    fifth_bits(b + 4, code);
  }
};

struct Q8_0 : Block32 {
  static constexpr DType kType = DType::kQ8_0;
  static constexpr int kBytes = 34, kZero = 128, kTop = 255;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale,
                     float*) {  // d | 32 signed bytes
    scale[0] = load_half(b);
    for (int i = 0; i < 32; ++i) code[i] = b[2 + i] ^ 0x80;  // q + 128
  }
};

}  // namespace

const Codec* legacy_codec(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return block_codec<Q4_0>();
    case DType::kQ4_1:
      return block_codec<Q4_1>();
    case DType::kQ5_0:
      return block_codec<Q5_0>();
    case DType::kQ5_1:
      return block_codec<Q5_1>();
    case DType::kQ8_0:
      return block_codec<Q8_0>();
    default:
      return nullptr;
  }
}

}  // namespace planeloom
