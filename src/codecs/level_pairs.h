// Plane formats as integers: a weight is the sum of two small tables, a[i] + b[j], and each table
// becomes int8 levels with one power-of-two scale per row and group.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace planeloom {

/// Tables of one row and group: two bit-planes (or one trit-plane) choose from each.
struct LevelPairs {
  float a[4] = {}, b[4] = {};
};

/// The same in integers: a[i] + b[j] ~ scale * sat8(qa[i] + qb[j]).
struct Int8Levels {
  int8_t qa[4], qb[4];
  float scale;
};

// The scale is 2^(e - 6), e the exponent of max|a| + max|b|: levels use 64 to 127 of the 127 steps,
// so they are off by at most 1/128 of the largest weight of the group, far below the distance
// between levels. A power of two needs no division, and every ISA forms it by the same integer
// operations.
inline constexpr int32_t kExponentMask = 0x7f800000, kSmallestExponent = 16 << 23,
                         kLevelShift = 6 << 23, kInverseBase = 254 << 23;

inline int8_t saturate8(int32_t v) { return static_cast<int8_t>(std::clamp(v, -128, 127)); }

/// Entries are finite (the codecs read a coefficient that is not as 0).
inline Int8Levels quantize_levels(const LevelPairs& pairs) {
  float top_a = 0, top_b = 0;
  for (float v : pairs.a) top_a = std::max(top_a, std::fabs(v));
  for (float v : pairs.b) top_b = std::max(top_b, std::fabs(v));
  const int32_t exponent =
      std::max(std::bit_cast<int32_t>(top_a + top_b) & kExponentMask, kSmallestExponent);
  const int32_t scale = exponent - kLevelShift;
  const float inverse = std::bit_cast<float>(kInverseBase - scale);
  Int8Levels out;
  out.scale = std::bit_cast<float>(scale);
  for (int i = 0; i < 4; ++i) {
    out.qa[i] = saturate8(static_cast<int32_t>(std::nearbyint(pairs.a[i] * inverse)));
    out.qb[i] = saturate8(static_cast<int32_t>(std::nearbyint(pairs.b[i] * inverse)));
  }
  return out;
}

}  // namespace planeloom
