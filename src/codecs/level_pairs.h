// Plane formats as integers: a weight is the sum of two small tables, a[i] + b[j], and each table
// becomes integer levels with one power-of-two scale per row and group.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "codecs/codec.h"

namespace planeloom {

/// Tables of one row and group: two bit-planes (or one trit-plane) choose from each.
struct LevelPairs {
  float a[4] = {}, b[4] = {};
};

/// The same in integers: a[i] + b[j] ~ scale * sat8(qa[i] + qb[j]).
struct IntLevels {
  int8_t qa[4], qb[4];
  float scale;
};

/// How finely levels are rounded: |level| <= zero, codes are level + zero. With seven bits a code
/// times an int8 activation, twice, fits int16 (128 * 127 * 2), which is what AVX2 multiplies
/// (docs/decisions/0005).
struct LevelDepth {
  int32_t zero;   // 64 or 128
  int32_t shift;  // in a float's exponent
};

// The scale is 2^(e - 5), e the exponent of max|a| + max|b|, so that levels use 32 to 64 of 64
// steps, or 2^(e - 6) and 64 to 128. A power of two needs no division, and every ISA forms it by
// the same integer operations.
/// Tied trit-planes are integers as they are: 3 t1 + 2 t2, so levels reach from -5 to 5.
inline constexpr LevelDepth kTiedDepth{5, 0};
inline constexpr int32_t kTiedRatio[2] = {3, 2};

inline constexpr LevelDepth kSevenBits{64, 5 << 23}, kEightBits{128, 6 << 23};
inline constexpr int32_t kExponentMask = 0x7f800000, kSmallestExponent = 16 << 23,
                         kInverseBase = 254 << 23;

/// Seven bits where a quantizer rounds its levels itself, so that they lose nothing here, and are
/// few: fp16 coefficients are rounded again, and more planes hold up to sixteen levels.
constexpr LevelDepth bitplane_depth(int planes, Coefficients stored) {
  return planes <= 2 && stored == Coefficients::kByte ? kSevenBits : kEightBits;
}

/// The largest exponent byte; beyond it is read as this, so that weights are about as large as fp16
/// allows them to be and sums of them stay finite.
inline constexpr uint8_t kLargestExponent = 142;
/// The scale that an exponent byte names: 2^(e - 127), 0 for e = 0.
inline float byte_scale(uint8_t e) {
  return std::bit_cast<float>(static_cast<int32_t>(std::min(e, kLargestExponent)) << 23);
}

inline int8_t saturate8(int32_t v) { return static_cast<int8_t>(std::clamp(v, -128, 127)); }

/// Entries are finite (the codecs read a coefficient that is not as 0). With seven bits nothing
/// saturates: (max|a| + max|b|) / scale is below 64, so rounded entries add up to at most 64.
inline IntLevels quantize_levels(const LevelPairs& pairs, LevelDepth depth) {
  float top_a = 0, top_b = 0;
  for (float v : pairs.a) top_a = std::max(top_a, std::fabs(v));
  for (float v : pairs.b) top_b = std::max(top_b, std::fabs(v));
  const int32_t exponent =
      std::max(std::bit_cast<int32_t>(top_a + top_b) & kExponentMask, kSmallestExponent);
  const int32_t scale = exponent - depth.shift;
  const float inverse = std::bit_cast<float>(kInverseBase - scale);
  IntLevels out;
  out.scale = std::bit_cast<float>(scale);
  for (int i = 0; i < 4; ++i) {
    out.qa[i] = saturate8(static_cast<int32_t>(std::nearbyint(pairs.a[i] * inverse)));
    out.qb[i] = saturate8(static_cast<int32_t>(std::nearbyint(pairs.b[i] * inverse)));
  }
  return out;
}

}  // namespace planeloom
