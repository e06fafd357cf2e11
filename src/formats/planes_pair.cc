#include "formats/planes_pair.h"

#include "codecs/rotation.h"

namespace planeloom {

void add_pair(std::string_view name, const PackedMatrix& matrix, Metadata& metadata,
              std::vector<TensorSpec>& tensors) {
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
  PL_CHECK(check_matrix(matrix, name));
  if (writer.next() != planes_name(name))
    return fail("[gguf] {} given, tensor {} is next", planes_name(name), writer.next());
  PL_CHECK(writer.write_tensor(matrix.codes));
  return matrix.coef.empty() ? Status{} : writer.write_tensor(matrix.coef);
}

}  // namespace planeloom
