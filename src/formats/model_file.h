#pragma once
#include <array>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codecs/codec.h"
#include "formats/metadata.h"
#include "tensor/dtype.h"

namespace planeloom {

/// One stored tensor. dims[0] is the fastest (a row's length), as in GGUF; unused dims are 1.
struct StoredTensor {
  std::string name;
  DType type = DType::kF32;
  int n_dims = 1;
  std::array<int64_t, 4> dims{1, 1, 1, 1};
  std::span<const std::byte> data;  // borrowed from the mapped file
};

/// A model on disk, GGUF or Hugging Face folder, seen as GGUF-style metadata and GGUF-style tensor
/// names. Opening checks every size, count, offset and string; data stay in the mapped file,
/// nothing is copied.
class ModelFile {
 public:
  virtual ~ModelFile() = default;
  /// A .gguf file (or first shard), or a folder with config.json and safetensors. Decided by
  /// content, not by name.
  static Result<std::shared_ptr<const ModelFile>> open(const std::filesystem::path& path);

  const Metadata& metadata() const { return metadata_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;

  /// The weight matrix called `name` ("blk.0.attn_q.weight"): an ordinary 2-D tensor, or a
  /// Planeloom pair NAME.planes + NAME.coef whose codec and shape stand in metadata
  /// "planeloom.codec.NAME" = "<codec name>" and "planeloom.shape.NAME" = int64[2] {rows, cols}; or
  /// rows in "planeloom.parts.NAME" = int64 parts, each a matrix NAME.0, NAME.1 ... in one of these
  /// forms. A checked error when it is absent or malformed.
  Result<PackedMatrix> matrix(std::string_view name) const;
  bool has_matrix(std::string_view name) const;
  /// A tensor decoded to floats (norm gains, biases), refused above 2^26 elements.
  Result<std::vector<float>> vector(std::string_view name) const;
  /// Bytes on disk of the whole model.
  uint64_t file_bytes() const { return file_bytes_; }

 protected:
  Metadata metadata_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  uint64_t file_bytes_ = 0;
};

}  // namespace planeloom
