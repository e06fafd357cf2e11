#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"

namespace planeloom {

/// The names of a zip archive's members (a wheel is a zip). At most 100,000.
Result<std::vector<std::string>> zip_members(const std::filesystem::path& archive);

/// Hands one member's bytes to `out`, piece by piece; nothing is written under a name that the
/// archive chooses. Refused: more than `limit` bytes, a size that deflate cannot reach from the
/// archive's, more or fewer bytes than the archive claims, a wrong CRC.
Status read_zip_member(const std::filesystem::path& archive, const std::string& member,
                       uint64_t limit, const std::function<Status(std::span<const std::byte>)>& out,
                       Progress& progress);

}  // namespace planeloom
