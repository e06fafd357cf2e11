#include "formats/planes_pair.h"

#include "codecs/rotation.h"

namespace planeloom {

namespace {

/// A part that is stored as it came.
bool is_plain(const PackedMatrix& part) {
  return part.codec == gguf_codec(part.codec->layout().type) && !part.rotation;
}

}  // namespace

std::string_view pair_name(const Metadata& metadata, std::string_view tensor) {
  const std::string_view pair = tensor.substr(0, tensor.rfind('.'));
  const bool half = tensor == planes_name(pair) || tensor == coef_name(pair);
  return half && metadata.has(codec_key(pair)) ? pair : tensor;
}

std::string_view whole_name(const Metadata& metadata, std::string_view name) {
  const std::string_view whole = name.substr(0, name.rfind('.'));
  return metadata.has(parts_key(whole)) ? whole : name;
}

void add_pair(std::string_view name, const PackedMatrix& matrix, Metadata& metadata,
              std::vector<TensorSpec>& tensors) {
  if (matrix.parts) {
    metadata.set(parts_key(name), static_cast<int64_t>(matrix.parts->size()));
    for (size_t i = 0; i < matrix.parts->size(); ++i) {
      const PackedMatrix& part = (*matrix.parts)[i];
      if (is_plain(part))
        tensors.push_back({part_name(name, i), part.codec->layout().type, {part.cols, part.rows}});
      else
        add_pair(part_name(name, i), part, metadata, tensors);
    }
    return;
  }
  const Codec& codec = *matrix.codec;
  const int64_t rows = matrix.rows, cols = matrix.cols;
  metadata.set(std::string(kLayoutKey), kPlanesLayout);
  metadata.set(codec_key(name), std::string(codec.name()));
  metadata.set(shape_key(name), std::vector<int64_t>{rows, cols});
  if (matrix.rotation)
    metadata.set(rotation_key(name), static_cast<int64_t>(matrix.rotation->seed()));
  tensors.push_back(
      {planes_name(name), DType::kI8, {stored_rows(codec, rows) * codec.code_bytes(cols)}});
  if (codec.coef_bytes(cols) > 0)
    tensors.push_back(
        {coef_name(name), DType::kI8, {stored_rows(codec, rows) * codec.coef_bytes(cols)}});
}

Status write_pair(GgufWriter& writer, std::string_view name, const PackedMatrix& matrix) {
  if (matrix.parts) {
    for (size_t i = 0; i < matrix.parts->size(); ++i) {
      const PackedMatrix& part = (*matrix.parts)[i];
      PL_CHECK(is_plain(part) ? writer.write_tensor(part.codes)
                              : write_pair(writer, part_name(name, i), part));
    }
    return {};
  }
  PL_CHECK(check_matrix(matrix, name));
  if (writer.next() != planes_name(name))
    return fail("[gguf] {} given, tensor {} is next", planes_name(name), writer.next());
  PL_CHECK(writer.write_tensor(matrix.codes));
  return matrix.coef.empty() ? Status{} : writer.write_tensor(matrix.coef);
}

}  // namespace planeloom
