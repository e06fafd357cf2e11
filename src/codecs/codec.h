// The codec contract: a packed weight format is one type. Every quantizer ends in a codec, every
// kernel starts from one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace planeloom {

class Codec;

/// A matrix of rows x cols weights in one packed format. Borrowed memory; y = W x runs over cols.
/// Rows are stored one after another, `codec->row_bytes` apart, in `codes` (and in `coef` where the
/// codec has one).
struct PackedMatrix {
  const Codec* codec = nullptr;
  int64_t rows = 0;                  // outputs
  int64_t cols = 0;                  // inputs
  std::span<const std::byte> codes;  // rows * codec->code_bytes(cols)
  std::span<const std::byte> coef;   // rows * codec->coef_bytes(cols); empty for the GGUF types
};

/// Columns of the integer form are padded with zero codes to a multiple of this.
inline constexpr int kPlaneAlign = 64;
/// Consecutive columns that share one scale and one offset in the integer form.
inline constexpr int kScaleGroup = 16;
inline constexpr int kMaxPlanes = 4;

inline int64_t padded_cols(int64_t cols) {
  return (cols + kPlaneAlign - 1) / kPlaneAlign * kPlaneAlign;
}

/// One row as integer planes, the form in which int8 activations meet any low-bit weight:
///   w[c] = offset[c/16] + sum_p scale[p][c/16] * code[p][c],   codes 0..255
/// Padding columns have code 0, scale 0, offset 0. Buffers belong to the caller.
struct PlaneRow {
  uint8_t* code;  // (planes, padded_cols)
  float* scale;   // (planes, padded_cols / 16)
  float* offset;  // (padded_cols / 16)
};

/// Which layout a codec's bytes have, for kernels that read them directly.
struct CodecLayout {
  enum class Kind { kGguf, kBitplane, kTritplane } kind = Kind::kGguf;
  DType type = DType::kF32;   // kGguf
  int planes = 0, group = 0;  // the plane formats
};

/// One packed weight format: layout, exact bits, decode. Stateless; instances live for the whole
/// program.
class Codec {
 public:
  virtual ~Codec() = default;

  /// "Q4_1", "bitplane k=2 g=64", "tritplane g=128": also how files name it.
  virtual std::string_view name() const = 0;
  virtual CodecLayout layout() const = 0;
  /// A row's length must be a multiple of this many columns.
  virtual int64_t col_multiple() const = 0;
  /// Bytes of one row of `cols` weights.
  virtual int64_t code_bytes(int64_t cols) const = 0;
  virtual int64_t coef_bytes(int64_t cols) const { return 0; }

  /// The row's weights as float, the definition of the format. out: (cols).
  virtual void decode_row(const PackedMatrix& w, int64_t row, float* out) const = 0;

  /// How many integer planes a row has, 0 when the format has no integer form (F32, F16, BF16).
  virtual int planes() const { return 0; }
  /// The row as integer planes; called only when planes() > 0.
  virtual void unpack_row(const PackedMatrix& w, int64_t row, PlaneRow out) const {}
  /// Codes above 127 occur (kernels without VNNI must then widen).
  virtual bool wide_codes() const { return false; }
};

/// Every scale counted: 8 * (code + coef bytes) / weights.
inline double bits_per_weight(const Codec& codec, int64_t cols) {
  return 8.0 * static_cast<double>(codec.code_bytes(cols) + codec.coef_bytes(cols)) /
         static_cast<double>(cols);
}

/// The codec of a GGUF element type, or null for a type that holds no weights (I8 ... F64).
const Codec* gguf_codec(DType type);

/// The codec that a Planeloom file names, e.g. "bitplane k=2 g=64"; an error for an unknown or
/// malformed name.
Result<const Codec*> codec_by_name(std::string_view name);

/// Checks that sizes fit together before anything is read: cols a multiple, both spans exactly as
/// long as the rows need.
Status check_matrix(const PackedMatrix& w, std::string_view tensor_name);

/// A matrix that owns its bytes: what a quantizer returns.
struct EncodedMatrix {
  const Codec* codec = nullptr;
  int64_t rows = 0, cols = 0;
  std::vector<std::byte> codes, coef;
  PackedMatrix view() const { return {codec, rows, cols, codes, coef}; }
};

}  // namespace planeloom
