// GGUF, versions 2 and 3, little endian: header, metadata, tensor infos, aligned data.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/metadata.h"
#include "formats/model_file.h"

namespace planeloom {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF" read as little endian

/// What the front of a GGUF file says; tensor data are spans into the parsed bytes.
struct GgufContents {
  uint32_t version = 0;
  uint64_t alignment = 32;   // general.alignment
  uint64_t data_offset = 0;  // where the tensor data begin
  Metadata metadata;
  std::vector<StoredTensor> tensors;
};

/// Parses a whole GGUF file in memory (usually mapped). Never touches tensor data. Memory stays
/// within a small multiple of the file's front: counts are checked against the bytes that are left
/// before anything is reserved. Refused: version 1, big endian, arrays of arrays, empty dimensions,
/// duplicate names, overlapping tensors. Strings are bytes: only keys and tensor names must be
/// printable.
Result<GgufContents> parse_gguf(std::span<const std::byte> bytes);

/// A mapped GGUF model, or a split one given its first file (NAME-00001-of-0000N.gguf).
Result<std::shared_ptr<const ModelFile>> open_gguf(const std::filesystem::path& path);

/// What the writer must know of a tensor up front. dims[0] is the row length.
struct TensorSpec {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> dims;  // 1 to 4, each positive
  /// Bytes of data, 0 when the dimensions do not describe a tensor.
  uint64_t bytes() const;
};

/// Writes a GGUF v3 file from front to back: the front on create(), then each tensor's data in the
/// order of the specs, each at a multiple of kAlignment. Without commit() no file appears.
class GgufWriter {
 public:
  static constexpr uint64_t kAlignment = 64;

  /// metadata's general.alignment is replaced by kAlignment; split.* keys are dropped.
  static Result<GgufWriter> create(const std::filesystem::path& path, const Metadata& metadata,
                                   std::vector<TensorSpec> tensors);
  /// What create and all tensors would make, in bytes.
  static Result<uint64_t> size_of(const Metadata& metadata, const std::vector<TensorSpec>& tensors);
  /// The next tensor's data, in one or several pieces. An error when they are more than the spec
  /// says.
  Status write(std::span<const std::byte> piece);
  /// The next tensor's data, whole: an error when they are not exactly as long as its spec says.
  Status write_tensor(std::span<const std::byte> data);
  /// The name of the tensor that is written next; empty when all are.
  std::string next() const { return next_ < specs_.size() ? specs_[next_].name : std::string(); }
  /// Flushes and renames; an error when data are missing.
  Status commit();

 private:
  GgufWriter(AtomicFile file, std::vector<TensorSpec> specs)
      : file_(std::move(file)), specs_(std::move(specs)) {}
  Status pad();

  AtomicFile file_;
  std::vector<TensorSpec> specs_;
  size_t next_ = 0;       // the tensor being written
  uint64_t written_ = 0;  // bytes of it so far
};

}  // namespace planeloom
