// The trellis format of Planeloom (a bit-shift trellis as in QTIP, arXiv 2406.11235, section 3):
// K bits a weight, and yet a weight's level depends on the last 12 bits of its sequence (13 for K =
// 3), so that a search over rows of bits (quant/trellis.h) finds much nearer levels than K bits
// alone could name. Kernels read these bytes as they are.
//
// trellis k=K, w = s (level - zero), s one scale a row, zero 32 (64 for K = 3
// and 4):
//   codes  per block of sixteen rows and 32 columns K lines, the bits of "bitplane k=K" exactly
//          (codecs/planes.h). Of a row's columns, those that share c mod 4 make one sequence, so
//          there are four; a symbol of K bits follows on that of column c - 4.
//   coef   per block: 16 fp16 s.
//   bits   K + 16 / columns
//
// A level is found by look-ups in tables of sixteen bytes, which every instruction set has. The
// nibble n(c) is the newest symbol and what of those before it fits four bits:
//   K = 1  bits of columns c - 12, c - 8, c - 4, c, the newest the highest
//   K = 2  symbol(c - 4) + 4 symbol(c)
//   K = 3  plane 2 of column c - 4, then of c; above them planes 0 and 1 of c (of this symbol plane
//          2 is the lowest bit)
//   K = 4  symbol(c)
// and with the nibbles that reach further back, `stride` symbols apart,
//   level = table[n(c) ^ hash_1[n(c - 4 stride)] ^ hash_2[n(c - 8 stride)] ^ ...].
// What lies before the row counts as zero bits. A scale that is not finite is read as 0; every
// byte decodes. Notes measured tables of 256 to 4,096 free entries; this one of 32, mixed by the
// hashes, comes as near (docs/decisions/0010).
#pragma once
#include <array>

#include "codecs/codec.h"

namespace planeloom {

inline constexpr int kMaxTrellisBits = 4, kMaxTrellisHashes = 3;
/// For K = 1, 2, 3, 4: symbols from one nibble to the next, and nibbles that reach back.
inline constexpr int kTrellisStride[] = {4, 2, 1, 1}, kTrellisHashes[] = {2, 2, 3, 2};

/// Bits that a level depends on, and those of them that the next level depends on too.
constexpr int trellis_window(int bits) {
  return 4 + kTrellisHashes[bits - 1] * kTrellisStride[bits - 1] * bits;
}
constexpr int trellis_survivor_bits(int bits) { return trellis_window(bits) - bits; }

/// The tables of one K.
struct TrellisCode {
  int bits;                                                     // K
  std::array<uint8_t, 32> table;                                // all below 2 zero()
  std::array<std::array<uint8_t, 16>, kMaxTrellisHashes> hash;  // all below 32
  float deviation;  // levels per standard deviation of the Gaussian that it is made for

  /// The level of weight 0; levels are below twice it.
  int zero() const { return bits < 3 ? 32 : 64; }
  int stride() const { return kTrellisStride[bits - 1]; }
  int hashes() const { return kTrellisHashes[bits - 1]; }
  int window() const { return trellis_window(bits); }
  /// Of `window()` bits, the newest symbol the lowest.
  uint8_t level_of_window(uint32_t window) const;
};

/// bits: 1 ... kMaxTrellisBits.
const TrellisCode& trellis_code(int bits);

/// "trellis k=2". An error for bits out of range. A row must be a multiple of 32 columns.
Result<const Codec*> trellis_codec(int bits);

/// symbols: (rows, cols), below 2^bits; scale: (rows) fp16 bits.
Result<EncodedMatrix> encode_trellis(int bits, int64_t rows, int64_t cols,
                                     std::span<const uint8_t> symbols,
                                     std::span<const uint16_t> scale);

}  // namespace planeloom
