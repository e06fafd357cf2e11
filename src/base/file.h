#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace planeloom {

/// A file mapped read-only; the bytes stay valid while the object lives.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Whether a file may be written (and replaced) there: the folder exists and takes files, and what
/// has the name, if anything, is an ordinary file. To be asked before hours of work.
Status check_output(const std::filesystem::path& path);

/// Writes to "NAME.tmp" beside the target and renames on commit(); without commit nothing remains.
/// A killed process leaves its "NAME.tmp" to the next writer, which takes it over; a living one
/// keeps it locked, and a second writer is refused. A symbolic link stays: its target is replaced.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::filesystem::path& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text);
  uint64_t offset() const { return offset_; }
  /// Flushes to disk and renames to the final name.
  Status commit();

 private:
  AtomicFile() = default;
  std::filesystem::path final_, temporary_;
  std::FILE* file_ = nullptr;
  uint64_t offset_ = 0;
};

/// The whole file, refused above `limit` bytes.
Result<std::string> read_file(const std::filesystem::path& path,
                              uint64_t limit = uint64_t{1} << 30);
/// What a user names as input: a file, a pipe or a terminal, read to its end.
Result<std::string> read_input(const std::filesystem::path& path,
                               uint64_t limit = uint64_t{1} << 30);
Status write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// $PLANELOOM_CACHE, else $XDG_CACHE_HOME/planeloom, else ~/.cache/planeloom ($HOME, else the
/// user's own home).
std::filesystem::path cache_dir();

}  // namespace planeloom
