#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "formats/model_file.h"

namespace planeloom {

/// By name. For a size alone codec, shape and rotation are enough.
using ReplacedMatrices = std::map<std::string, const PackedMatrix*>;

/// Writes `file` anew with some matrices replaced by Planeloom pairs; every other tensor and all
/// metadata are copied, `metadata` is set last. Pairs that the file had of these names go.
Status write_quantized(const ModelFile& file, const ReplacedMatrices& matrices,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::filesystem::path& out);

/// Bytes of that file, without `metadata`.
Result<uint64_t> quantized_size(const ModelFile& file, const ReplacedMatrices& matrices);

}  // namespace planeloom
