// The two plane formats of Planeloom: bit-planes (BPDQ, RTN) and trit-planes (PTQTP), as they lie
// on disk and in memory.
//
// bitplane k=K g=G, w = bias + sum_p c_p b_p, b in {0, 1}:
//   codes  per row, per 64 columns: K little-endian 64-bit words; bit j of word p is plane p at
//   column 64 b + j.
//          A last half block of 32 columns is K 32-bit words, so that a weight takes exactly K
//          bits.
//   coef   per row and group of G columns: K + 1 fp16, c_0 ... c_{K-1}, then the bias.    K + 16 (K
//   + 1) / G bits
// tritplane g=G, w = a1 t1 + a2 t2, t in {-1, 0, 1}:
//   codes  per row, per 64 columns: 13 bytes of plane 1, then 13 of plane 2; a byte holds five
//   base-3 digits t + 1, the
//          first column lowest (the 13th byte holds four). A last half block of 32 columns: 7 bytes
//          each (two in the 7th). Every byte decodes: 243 ... 255, which no encoder writes, count
//          as byte - 243.
//   coef   per row and group: two fp16, a1 and a2.                                       3.25 + 32
//   / G bits
#pragma once
#include "codecs/codec.h"

namespace planeloom {

/// "bitplane k=2 g=64": bit-planes with one coefficient per plane and group. An error for k or g
/// out of range: k 1 ... 4; g 32, 64, 96, 128, 192 or 256. A row must be a multiple of g columns.
Result<const Codec*> bitplane_codec(int planes, int group);

/// "tritplane g=128": two planes of {-1, 0, 1}, one coefficient per plane and group (the same
/// groups).
Result<const Codec*> tritplane_codec(int group);

/// The groups that both formats know.
bool plane_group_known(int group);

/// Packs bit-planes. codes: (rows, cols), bit p of a code is plane p (0 ... 2^planes - 1);
/// coef: (rows, cols / group, planes + 1) fp16 bits, the bias last.
Result<EncodedMatrix> encode_bitplane(int planes, int group, int64_t rows, int64_t cols,
                                      std::span<const uint8_t> codes,
                                      std::span<const uint16_t> coef);

/// Packs trit-planes. codes: (rows, cols), (t1 + 1) + 3 (t2 + 1), 0 ... 8; coef: (rows, cols /
/// group, 2) fp16 bits.
Result<EncodedMatrix> encode_tritplane(int group, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const uint16_t> coef);

}  // namespace planeloom
