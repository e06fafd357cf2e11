// One contract per operation. Every ISA gives the same bits as the scalar reference in ref/,
// because the order of sums is part of the contract ("sixteen lanes", below) and multiply-adds are
// fused everywhere.
//
// Sixteen lanes: a sum over n terms keeps 16 float accumulators; term i goes to lane i mod 16 by
// fused multiply-add, in rising order of i. The lanes are then folded 16 -> 8 -> 4 -> 2 -> 1, lane
// j with lane j + half. A result therefore depends on its own row and token only: not on batch,
// threads or vector width.
#pragma once
#include <cstdint>

#include "base/cpu.h"
#include "codecs/codec.h"

namespace planeloom {

inline constexpr float kSmallestActivation = 1e-30f;

/// One token's activations in the int8 form that PlaneRow weights meet. P = padded_cols(cols).
/// Groups of 16 columns share a scale max|x| / 127; codes are rounded to nearest even. All codes of
/// a group are 0 when max|x| <= kSmallestActivation (its scale's inverse could overflow); an
/// infinite or NaN x has code 0.
struct Int8Row {
  const int8_t* code;       // (P), padding is 0
  const float* lane_scale;  // (P / 64, 16): the scale of the four columns that a lane sums
  const float* sum;         // (P / 16): scale * sum of the codes of 16 columns
};

/// A batch of Int8Row with fixed strides.
struct Int8Rows {
  const int8_t* code;       // (tokens, P)
  const float* lane_scale;  // (tokens, P / 4)
  const float* sum;         // (tokens, P / 16)
  int64_t padded;           // P
};

/// A block of unpacked weight rows with fixed strides (codecs/codec.h PlaneRow).
struct PlaneRows {
  const uint8_t* code;  // (rows, planes, P)
  const float* scale;   // (rows, planes, P / 16)
  const float* offset;  // (rows, P / 16)
  int planes;
  bool wide;       // some code exceeds 127
  int64_t padded;  // P
};

/// Writes what codec->unpack_row writes, bit for bit.
using UnpackRow = void (*)(const PackedMatrix& w, int64_t row, PlaneRow out);

/// The table of one implementation. Plain functions on plain buffers; no allocation, no threads.
struct Kernels {
  Isa isa;

  /// out[t * out_stride + r] = sum_i w[r * w_stride + i] * x[t * x_stride + i], i < n, sixteen
  /// lanes.
  void (*dot_f32)(const float* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
                  int64_t tokens, int64_t n, float* out, int64_t out_stride);

  /// out[t * out_stride + r] = the same product in integer planes: per 64 columns and plane, lane j
  /// takes the exact int32 sum of columns 4j..4j+3 times (scale of those columns * lane_scale[j]);
  /// then the offsets follow as sixteen-lane terms offset[i] * sum[i].
  void (*dot_planes)(const PlaneRows& w, int64_t rows, const Int8Rows& x, int64_t tokens,
                     float* out, int64_t out_stride);

  /// Quantizes one token: x (cols) -> code (P), lane_scale (P / 4), sum (P / 16).
  void (*quantize_int8)(const float* x, int64_t cols, int8_t* code, float* lane_scale, float* sum);

  /// out[i] = x[i] * (1 / sqrt(mean(x^2) + eps)) * gain[i]. May run in place.
  void (*rms_norm)(const float* x, const float* gain, float eps, int64_t n, float* out);

  /// x[i] = exp(x[i] - max) / sum, in place.
  void (*softmax)(float* x, int64_t n);

  /// gate[i] = silu(gate[i]) * up[i].
  void (*silu_mul)(float* gate, const float* up, int64_t n);
  /// gate[i] = gelu_tanh(gate[i]) * up[i] (the tanh form, as Gemma uses).
  void (*gelu_mul)(float* gate, const float* up, int64_t n);

  /// out[d] += sum_i weight[i] * v[i * stride + d], in rising order of i, fused. v: (n, dim).
  void (*weighted_sum)(const float* weight, int64_t n, const float* v, int64_t stride, int64_t dim,
                       float* out);

  /// out[i] = float(in[i]) for IEEE half.
  void (*half_to_float)(const uint16_t* in, int64_t n, float* out);

  /// A faster unpack_row for this codec, or null when the codec's own is what there is.
  UnpackRow (*find_unpack)(const Codec& codec);
};

/// The table of an ISA that supported_isas() lists.
const Kernels& kernels_for(Isa isa);

}  // namespace planeloom
