#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "formats/model_file.h"

namespace planeloom {

/// Writes `file` anew with some matrices replaced by Planeloom pairs; every other tensor and all
/// metadata are copied, `metadata` is set last. Pairs that the file had of these names go.
Status write_quantized(const ModelFile& file,
                       const std::map<std::string, const PackedMatrix*>& matrices,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::filesystem::path& out);

}  // namespace planeloom
