#include "base/file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace planeloom {

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // Non-blocking, so that a pipe without a writer is refused below instead of waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail("[open] {}: {}", path.string(), std::strerror(errno));
  struct stat info{};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail("[open] {}: not a regular file", path.string());
  }
  MappedFile file;
  file.size_ = static_cast<size_t>(info.st_size);
  if (file.size_ > 0) {
    void* data = mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      ::close(fd);
      return fail("[open] {}: cannot map {} bytes: {}", path.string(), file.size_,
                  std::strerror(errno));
    }
    file.data_ = static_cast<const std::byte*>(data);
  }
  ::close(fd);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<std::byte*>(data_), size_);
}

Status check_output(const std::filesystem::path& path) {
  std::error_code error;
  if (!path.has_filename() || path.filename() == "." || path.filename() == "..")
    return fail("[write] \"{}\": the name of a file wanted", path.string());
  const auto there = std::filesystem::status(path, error);
  if (std::filesystem::is_directory(there)) return fail("[write] {} is a folder", path.string());
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there))
    return fail("[write] {} is no ordinary file", path.string());
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (!std::filesystem::is_directory(folder, error))
    return fail("[write] {}: there is no folder {}", path.string(), folder.string());
  if (access(folder.c_str(), W_OK) != 0)
    return fail("[write] {}: {}", folder.string(), std::strerror(errno));
  return {};
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path) {
  PL_CHECK(check_output(path));
  std::error_code ignored;
  AtomicFile file;
  file.final_ =
      std::filesystem::is_symlink(path, ignored) ? std::filesystem::canonical(path, ignored) : path;
  if (file.final_.empty()) return fail("[write] {} leads nowhere", path.string());
  file.temporary_ = file.final_.string() + ".tmp";
  // Another writer may rename or remove the name between our open() and our lock; then the lock is
  // on a file that has lost the name, and we start again.
  for (struct stat locked{}, named{};;) {
    const int fd = ::open(file.temporary_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return fail("[write] {}: {}", path.string(), std::strerror(errno));
    // Where the file system has no locks, we write without one.
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(fd);
      return fail("[write] {}: another process is writing it now", path.string());
    }
    if (fstat(fd, &locked) == 0 && ::lstat(file.temporary_.c_str(), &named) == 0 &&
        locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
      file.file_ = ftruncate(fd, 0) == 0 ? fdopen(fd, "wb") : nullptr;
      if (file.file_) return file;
      const int error = errno;
      ::close(fd);
      return fail("[write] {}: {}", path.string(), std::strerror(error));
    }
    ::close(fd);
  }
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : final_(std::move(other.final_)),
      temporary_(std::move(other.temporary_)),
      file_(std::exchange(other.file_, nullptr)),
      offset_(other.offset_) {}

AtomicFile::~AtomicFile() {
  if (!file_) return;
  ::unlink(temporary_.c_str());  // before the lock goes: afterwards the name may be another's
  std::fclose(file_);
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
    return fail("[write] {}: {}", final_.string(), std::strerror(errno));
  offset_ += bytes.size();
  return {};
}

Status AtomicFile::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Status AtomicFile::commit() {
  // The lock is held until the name has changed, so that no second writer takes the name over.
  const bool renamed = std::fflush(file_) == 0 && fsync(fileno(file_)) == 0 &&
                       std::rename(temporary_.c_str(), final_.c_str()) == 0;
  const int error = errno;
  if (!renamed) ::unlink(temporary_.c_str());
  std::fclose(std::exchange(file_, nullptr));
  if (!renamed) return fail("[write] {}: {}", final_.string(), std::strerror(error));
  return {};
}

Result<std::string> read_file(const std::filesystem::path& path, uint64_t limit) {
  PL_TRY(const MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > limit)
    return fail("[read] {}: {} bytes, more than the {} allowed", path.string(), file.bytes().size(),
                limit);
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
}

Result<std::string> read_input(const std::filesystem::path& path, uint64_t limit) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return fail("[read] {}: {}", path.string(), std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  size_t n = 0;
  while (text.size() <= limit && (n = std::fread(buffer, 1, sizeof buffer, file)) > 0)
    text.append(buffer, n);
  const int error = std::ferror(file) ? errno : 0;
  std::fclose(file);
  if (error) return fail("[read] {}: {}", path.string(), std::strerror(error));
  if (text.size() > limit)
    return fail("[read] {}: more than the {} bytes allowed", path.string(), limit);
  return text;
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  PL_TRY(AtomicFile file, AtomicFile::create(path));
  PL_CHECK(file.write(text));
  return file.commit();
}

std::filesystem::path cache_dir() {
  if (const char* dir = std::getenv("PLANELOOM_CACHE"); dir && *dir) return dir;
  if (const char* dir = std::getenv("XDG_CACHE_HOME"); dir && *dir)
    return std::filesystem::path(dir) / "planeloom";
  const char* home = std::getenv("HOME");
  if (!home || !*home) {
    const passwd* user = getpwuid(geteuid());
    home = user ? user->pw_dir : "/tmp";
  }
  return std::filesystem::path(home) / ".cache" / "planeloom";
}

}  // namespace planeloom
