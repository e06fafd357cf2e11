// Where the byte coefficients of sixteen rows go in a table of levels: byte 16 l + 4 k + r of a
// table is level k of row 4 l + r, so a shuffle that is told 4 l + r takes that row's coefficient
// (within a 16-byte load that every lane has), and 128 takes none.
#pragma once
#include <array>
#include <cstdint>

#include "codecs/codec.h"

namespace planeloom::simd {

using TablePlaces = std::array<uint8_t, 64>;

/// Levels k of 0 ... 3 that have bit `plane` of k set, or all of them (plane -1).
constexpr TablePlaces table_places(int plane) {
  TablePlaces places{};
  for (size_t i = 0; i < places.size(); ++i) {
    const size_t level = i % 16 / 4;
    const bool taken = plane < 0 || (level >> plane & 1) != 0;
    places[i] = static_cast<uint8_t>(taken ? i / 16 * 4 + i % 4 : 128);
  }
  return places;
}
alignas(64) inline constexpr TablePlaces kEveryLevel = table_places(-1);
alignas(64) inline constexpr TablePlaces kLevelsOfPlane[2] = {table_places(0), table_places(1)};

/// Bytes of the coefficients of a block and group of K bit-planes.
template <int K, Coefficients C>
inline constexpr int64_t kBitCoefBytes =
    (C == Coefficients::kByte ? K + 2 : 2 * (K + 1)) * kTileRows;

}  // namespace planeloom::simd
