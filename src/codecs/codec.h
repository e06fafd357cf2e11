// The codec contract: a packed weight format is one type. Every quantizer ends in a codec, every
// kernel starts from one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace planeloom {

class Codec;
class Rotation;

/// A matrix of rows x cols weights in one packed format. Borrowed memory; y = W x runs over cols.
struct PackedMatrix {
  const Codec* codec = nullptr;
  int64_t rows = 0;                  // outputs
  int64_t cols = 0;                  // inputs
  std::span<const std::byte> codes;  // stored_rows() * codec->code_bytes(cols)
  std::span<const std::byte> coef;  // stored_rows() * codec->coef_bytes(cols); empty for GGUF types
  std::shared_ptr<const Rotation> rotation{};  // of the inputs, already in the weights; or null
  /// What holds the rows, where that are several matrices (codecs/row_parts.h); there are no codes
  /// and no coefficients of its own then. Null for an ordinary matrix.
  std::shared_ptr<const std::vector<PackedMatrix>> parts{};
};

/// Kernels work on sixteen rows at a time, one row per 32-bit lane, and the plane formats are
/// stored that way.
inline constexpr int kTileRows = 16;

/// The integers behind a format: w = scale * (code - zero) + offset.
struct CodeForm {
  int group = 0;        // columns per scale, a multiple of step; 0: no integer form
  int zero = 0;         // code - zero fits int8
  bool affine = false;  // offsets occur; group is then 16 or 32
  int step = 32;        // columns per scale of the int8 activations: 16 or 32 (docs/decisions/0004)
  int top = 255;        // the largest code: kernels without VNNI add small products in 16 bits
};

/// Sixteen rows of some columns as integer codes. Buffers belong to the caller.
struct CodeTile {
  uint8_t* code;  // (cols / 4, 16 rows, 4): four neighbouring columns of a row fill a 32-bit lane
  float* scale;   // (cols / group, 16 rows)
  float* offset;  // (cols / group, 16 rows), written only when affine
};

/// How the plane formats store what scales their planes (codecs/planes.h).
enum class Coefficients {
  kHalf,  // fp16, one per plane (and a bias)
  kByte,  // the same as int8, and the exponent of their common scale
  kTied,  // trit-planes in the ratio 3 : 2, one fp16 for both
};

/// Which layout a codec's bytes have, for kernels that read them directly.
struct CodecLayout {
  enum class Kind { kGguf, kBitplane, kTritplane, kTrellis } kind = Kind::kGguf;
  DType type = DType::kF32;   // kGguf
  int planes = 0, group = 0;  // the plane formats; of a trellis, bits of a symbol and 32
  Coefficients coefficients = Coefficients::kHalf;
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
  /// Rows that are stored together: 1, or 16 where rows are interleaved and the last block padded.
  virtual int row_block() const { return 1; }
  /// Bytes of one row of `cols` weights (a sixteenth of a block where rows are interleaved).
  virtual int64_t code_bytes(int64_t cols) const = 0;
  virtual int64_t coef_bytes(int64_t cols) const { return 0; }

  /// The row's weights as float, the definition of the format, rotated where the matrix is. out:
  /// (cols).
  virtual void decode_row(const PackedMatrix& w, int64_t row, float* out) const = 0;

  /// The integer form; form().group is 0 when there is none (F32, F16, BF16).
  virtual CodeForm form() const { return {}; }
  /// Rows first .. first + 15 (first a multiple of 16), columns col .. col + cols - 1 (both
  /// multiples of col_multiple()). Rows past the end weigh zero. Only where there is a form.
  virtual void unpack_tile(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                           CodeTile out) const {}
};

/// Rows as they lie in memory, the padding of the last block counted.
inline int64_t stored_rows(const Codec& codec, int64_t rows) {
  const int64_t block = codec.row_block();
  return (rows + block - 1) / block * block;
}

/// Every scale and every padding row counted: 8 * (code + coef bytes) / weights.
inline double bits_per_weight(const Codec& codec, int64_t rows, int64_t cols) {
  const int64_t bytes =
      stored_rows(codec, rows) * (codec.code_bytes(cols) + codec.coef_bytes(cols));
  return 8.0 * static_cast<double>(bytes) / (static_cast<double>(rows) * static_cast<double>(cols));
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
  PackedMatrix view() const { return {codec, rows, cols, codes, coef, nullptr}; }
};

}  // namespace planeloom
