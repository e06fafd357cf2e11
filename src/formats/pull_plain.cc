// https:, http: and file: sources, and the names that sources have.
#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "base/hash.h"
#include "formats/pull_sources.h"

namespace planeloom {

namespace fs = std::filesystem;

bool is_sha256(std::string_view hex) {
  return hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::string> split_checksum(std::string& source) {
  constexpr std::string_view kMark = "#sha256=";
  const size_t at = source.find(kMark);
  if (at == std::string::npos) {
    const size_t other = source.find('#');
    if (source.starts_with("http") && other != std::string::npos)
      return fail("[pull] '{}': only '#sha256=' and 64 hexadecimal digits may follow an address",
                  source.substr(other));
    return std::string();
  }
  std::string hex = source.substr(at + kMark.size());
  source.resize(at);
  for (char& c : hex) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (!is_sha256(hex)) return fail("[pull] '#sha256={}': wanted 64 hexadecimal digits", hex);
  return hex;
}

bool safe_relative_path(std::string_view name) {
  if (name.empty() || name.size() > 300 || name.front() == '/' || name.back() == '/') return false;
  const auto bad = [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; };
  if (std::any_of(name.begin(), name.end(), bad)) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

std::string cache_name(const std::string& source, const std::string& quant) {
  std::string text = source.substr(0, source.find("#sha256="));
  const bool hub = text.starts_with("hf:"), package = text.starts_with("pypi:");
  text.erase(0, text.find(':') + 1);
  // A file or an address goes by its last part; others may have the same.
  const size_t slash = hub || package ? std::string::npos : text.find_last_of('/');
  if (slash != std::string::npos) text.erase(0, slash + 1);
  text.resize(std::min(text.find('?'), text.size()));
  if (text.ends_with(".gguf")) text.resize(text.size() - 5);
  std::string name;
  int separators = 0;
  for (const char c : text) {
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '=';
    if (plain || (c == '.' && !name.empty()))
      name += c;
    else if (++separators; !name.empty())
      name += "--";
  }
  if (!quant.empty()) name += "--" + quant;
  // hf:OWNER/REPO, hf:OWNER/REPO:FILE and pypi:PACKAGE==VERSION cannot mean two things.
  const bool unique = (hub && separators <= 2 && text.find('@') == std::string::npos) ||
                      (package && separators == 0 && text.find("==") != std::string::npos);
  if (unique && safe_relative_path(name) && name.find('/') == std::string::npos &&
      name.size() < 150)
    return name;
  Sha256 hash;
  const std::string all = source + "\n" + quant;
  hash.update(std::as_bytes(std::span(all)));
  return (name.empty() ? "model" : name.substr(0, 100)) + "-" + hash.hex().substr(0, 8);
}

Result<Fetched> fetch_url(const std::string& address, const fs::path& work,
                          const PullOptions& options, Progress& progress) {
  std::string url = address;
  PL_TRY(const std::string checksum, split_checksum(url));
  const fs::path target = work / "model.gguf";
  PL_CHECK(http_download(url, target, options.http, progress));
  return Fetched{target, checksum, false};
}

Result<Fetched> fetch_file(const std::string& source, const fs::path& work, Progress& progress) {
  std::string path = source.substr(source.find(':') + 1);
  PL_TRY(const std::string checksum, split_checksum(path));
  if (path.starts_with("//")) path.erase(0, 2);  // file:///etc -> /etc
  PL_TRY(const MappedFile from, MappedFile::open(path));
  const fs::path target = work / "model.gguf";
  PL_TRY(AtomicFile out, AtomicFile::create(target));
  constexpr size_t kStep = size_t{8} << 20;
  for (size_t at = 0; at < from.bytes().size(); at += kStep) {
    if (interrupted()) return fail("[pull] interrupted");
    const auto piece = from.bytes().subspan(at, std::min(kStep, from.bytes().size() - at));
    PL_CHECK(out.write(piece));
    progress.update("copy", at + piece.size(), from.bytes().size());
  }
  PL_CHECK(out.commit());
  return Fetched{target, checksum, false};
}

}  // namespace planeloom
