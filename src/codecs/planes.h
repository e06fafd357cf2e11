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
// bitplane k=K g=G c=8, w = 2^(e - 127) (bias + sum_p c_p b_p):
//   coef   per block and group: 16 int8 c_0, ..., 16 int8 c_(K-1), 16 int8 bias, 16 bytes e
//          (above 142 it is read as 142). Up to two planes, sums are cut to -64 ... 64, beyond to
//          -128 ... 127.
//   bits   K + 8 (K + 2) / G
//
// tritplane g=G, w = a1 t1 + a2 t2, t in {-1, 0, 1}:
//   codes  per block and 20 columns two lines. A row's four bytes of a line are two 16-bit words of
//          five weights each: digits (t1 + 1) + 3 (t2 + 1) of a base-9 number n, digit 0 leading,
//          stored as the fraction ceil(n 65536 / 59049), so that multiplying by 9 carries the next
//          digit out. Column 8 l + 4 p + b of the twenty, below 16, is digit 2 p + b % 2 of word
//          b / 2 of line l; column 16 + b is digit 4 of word b / 2 of line b % 2. The last lines
//          are filled up with zeros (t = 0).
//   coef   per block and group: 16 fp16 a1, 16 fp16 a2.
//   bits   3.2 + 32 / G, and what fills the last line
// tritplane g=G c=8, w = 2^(e - 127) (a1 t1 + a2 t2):
//   coef   per block and group: 16 int8 a1, 16 int8 a2, 16 bytes e. a1 is cut to -64 ... 64, then
//          a2 so that |a1| + |a2| <= 64.
//   bits   3.2 + 24 / G, and the same
// tritplane g=G r=3:2, w = s (3 t1 + 2 t2):
//   coef   per block and group: 16 fp16 s.
//   bits   3.2 + 16 / G, and the same
//
// A coefficient that is not finite is read as 0; every byte decodes.
#pragma once
#include "codecs/codec.h"

namespace planeloom {

/// "bitplane k=2 g=64": bit-planes with one coefficient per plane and group. An error for k or g
/// out of range: k 1 ... 4; g 32, 64, 96, 128, 192 or 256. A row must be a multiple of g columns.
/// Coefficients are kHalf or kByte ("bitplane k=2 g=64 c=8").
Result<const Codec*> bitplane_codec(int planes, int group,
                                    Coefficients stored = Coefficients::kHalf);

/// "tritplane g=128": two planes of {-1, 0, 1}, one coefficient per plane and group (the same
/// groups); "tritplane g=128 c=8"; "tritplane g=256 r=3:2", one scale for both planes.
Result<const Codec*> tritplane_codec(int group, Coefficients stored = Coefficients::kHalf);

/// The most bit-planes a weight can have.
inline constexpr int kMaxPlanes = 4;

/// The groups that both formats know.
bool plane_group_known(int group);
/// The largest of them that is at most `wanted` and divides `cols`; 0 when there is none.
int fitting_group(int wanted, int64_t cols);

/// Packs bit-planes. codes: (rows, cols), bit p of a code is plane p (0 ... 2^planes - 1);
/// coef: (rows, cols / group, planes + 1) fp16 bits, the bias last, or when they are bytes (rows,
/// cols / group, planes + 2): int8, the bias and then the exponent last.
Result<EncodedMatrix> encode_bitplane(int planes, int group, Coefficients stored, int64_t rows,
                                      int64_t cols, std::span<const uint8_t> codes,
                                      std::span<const std::byte> coef);

/// Packs trit-planes. codes: (rows, cols), (t1 + 1) + 3 (t2 + 1), 0 ... 8; coef: (rows, cols /
/// group, 2) fp16 bits; as bytes (rows, cols / group, 3): int8 a1, a2, then the exponent; tied
/// (rows, cols / group) fp16 bits.
Result<EncodedMatrix> encode_tritplane(int group, Coefficients stored, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const std::byte> coef);

/// The same with fp16 coefficients as numbers.
Result<EncodedMatrix> encode_bitplane(int planes, int group, int64_t rows, int64_t cols,
                                      std::span<const uint8_t> codes,
                                      std::span<const uint16_t> coef);
Result<EncodedMatrix> encode_tritplane(int group, int64_t rows, int64_t cols,
                                       std::span<const uint8_t> codes,
                                       std::span<const uint16_t> coef);

inline constexpr int64_t kLineBytes = 64;
/// Columns of two lines of five-weight words.
inline constexpr int64_t kTritColumns = 20;

}  // namespace planeloom
