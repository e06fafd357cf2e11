// The two plane formats of Planeloom: bit-planes (BPDQ, RTN) and trit-planes (PTQTP), as they lie
// on disk and in memory. The kernels read these bytes as they are (docs/decisions/0005).
//
// Both keep sixteen rows together; the last block is padded with rows of zeros. A line is 64 bytes:
// byte 4 r + b belongs to row r of the block and to column b of four neighbours, so a line of codes
// meets the activations of four columns in all sixteen rows at once.
//
// bitplane k=K g=G, w = bias + sum_p c_p b_p, b in {0, 1}:
//   codes  per block and 32 columns K lines. A pair of planes (0, 1 and 2, 3) takes two lines of
//          two-bit fields: field f of line l is columns 16 l + 4 f + b, the lower plane in the
//          lower bit. An odd last plane takes one line of bits: bit j is columns 4 j + b.
//   coef   per block and group of G columns: 16 fp16 c_0, ..., 16 fp16 c_(K-1), 16 fp16 bias.
//   bits   K + 16 (K + 1) / G
//
// tritplane g=G, w = a1 t1 + a2 t2, t in {-1, 0, 1}:
//   codes  per block and 20 columns a line of plane 1, then a line of plane 2. A byte holds five
//          digits t + 1 as a fraction of 256: ceil(n 256 / 243), n the base-3 number whose leading
//          digit is field 0. Field f is column 4 f + b of the line's twenty. The last lines are
//          filled up with zeros (t = 0).
//   coef   per block and group: 16 fp16 a1, 16 fp16 a2.
//   bits   3.2 + 32 / G, and what fills the last line
//
// A coefficient that is not finite is read as 0; every byte decodes.
#pragma once
#include "codecs/codec.h"

namespace planeloom {

/// "bitplane k=2 g=64": bit-planes with one coefficient per plane and group. An error for k or g
/// out of range: k 1 ... 4; g 32, 64, 96, 128, 192 or 256. A row must be a multiple of g columns.
Result<const Codec*> bitplane_codec(int planes, int group);

/// "tritplane g=128": two planes of {-1, 0, 1}, one coefficient per plane and group (the same
/// groups).
Result<const Codec*> tritplane_codec(int group);

/// The most bit-planes a weight can have.
inline constexpr int kMaxPlanes = 4;

/// The groups that both formats know.
bool plane_group_known(int group);
/// The largest of them that is at most `wanted` and divides `cols`; 0 when there is none.
int fitting_group(int wanted, int64_t cols);

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

inline constexpr int64_t kLineBytes = 64;
/// Columns of one line of five-trit bytes.
inline constexpr int64_t kTritColumns = 20;

}  // namespace planeloom
