// TQ1_0 and TQ2_0: weights d * {-1, 0, 1}.
#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"

namespace planeloom {
namespace {

/// A byte holds base-3 digits as a fraction of 256: multiplying by 3^n (mod 256) brings digit n to
/// the top. code[n * lane + i] = digit n of q[i].
void trits(const uint8_t* q, int lane, int digits, uint8_t* code) {
  uint8_t power = 1;
  for (int n = 0; n < digits; ++n, power = static_cast<uint8_t>(power * 3))
    for (int i = 0; i < lane; ++i)
      code[n * lane + i] = static_cast<uint8_t>((static_cast<uint8_t>(q[i] * power) * 3) >> 8);
}

struct TQ1_0 {
  static constexpr DType kType = DType::kTQ1_0;
  static constexpr int kBlock = 256, kGroup = 256, kBytes = 54, kZero = 1, kTop = 2;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // 32 bytes of 5 digits (columns 0..159) | 16 of 5 (160..239) | 4 of 4 (240..255) | d
    scale[0] = load_half(b + 52);
    trits(b, 32, 5, code);
    trits(b + 32, 16, 5, code + 160);
    trits(b + 48, 4, 4, code + 240);
  }
};

struct TQ2_0 {
  static constexpr DType kType = DType::kTQ2_0;
  static constexpr int kBlock = 256, kGroup = 256, kBytes = 66, kZero = 1, kTop = 3;
  static void unpack(const uint8_t* b, uint8_t* code, float* scale, float*) {
    // 2 x 32 bytes: two-bit field s of byte i is column 128 n + 32 s + i | d
    scale[0] = load_half(b + 64);
    for (int n = 0; n < 2; ++n)
      for (int s = 0; s < 4; ++s)
        for (int i = 0; i < 32; ++i) code[128 * n + 32 * s + i] = (b[32 * n + i] >> (2 * s)) & 3;
  }
};

}  // namespace

const Codec* ternary_codec(DType type) {
  if (type == DType::kTQ1_0) return block_codec<TQ1_0>();
  return type == DType::kTQ2_0 ? block_codec<TQ2_0>() : nullptr;
}

}  // namespace planeloom
