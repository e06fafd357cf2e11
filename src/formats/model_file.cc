#include "formats/model_file.h"

#include <cstdint>
#include <limits>

#include "base/file.h"
#include "codecs/gguf_codecs.h"
#include "codecs/rotation.h"
#include "codecs/row_parts.h"
#include "formats/gguf.h"
#include "formats/hf_folder.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

constexpr int64_t kMaxVector = int64_t{1} << 26;

/// The codec of plain tensors; F32 that does not start at a multiple of four (safetensors allow it)
/// has its own.
const Codec* plain_codec(const StoredTensor& tensor) {
  const bool aligned = reinterpret_cast<uintptr_t>(tensor.data.data()) % alignof(float) == 0;
  if (tensor.type == DType::kF32 && !aligned) return unaligned_f32_codec();
  return gguf_codec(tensor.type);
}

/// One half of a pair: a 1-D tensor of bytes.
Result<std::span<const std::byte>> byte_tensor(const ModelFile& file, const std::string& name) {
  const StoredTensor* tensor = file.find(name);
  if (!tensor) return fail("[model] tensor {} is absent", name);
  if (tensor->type != DType::kI8 || tensor->n_dims != 1)
    return fail("[model] tensor {}: {} with {} dimensions, I8 with one wanted", name,
                dtype_info(tensor->type).name, tensor->n_dims);
  return tensor->data;
}

Result<PackedMatrix> read_pair(const ModelFile& file, std::string_view name) {
  PackedMatrix w;
  if (const auto layout = file.metadata().integer_or(kLayoutKey, 1); layout != kPlanesLayout)
    return fail("[model] tensor {}: planes in layout {}, {} wanted; quantize the original again",
                name, layout, kPlanesLayout);
  PL_TRY(const std::string codec, file.metadata().string(codec_key(name)));
  PL_TRY(w.codec, codec_by_name(codec));
  const auto shape = file.metadata().integers(shape_key(name));
  if (!shape || shape->size() != 2)
    return fail("[model] key {}: two integers wanted", shape_key(name));
  w.rows = (*shape)[0];
  w.cols = (*shape)[1];
  PL_TRY(w.codes, byte_tensor(file, planes_name(name)));
  if (file.find(coef_name(name))) {
    PL_TRY(w.coef, byte_tensor(file, coef_name(name)));
  }
  PL_CHECK(check_matrix(w, name));  // first: a rotation takes memory by the width
  if (file.metadata().has(rotation_key(name))) {
    PL_TRY(const int64_t seed, file.metadata().integer(rotation_key(name)));
    if (seed < 0 || seed > std::numeric_limits<uint32_t>::max())
      return fail("[model] key {}: {}, 32 bits wanted", rotation_key(name), seed);
    PL_TRY(w.rotation, Rotation::make(w.cols, static_cast<uint32_t>(seed)));
  }
  return w;
}

Result<PackedMatrix> read_plain(const StoredTensor& tensor) {
  PackedMatrix w;
  w.codec = plain_codec(tensor);
  if (!w.codec)
    return fail("[model] tensor {}: {} holds no weights", tensor.name,
                dtype_info(tensor.type).name);
  if (tensor.n_dims < 2 || tensor.dims[2] != 1 || tensor.dims[3] != 1)
    return fail("[model] tensor {}: {} dimensions, a matrix wanted", tensor.name, tensor.n_dims);
  w.cols = tensor.dims[0];
  w.rows = tensor.dims[1];
  w.codes = tensor.data;
  PL_CHECK(check_matrix(w, tensor.name));
  return w;
}

/// A matrix that is not in parts.
Result<PackedMatrix> read_whole(const ModelFile& file, std::string_view name) {
  if (file.metadata().has(codec_key(name))) return read_pair(file, name);
  if (const StoredTensor* tensor = file.find(name)) return read_plain(*tensor);
  return fail("[model] tensor {} is absent", name);
}

Result<PackedMatrix> read_parts(const ModelFile& file, std::string_view name) {
  PL_TRY(const int64_t count, file.metadata().integer(parts_key(name)));
  if (count < 1 || count > kMostParts)
    return fail("[model] key {}: {} parts, 1 to {} wanted", parts_key(name), count, kMostParts);
  std::vector<PackedMatrix> parts(static_cast<size_t>(count));
  for (size_t i = 0; i < parts.size(); ++i) {
    PL_TRY(parts[i], read_whole(file, part_name(name, i)));
  }
  return join_rows(std::move(parts));
}

}  // namespace

Result<std::shared_ptr<const ModelFile>> ModelFile::open(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_hf_folder(path);
  std::byte magic[4] = {};
  {
    PL_TRY(const MappedFile file, MappedFile::open(path));
    if (file.bytes().size() >= sizeof(magic))
      std::memcpy(magic, file.bytes().data(), sizeof(magic));
  }
  if (std::memcmp(magic, &kGgufMagic, sizeof(magic)) == 0) return open_gguf(path);
  return fail("[model] {}: neither a GGUF file nor a folder with config.json and safetensors",
              path.string());
}

const StoredTensor* ModelFile::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

bool ModelFile::has_matrix(std::string_view name) const {
  return metadata_.has(codec_key(name)) || metadata_.has(parts_key(name)) || find(name) != nullptr;
}

Result<PackedMatrix> ModelFile::matrix(std::string_view name) const {
  return metadata_.has(parts_key(name)) ? read_parts(*this, name) : read_whole(*this, name);
}

Result<std::vector<float>> ModelFile::vector(std::string_view name) const {
  const StoredTensor* tensor = find(name);
  if (!tensor) return fail("[model] tensor {} is absent", name);
  PackedMatrix w;
  w.codec = plain_codec(*tensor);
  if (!w.codec)
    return fail("[model] tensor {}: {} holds no weights", name, dtype_info(tensor->type).name);
  w.cols = tensor->dims[0];
  w.rows = 1;
  for (int d = 1; d < 4; ++d)
    if (__builtin_mul_overflow(w.rows, tensor->dims[static_cast<size_t>(d)], &w.rows))
      w.rows = kMaxVector + 1;
  if (w.cols > kMaxVector || w.rows > kMaxVector / w.cols)
    return fail("[model] tensor {}: more than {} values", name, kMaxVector);
  w.codes = tensor->data;
  PL_CHECK(check_matrix(w, name));
  std::vector<float> values(static_cast<size_t>(w.rows * w.cols));
  for (int64_t r = 0; r < w.rows; ++r) w.codec->decode_row(w, r, values.data() + r * w.cols);
  return values;
}

}  // namespace planeloom
