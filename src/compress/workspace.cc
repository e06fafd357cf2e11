#include "compress/workspace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>

#include "base/file.h"
#include "base/hash.h"

namespace planeloom {
namespace {

/// A record file: fields of "length, bytes", closed by the FNV-1a of everything before.
struct Record {
  std::string bytes;
  void add(std::span<const std::byte> field) {
    const uint64_t size = field.size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes.append(reinterpret_cast<const char*>(field.data()), field.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add_number(int64_t value) { add(std::as_bytes(std::span(&value, 1))); }
  std::string sealed() const {
    const uint64_t hash = fnv1a(std::as_bytes(std::span(bytes)));
    return bytes + std::string(reinterpret_cast<const char*>(&hash), sizeof hash);
  }
};

/// Reads what Record wrote; `good` turns false at the first thing that does not fit.
struct Reader {
  std::span<const std::byte> bytes;
  size_t at = 0;
  bool good = false;

  explicit Reader(std::span<const std::byte> sealed) {
    uint64_t hash = 0;
    if (sealed.size() < sizeof hash) return;
    bytes = sealed.first(sealed.size() - sizeof hash);
    std::memcpy(&hash, sealed.data() + bytes.size(), sizeof hash);
    good = hash == fnv1a(bytes);
  }
  bool complete() const { return good && at == bytes.size(); }
  std::span<const std::byte> blob() {
    uint64_t size = 0;
    if (!good || bytes.size() - at < sizeof size) return good = false, std::span<const std::byte>();
    std::memcpy(&size, bytes.data() + at, sizeof size);
    at += sizeof size;
    if (bytes.size() - at < size) return good = false, std::span<const std::byte>();
    const auto field = bytes.subspan(at, size);
    at += size;
    return field;
  }
  std::string text() {
    const auto field = blob();
    return {reinterpret_cast<const char*>(field.data()), field.size()};
  }
  int64_t number() {
    const auto field = blob();
    int64_t value = 0;
    if (field.size() != sizeof value) return good = false, 0;
    std::memcpy(&value, field.data(), sizeof value);
    return value;
  }
};

std::string layer_file(int64_t layer) { return fmt::format("layer-{:04}.bin", layer); }
std::string window_file(int64_t w) { return fmt::format("window-{:05}.bin", w); }

constexpr const char* kFingerprint = "fingerprint";

/// Empties a folder, the fingerprint last: as long as anything is in it, so is the sign of a run.
std::error_code empty(const std::filesystem::path& folder) {
  std::error_code error, failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().filename() != kFingerprint) {
      std::filesystem::remove_all(entry.path(), error);
      if (error) failed = error;
    }
  if (!failed) std::filesystem::remove_all(folder / kFingerprint, failed);
  return failed;
}

/// Whether anything stands there that no run has left: one that was killed as it began has not
/// renamed its fingerprint yet.
bool foreign(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error) ||
      std::filesystem::exists(folder / kFingerprint, error))
    return false;
  if (!std::filesystem::is_directory(folder, error)) return true;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().filename() != std::string(kFingerprint) + ".tmp") return true;
  return false;
}

}  // namespace

std::string model_hash(const Model& model) {
  Sha256 hash;
  const auto add = [&hash](const auto& values) {  // with their number: no two lists read alike
    const uint64_t size = values.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(values)));
  };
  for (const auto& [key, value] : model.file->metadata().entries()) {
    add(key);
    add(std::to_string(value.index()));
    std::visit(
        [&add]<class T>(const T& v) {
          if constexpr (std::is_same_v<T, std::vector<std::string>>) {
            add(std::to_string(v.size()));
            for (const std::string& text : v) add(text);
          } else if constexpr (std::is_same_v<T, std::vector<bool>>) {
            add(std::vector<uint8_t>(v.begin(), v.end()));
          } else if constexpr (std::is_arithmetic_v<T>) {
            add(std::array{v});
          } else {
            add(v);
          }
        },
        value);
  }
  for (const StoredTensor& t : model.file->tensors()) {
    add(t.name);
    add(std::to_string(static_cast<int>(t.type)));
    add(t.dims);
    add(t.data);
  }
  return hash.hex();
}

