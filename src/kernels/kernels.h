// One contract per operation. Every ISA gives the same bits as the scalar reference in ref/,
// because the order of sums is part of the contract and multiply-adds are fused everywhere.
//
// Float sums keep sixteen lanes: a sum over n terms has 16 float accumulators; term i goes to lane
// i mod 16 by fused multiply-add, in rising order of i. The lanes are then folded 16 -> 8 -> 4 -> 2
// -> 1, lane j with lane j + half.
//
// Integer dots keep one accumulator per row (a tile has sixteen rows, one per lane): the products
// of the columns that share an activation scale add up exactly in int32; what follows is float, in
// rising order of columns (dot_tile below).
//
// A result therefore depends on its own row and token only: not on batch, threads or vector width.
#pragma once
#include <cstdint>

#include "base/cpu.h"
#include "codecs/codec.h"
#include "codecs/rotation.h"

namespace planeloom {

inline constexpr float kSmallestActivation = 1e-30f;

/// Tokens that meet a tile of weights at a time.
inline constexpr int kBlockTokens = 12;

/// Activations of 1 ... kBlockTokens tokens in the int8 form that CodeTile weights meet. `step`
/// columns (16 or 32, as the weights' CodeForm says) share a scale max|x| / 127; codes are rounded
/// to nearest even. All codes of a step are 0 when max|x| <= kSmallestActivation (its scale's
/// inverse could overflow); an infinite or NaN x has code 0. The tokens lie side by side, so that a
/// kernel walks through all of them with one pointer. Columns are a multiple of 32.
struct Int8Block {
  int64_t tokens;
  const int8_t* code;    // (cols / 4, tokens, 4)
  const float* scale;    // (cols / step, tokens)
  const int32_t* start;  // (cols / step, tokens): -zero * sum of the codes
  const float* weight;   // (cols / group, tokens), affine only: sum over steps of codes * scale

  /// The same tokens from column c on, a multiple of the form's group.
  Int8Block from_col(int64_t c, const CodeForm& form) const {
    const int64_t steps = c / form.step * tokens;
    return {tokens, code + c * tokens, scale + steps, start + steps,
            form.affine ? weight + c / form.group * tokens : nullptr};
  }
};

/// dot_tiles: tokens of a block, and tiles of sixteen rows that are multiplied at a time; the one
/// step it knows, and the fewest tokens that it is faster for (docs/decisions/0008).
inline constexpr int kTilesTokens = 16, kTilesAtOnce = 2, kTilesStep = 32, kTilesLeast = 64;
/// Bytes behind the codes of an Int8Rows that may be read, and count for nothing.
inline constexpr int kTilesSlack = kTilesTokens * kTilesStep;

/// Activations of many tokens: blocks of `block` tokens, fewer in the last, one after another, each
/// an Int8Block of all columns. For dot_tiles a block has kTilesTokens, and a step's columns lie
/// together: code (cols / step, tokens, step).
struct Int8Rows {
  int64_t tokens, cols, block;
  const int8_t* code;
  const float* scale;
  const int32_t* start;
  const float* weight;

  /// The block of token `first`, a multiple of `block`.
  Int8Block at(int64_t first, const CodeForm& form) const {
    const int64_t steps = first * (cols / form.step);
    return {tokens - first < block ? tokens - first : block, code + first * cols, scale + steps,
            start + steps, form.affine ? weight + first * (cols / form.group) : nullptr};
  }
};

/// A CodeTile to read: sixteen rows, `cols` columns from a multiple of the group on.
struct TileView {
  const uint8_t* code;  // (cols / 4, 16 rows, 4)
  const float* scale;   // (cols / group, 16 rows)
  const float* offset;  // (cols / group, 16 rows) when affine
  int64_t cols;
  CodeForm form;
};

/// Writes what codec->unpack_tile writes, bit for bit.
using UnpackTile = void (*)(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                            CodeTile out);

/// What unpack_tile and dot_tile give over all columns, without the tile in between.
using DotPacked = void (*)(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                           int64_t y_stride);

/// Float rows for dot_panels: sixteen rows, of weights or of tokens, side by side, and the columns
/// of a lane of their sums together: (16 lanes, steps, 16 rows), column i in lane i mod 16, step i
/// /
/// 16. Lanes follow one another as they are folded: 0 and 8; 4 and 12, then both pairs; ... Rows
/// and columns that are not there are 0.
inline constexpr int kPanelRows = 16;
inline constexpr int kPanelLane[] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
constexpr int64_t panel_steps(int64_t cols) { return (cols + kPanelRows - 1) / kPanelRows; }
/// Lane kPanelLane[k] is the k-th; the order is its own inverse.
constexpr int64_t panel_at(int64_t col, int64_t row, int64_t steps) {
  return (kPanelLane[col % kPanelRows] * steps + col / kPanelRows) * kPanelRows + row;
}
/// Floats of a panel.
constexpr int64_t panel_size(int64_t cols) { return panel_steps(cols) * kPanelRows * kPanelRows; }

/// The table of one implementation. Plain functions on plain buffers; no allocation, no threads.
struct Kernels {
  Isa isa;

