#include "formats/planes_pair.h"

namespace planeloom {

void add_pair(std::string_view name, const Codec& codec, int64_t rows, int64_t cols,
              Metadata& metadata, std::vector<TensorSpec>& tensors) {
  metadata.set(std::string(kLayoutKey), kPlanesLayout);
  metadata.set(codec_key(name), std::string(codec.name()));
  metadata.set(shape_key(name), std::vector<int64_t>{rows, cols});
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
