#include "formats/zip_member.h"

#include <zip.h>

#include <memory>

namespace planeloom {
namespace {

constexpr zip_int64_t kMaxMembers = 100000;
constexpr uint64_t kBestDeflate = 1032;  // bytes that one compressed byte can stand for

using Archive = std::unique_ptr<zip_t, void (*)(zip_t*)>;
using Member = std::unique_ptr<zip_file_t, int (*)(zip_file_t*)>;

Result<Archive> open_archive(const std::filesystem::path& path) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (zip) return Archive(zip, [](zip_t* z) { zip_discard(z); });
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return fail("[zip] {}: {}", path.filename().string(), text);
}

}  // namespace

Result<std::vector<std::string>> zip_members(const std::filesystem::path& path) {
  PL_TRY(const Archive zip, open_archive(path));
  const zip_int64_t count = zip_get_num_entries(zip.get(), 0);
  if (count < 0 || count > kMaxMembers)
    return fail("[zip] {}: {} members, wanted at most {}", path.filename().string(), count,
                kMaxMembers);
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < count; ++i)
    if (const char* name = zip_get_name(zip.get(), static_cast<zip_uint64_t>(i), 0))
      names.emplace_back(name);
  return names;
}

Status read_zip_member(const std::filesystem::path& path, const std::string& member, uint64_t limit,
                       const std::function<Status(std::span<const std::byte>)>& out,
                       Progress& progress) {
  PL_TRY(const Archive zip, open_archive(path));
  const std::string archive = path.filename().string();
  zip_stat_t info;
  if (zip_stat(zip.get(), member.c_str(), 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
    return fail("[zip] {}: no member '{}'", archive, member);
  std::error_code error;
  const uint64_t archive_bytes = std::filesystem::file_size(path, error);
  if (error || info.size > limit || info.size / kBestDeflate > archive_bytes)
    return fail("[zip] {}: member '{}' claims {} bytes in an archive of {}", archive, member,
                info.size, archive_bytes);
  const Member file(zip_fopen(zip.get(), member.c_str(), 0), zip_fclose);
  if (!file) return fail("[zip] {}: {}: {}", archive, member, zip_strerror(zip.get()));
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (uint64_t done = 0;;) {
    if (interrupted()) return fail("[zip] interrupted");
    const zip_int64_t n = zip_fread(file.get(), buffer.data(), buffer.size());
    if (n < 0) return fail("[zip] {}: {}: {}", archive, member, zip_file_strerror(file.get()));
    done += static_cast<uint64_t>(n);
    if (done > info.size || (n == 0 && done < info.size))
      return fail("[zip] {}: {}: {} bytes, wanted {}", archive, member, done, info.size);
    if (n == 0) return {};
    PL_CHECK(out({buffer.data(), static_cast<size_t>(n)}));
    progress.update("extract", done, info.size);
  }
}

}  // namespace planeloom
