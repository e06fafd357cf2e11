#include "codecs/row_parts.h"

#include <algorithm>

#include "codecs/rotation.h"

namespace planeloom {
namespace {

class RowPartsCodec final : public Codec {
 public:
  std::string_view name() const override { return "parts"; }
  CodecLayout layout() const override { return {}; }  // as F32: what decode_row gives
  int64_t col_multiple() const override { return 1; }
  int64_t code_bytes(int64_t) const override { return 0; }  // each part has its own

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    auto part = w.parts->begin();
    for (; row >= part->rows; ++part) row -= part->rows;
    part->codec->decode_row(*part, row, out);
    if (part->rotation) part->rotation->undo(out);
  }
};

}  // namespace

Result<PackedMatrix> join_rows(std::vector<PackedMatrix> parts) {
  static const RowPartsCodec codec;
  if (parts.empty()) return fail("[codec] a matrix of no parts");
  PackedMatrix whole{&codec, 0, parts[0].cols, {}, {}};
  for (const PackedMatrix& part : parts) {
    if (part.parts) return fail("[codec] a part that is in parts");
    if (part.cols != whole.cols)
      return fail("[codec] parts of {} and {} columns", whole.cols, part.cols);
    whole.rows += part.rows;
  }
  whole.parts = std::make_shared<const std::vector<PackedMatrix>>(std::move(parts));
  return whole;
}

PackedMatrix slice_rows(const PackedMatrix& w, int64_t first, int64_t rows) {
  const auto cut = [&](std::span<const std::byte> bytes, int64_t row_bytes) {
    return bytes.subspan(static_cast<size_t>(first * row_bytes),
                         static_cast<size_t>(stored_rows(*w.codec, rows) * row_bytes));
  };
  PackedMatrix slice = w;
  slice.rows = rows;
  slice.codes = cut(w.codes, w.codec->code_bytes(w.cols));
  slice.coef = cut(w.coef, w.codec->coef_bytes(w.cols));
  return slice;
}

int64_t byte_size(const PackedMatrix& w) {
  if (!w.parts) return static_cast<int64_t>(w.codes.size() + w.coef.size());
  int64_t bytes = 0;
  for (const PackedMatrix& part : *w.parts) bytes += byte_size(part);
  return bytes;
}

}  // namespace planeloom