Result<Workspace> Workspace::open(const std::filesystem::path& folder,
                                  const std::string& fingerprint) {
  std::error_code error;
  Workspace workspace(folder);
  if (foreign(folder))
    return fail("[quantize] {} is there and holds no unfinished run; move it away",
                folder.string());
  std::filesystem::create_directories(folder, error);
  if (error) return fail("[quantize] cannot create {}: {}", folder.string(), error.message());
  PL_CHECK(workspace.lock());
  // A linear of its own form takes a line: no limit but that of what is compared with.
  const auto known = read_file(workspace.path(kFingerprint), fingerprint.size());
  if (!known || *known != fingerprint)
    error = empty(folder);  // not the folder itself, which is locked
  if (error)
    return fail("[quantize] {}: cannot remove another run's layers: {}", folder.string(),
                error.message());
  PL_CHECK(write_file_atomically(workspace.path(kFingerprint), fingerprint));
  return workspace;
}

/// The folder itself is locked, as long as this run has it open. Where the file system has no
/// locks, runs go without one.
Status Workspace::lock() {
  const int fd = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail("[quantize] {}: {}", folder_.string(), std::strerror(errno));
  lock_ = std::shared_ptr<const int>(new int(fd), [](const int* held) {
    ::close(*held);
    delete held;
  });
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return fail("[quantize] another process is at work on this output, in {}", folder_.string());
  return {};
}

Status Workspace::save_layer(int64_t layer, const std::vector<Entry>& entries) const {
  Record record;
  record.add_number(static_cast<int64_t>(entries.size()));
  for (const Entry& entry : entries) {
    record.add(entry.name);
    record.add(entry.matrix.codec->name());
    record.add_number(entry.matrix.rows);
    record.add_number(entry.matrix.cols);
    record.add(entry.matrix.codes);
    record.add(entry.matrix.coef);
    record.add(entry.report_json);
  }
  std::error_code error;  // whatever stands there was not a saved layer
  std::filesystem::remove_all(path(layer_file(layer)), error);
  return write_file_atomically(path(layer_file(layer)), record.sealed());
}

std::optional<Workspace::SavedLayer> Workspace::load_layer(int64_t layer) const {
  auto file = MappedFile::open(path(layer_file(layer)));
  if (!file) return std::nullopt;
  Reader reader(file->bytes());
  SavedLayer saved;
  const int64_t count = reader.number();
  for (int64_t i = 0; reader.good && i < count; ++i) {
    SavedLayer::Linear linear;
    linear.name = reader.text();
    const auto codec = codec_by_name(reader.text());
    const int64_t rows = reader.number(), cols = reader.number();
    const auto codes = reader.blob(), coef = reader.blob();
    linear.report_json = reader.text();
    linear.matrix = {codec ? *codec : nullptr, rows, cols, codes, coef};
    if (!reader.good || !codec || !check_matrix(linear.matrix, linear.name)) return std::nullopt;
    saved.linears.push_back(std::move(linear));
  }
  if (!reader.complete()) return std::nullopt;
  saved.file = std::move(*file);
  return saved;
}

Status Workspace::save_window(int64_t w, std::span<const int32_t> tokens) const {
  Record record;
  record.add(std::as_bytes(tokens));
  return write_file_atomically(path(window_file(w)), record.sealed());
}

bool Workspace::load_window(int64_t w, std::span<int32_t> tokens) const {
  const auto file = MappedFile::open(path(window_file(w)));
  if (!file) return false;
  Reader reader(file->bytes());
  const auto raw = reader.blob();
  if (!reader.complete() || raw.size() != tokens.size_bytes()) return false;
  std::memcpy(tokens.data(), raw.data(), raw.size());
  return true;
}

void Workspace::remove_unless_used() const {
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder_, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".bin") return;
  (void)empty(folder_);  // what cannot be removed is the next run's to refuse
  std::filesystem::remove(folder_, error);
}

Status Workspace::remove() const {
  std::error_code error = empty(folder_);
  if (!error) std::filesystem::remove(folder_, error);
  if (error) return fail("[quantize] cannot remove {}: {}", folder_.string(), error.message());
  return {};
}

}  // namespace planeloom