  /// out[t * out_stride + r] = sum_i w[r * w_stride + i] * x[t * x_stride + i], i < n, sixteen
  /// lanes.
  void (*dot_f32)(const float* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
                  int64_t tokens, int64_t n, float* out, int64_t out_stride);

  /// The same with weights stored as IEEE half or bfloat16.
  void (*dot_f16)(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x,
                  int64_t x_stride, int64_t tokens, int64_t n, float* out, int64_t out_stride);
  void (*dot_bf16)(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x,
                   int64_t x_stride, int64_t tokens, int64_t n, float* out, int64_t out_stride);

  /// Lays `count` <= 16 rows out as a panel of panel_size(cols) floats.
  void (*pack_panel)(const float* rows, int64_t stride, int64_t count, int64_t cols, float* panel);
  /// What dot_f32 gives for the first `rows` <= 16 rows of a panel and tokens in panels that follow
  /// one another.
  void (*dot_panels)(const float* w, int64_t steps, const float* x, int64_t tokens, int64_t rows,
                     float* y, int64_t y_stride);

  /// y[t * y_stride + r] += sum over the tile's columns, for the sixteen rows r. Per scale group,
  /// in rising order:
  ///   sum = 0;  per step of it: sum = fma(float(start + sum of code * x.code, exact), x.scale,
  ///   sum) y = fma(sum, scale, y);  affine: y = fma(x.weight, offset, y)
  void (*dot_tile)(const TileView& w, const Int8Block& x, float* y, int64_t y_stride);

  /// The same bits for all tokens of x at once, or null where dot_tile is what there is. w: one or
  /// two tiles of neighbouring rows of a form with kTilesStep, columns col .. col + cols - 1, y[t *
  /// y_stride + 16 * tile + r]. Spends the tiles: leaves code - zero in them.
  void (*dot_tiles)(const CodeTile* w, int tiles, const CodeForm& form, int64_t col, int64_t cols,
                    const Int8Rows& x, float* y, int64_t y_stride);

  /// Quantizes columns of one token, a multiple of 32, step 16 or 32: x (cols) -> code (cols),
  /// scale (cols / step), sum (cols / step).
  void (*quantize_int8)(const float* x, int64_t cols, int64_t step, int8_t* code, float* scale,
                        int32_t* sum);

  /// out = R x, apart; (size) both.
  void (*rotate)(const Rotation& rotation, const float* x, float* out);
  /// x = R^T x in place; (size).
  void (*unrotate)(const Rotation& rotation, float* x);

  /// out[i] = x[i] * (1 / sqrt(mean(x^2) + eps)) * gain[i]. May run in place.
  void (*rms_norm)(const float* x, const float* gain, float eps, int64_t n, float* out);

  /// x[i] = exp(x[i] - top) in place, top = max x; returns their sum (sixteen lanes, added).
  float (*exp_sum)(float* x, int64_t n, float* top);

  /// gate[i] = silu(gate[i]) * up[i].
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  /// gate[i] = gelu_tanh(gate[i]) * up[i] (the tanh form, as Gemma uses).
  void (*gelu_mul)(float* gate, const float* up, int64_t n);

  /// out[d] += sum_i weight[i] * v[i * stride + d], in rising order of i, fused. v: (n, dim).
  void (*weighted_sum)(const float* weight, int64_t n, const float* v, int64_t stride, int64_t dim,
                       float* out);

  /// out[i] = float(in[i]) for IEEE half.
  void (*half_to_float)(const uint16_t* in, int64_t n, float* out);
  /// The same for Q8_0 blocks (codecs/gguf_legacy.cc); n is a multiple of 32.
  void (*q8_0_to_float)(const std::byte* in, int64_t n, float* out);

  /// A faster unpack_tile for this codec, or null when the codec's own is what there is.
  UnpackTile (*find_unpack)(const Codec& codec);
  /// Dots of so few tokens (one block) on the packed bytes themselves, or null where a tile is what
  /// there is or what is faster.
  DotPacked (*find_dot)(const Codec& codec, int64_t tokens);
};

/// The table of an ISA that supported_isas() lists.
const Kernels& kernels_for(Isa isa);

}  // namespace planeloom
