// Where the bits of bit-plane codes lie in the lines of sixteen rows (codecs/planes.h).
#pragma once
#include <cstdint>

#include "codecs/planes.h"

namespace planeloom {

/// Codes of `planes` bits. block: the lines of sixteen rows.
struct PlaneBits {
  int planes;

  int64_t block_bytes(int64_t cols) const { return cols / 32 * planes * kLineBytes; }

  /// Planes p and p + 1 (p even; p alone when it is the last).
  uint8_t pair(const uint8_t* block, int p, int64_t row, int64_t c) const {
    const Place at = place(p, row, c);
    return static_cast<uint8_t>((block[at.byte] >> at.shift) & at.mask);
  }
  uint8_t code(const uint8_t* block, int64_t row, int64_t c) const {
    uint8_t all = 0;
    for (int p = 0; p < planes; p += 2)
      all = static_cast<uint8_t>(all | pair(block, p, row, c) << p);
    return all;
  }
  /// Onto zero bits.
  void set(uint8_t* block, int64_t row, int64_t c, uint8_t code) const {
    for (int p = 0; p < planes; p += 2) {
      const Place at = place(p, row, c);
      block[at.byte] = static_cast<uint8_t>(block[at.byte] | ((code >> p) & at.mask) << at.shift);
    }
  }

 private:
  struct Place {
    int64_t byte;
    int shift;
    uint8_t mask;
  };
  Place place(int p, int64_t row, int64_t c) const {
    const int64_t first = (c / 32 * planes + p) * kLineBytes + 4 * row + c % 4;
    const auto quad = static_cast<int>(c % 32 / 4);
    if (p + 1 == planes) return {first, quad, 1};
    return {first + quad / 4 * kLineBytes, 2 * (quad % 4), 3};
  }
};

}  // namespace planeloom
