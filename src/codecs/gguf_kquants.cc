// K-quants: blocks of 256 whose group scales are themselves small integers times a half-precision
// d. Codes are spread over "lanes" of 32 bytes: bit field s of lane byte i is column 32 s + i of
// that lane's span.
#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"

namespace planeloom {
namespace {

struct Block256 {
  static constexpr int kBlock = 256;
};

/// Two-bit fields of 2 x 32 bytes: bytes 32 n .. 32 n + 31 hold columns 128 n + 32 s + i in bits 2
/// s.
void crumbs(const uint8_t* q, uint8_t* code) {
  for (int n = 0; n < 2; ++n)
    for (int s = 0; s < 4; ++s)
      for (int i = 0; i < 32; ++i) code[128 * n + 32 * s + i] = (q[32 * n + i] >> (2 * s)) & 3;
}

/// Four-bit fields of 4 x 32 bytes: bytes 32 n + i hold columns 64 n + i (low) and 64 n + 32 + i
/// (high).
void nibbles32(const uint8_t* q, uint8_t* code) {
  for (int n = 0; n < 4; ++n) {
    for (int i = 0; i < 32; ++i) code[64 * n + i] = q[32 * n + i] & 15;
    for (int i = 0; i < 32; ++i) code[64 * n + 32 + i] = q[32 * n + i] >> 4;
  }
}

struct Q2_K : Block256 {
  static constexpr DType kType = DType::kQ2_K;
  static constexpr int kGroup = 16, kBytes = 84, kZero = kAffine, kTop = 3;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float* offset) {
    // 16 x (scale | min << 4) | 64 bytes of crumbs | d | dmin
    const float d = load_half(b + 80), dmin = load_half(b + 82);
    for (int g = 0; g < 16; ++g) {
      scale[g] = d * static_cast<float>(b[g] & 15);
      offset[g] = -(dmin * static_cast<float>(b[g] >> 4));
    }
    crumbs(b + 16, code);
  }
};

struct Q3_K : Block256 {
  static constexpr DType kType = DType::kQ3_K;
  static constexpr int kGroup = 16, kBytes = 110, kZero = 4, kTop = 7;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // 32 bytes of third bits | 64 bytes of crumbs | 12 bytes of six-bit scales | d
    const float d = load_half(b + 108);
    const uint8_t* packed = b + 96;
    for (int g = 0; g < 16; ++g) {
      const int low = (packed[g & 7] >> (4 * (g >> 3))) & 15,
                high = (packed[8 + (g & 3)] >> (2 * (g >> 2))) & 3;
      scale[g] = d * static_cast<float>((low | high << 4) - 32);
    }
    crumbs(b + 32, code);
    for (int s = 0; s < 8;
         ++s)  // a set bit means "no 4 subtracted": with zero point 4 it is simply bit 2
      for (int i = 0; i < 32; ++i)
        code[32 * s + i] = static_cast<uint8_t>(code[32 * s + i] | ((b[i] >> s) & 1) << 2);
  }
};

/// Eight six-bit scales and minima in 12 bytes: 0..3 in the low six bits of bytes 0..3
/// and 4..7, 4..7 split between the nibbles of bytes 8..11 and the top bits of the former.
void scales_and_minima(const uint8_t* p, float d, float dmin, float* scale, float* offset) {
  for (int g = 0; g < 8; ++g) {
    const int s = g < 4 ? p[g] & 63 : (p[g + 4] & 15) | ((p[g - 4] >> 2) & 48);
    const int m = g < 4 ? p[g + 4] & 63 : p[g + 4] >> 4 | ((p[g] >> 2) & 48);
    scale[g] = d * static_cast<float>(s);
    offset[g] = -(dmin * static_cast<float>(m));
  }
}

struct Q4_K : Block256 {
  static constexpr DType kType = DType::kQ4_K;
  static constexpr int kGroup = 32, kBytes = 144, kZero = kAffine, kTop = 15;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float* offset) {
    // d | dmin | 12 bytes of scales and minima | 128 bytes of nibbles
    scales_and_minima(b + 4, load_half(b), load_half(b + 2), scale, offset);
    nibbles32(b + 16, code);
  }
};

struct Q5_K : Block256 {
  static constexpr DType kType = DType::kQ5_K;
  static constexpr int kGroup = 32, kBytes = 176, kZero = kAffine, kTop = 31;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float* offset) {
    // d | dmin | 12 bytes of scales and minima | 32 bytes of fifth bits | 128 bytes of nibbles
    scales_and_minima(b + 4, load_half(b), load_half(b + 2), scale, offset);
    nibbles32(b + 48, code);
    for (int s = 0; s < 8; ++s)
      for (int i = 0; i < 32; ++i)
        code[32 * s + i] = static_cast<uint8_t>(code[32 * s + i] | ((b[16 + i] >> s) & 1) << 4);
  }
};

struct Q6_K : Block256 {
  static constexpr DType kType = DType::kQ6_K;
  static constexpr int kGroup = 16, kBytes = 210, kZero = 32, kTop = 63;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // 2 x 64 bytes of nibbles | 2 x 32 bytes of crumbs | 16 signed scales | d
    const float d = load_half(b + 208);
    for (int g = 0; g < 16; ++g) scale[g] = d * static_cast<float>(static_cast<int8_t>(b[192 + g]));
    crumbs(b + 128, code);
    for (int n = 0; n < 2; ++n) {
      const uint8_t* low = b + 64 * n;
      uint8_t* span = code + 128 * n;
      for (int i = 0; i < 64; ++i) span[i] = static_cast<uint8_t>((low[i] & 15) | span[i] << 4);
      for (int i = 0; i < 64; ++i)
        span[64 + i] = static_cast<uint8_t>(low[i] >> 4 | span[64 + i] << 4);
    }
  }
};

}  // namespace

const Codec* kquant_codec(DType type) {
  switch (type) {
    case DType::kQ2_K:
      return block_codec<Q2_K>();
    case DType::kQ3_K:
      return block_codec<Q3_K>();
    case DType::kQ4_K:
      return block_codec<Q4_K>();
    case DType::kQ5_K:
      return block_codec<Q5_K>();
    case DType::kQ6_K:
      return block_codec<Q6_K>();
    default:
      return nullptr;
  }
}

}  // namespace planeloom
