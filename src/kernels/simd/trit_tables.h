// What the fused dots of trit-planes share: sixteen-byte look-ups from a code d = (t1 + 1) + 3 (t2
// + 1), and how much of a row is expanded to codes at a time.
#pragma once
#include <cstdint>

#include "codecs/codec.h"
#include "codecs/planes.h"

namespace planeloom::simd {

/// t1 + 1, t2 + 1, and 3 t1 + 2 t2 + 5 (the tied ratio).
alignas(16) inline constexpr uint8_t kTrit1[16] = {0, 1, 2, 0, 1, 2, 0, 1, 2}, kTrit2[16] = {0, 0,
                                                                                             0, 1,
                                                                                             1, 1,
                                                                                             2, 2,
                                                                                             2},
                                     kTiedCode[16] = {0, 3, 6, 2, 5, 8, 4, 7, 10};

/// Columns whose codes are expanded at a time: whole lines and whole steps of activations.
inline constexpr int64_t kTritPanel = 160, kTritStep = 32;
static_assert(kTritPanel % kTritColumns == 0 && kTritPanel % kTritStep == 0);

/// Bytes of the coefficients of a block and group.
template <Coefficients C>
inline constexpr int64_t kTritCoefBytes = (C == Coefficients::kTied   ? 2
                                           : C == Coefficients::kByte ? 3
                                                                      : 4) *
                                          kTileRows;

}  // namespace planeloom::simd
