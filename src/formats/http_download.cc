// Resumable downloads (RFC 9110: Range, If-Range, Content-Range).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "formats/bounded_json.h"
#include "formats/http_transfer.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;

/// What the bytes of a partial file belong to.
struct Sidecar {
  std::string url;
  std::string validator;  // a strong ETag or a date: without one, ranges would mix two versions
  uint64_t size = 0;      // of the whole file; 0: unknown
};

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "bytes 5-9/10" or "bytes */10".
struct ContentRange {
  std::optional<uint64_t> first, size;
};
ContentRange parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  const size_t slash = text.find('/');
  if (text.substr(0, kUnit.size()) != kUnit || slash == std::string_view::npos) return {};
  const std::string_view range = text.substr(kUnit.size(), slash - kUnit.size());
  return {number(range.substr(0, range.find('-'))), number(text.substr(slash + 1))};
}

class Download {
 public:
  Download(const std::string& url, fs::path part, Progress& progress)
      : part_(std::move(part)), sidecar_path_(part_.string() + ".json"), progress_(progress) {
    known_.url = url;
  }
  ~Download() {
    if (fd_ >= 0) ::close(fd_);
  }
  Download(const Download&) = delete;
  Download& operator=(const Download&) = delete;

  Status open();
  void prepare(Attempt& attempt);
  /// After the last answer: true when the file is whole, false when it must be asked for anew.
  Result<bool> finish(const HttpHeaders& headers);

 private:
  Sink receive(const HttpHeaders& headers, std::string_view bytes, std::string& problem);
  Sink begin(const HttpHeaders& headers, std::string& problem);
  Status start_over();
  Status save_sidecar();
  void load_sidecar();

  fs::path part_, sidecar_path_;
  Progress& progress_;
  Sidecar known_;
  int fd_ = -1;
  uint64_t have_ = 0;
  bool ranged_ = false;  // this attempt asked for what follows `have_`
  bool begun_ = false;   // this attempt's first bytes have been looked at
};

Status Download::open() {
  fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat info{};
  if (fd_ < 0 || fstat(fd_, &info) != 0)
    return fail("[http] {}: {}", part_.string(), std::strerror(errno));
  have_ = static_cast<uint64_t>(info.st_size);
  load_sidecar();
  return known_.validator.empty() ? start_over() : Status();
}

void Download::load_sidecar() {
  const auto text = read_file(sidecar_path_, 65536);
  if (!text) return;
  const auto json = parse_bounded_json(*text, "sidecar");
  if (!json || !json->is_object()) return;
  const auto url = json->find("url"), validator = json->find("validator"),
             size = json->find("size");
  const auto none = json->end();
  if (url == none || validator == none || size == none || *url != known_.url) return;
  if (!validator->is_string() || !size->is_number_unsigned()) return;
  known_.validator = validator->get<std::string>();
  known_.size = size->get<uint64_t>();
}

Status Download::save_sidecar() {
  const nlohmann::json json{
      {"url", known_.url}, {"validator", known_.validator}, {"size", known_.size}};
  return write_file_atomically(sidecar_path_,
                               json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

Status Download::start_over() {
  have_ = 0;
  known_.validator.clear();
  known_.size = 0;
  if (ftruncate(fd_, 0) != 0) return fail("[http] {}: {}", part_.string(), std::strerror(errno));
  return {};
}

void Download::prepare(Attempt& attempt) {
  begun_ = false;
  attempt.receive = [this, &attempt](const HttpHeaders& headers, std::string_view bytes) {
    const Sink next = receive(headers, bytes, attempt.problem);
    attempt.reached = have_;
    return next;
  };
  ranged_ = have_ > 0 && !known_.validator.empty();
  if (!ranged_) return;
  attempt.request_headers = {fmt::format("Range: bytes={}-", have_),
                             "If-Range: " + known_.validator};
}

/// The first look at an answer: does it continue what is here, or begin again?
Sink Download::begin(const HttpHeaders& headers, std::string& problem) {
  begun_ = true;
  if (headers.status == 206) {
    const ContentRange range = parse_content_range(headers.last("content-range"));
    const bool fits =
        ranged_ && range.first == have_ && (known_.size == 0 || range.size == known_.size);
    if (fits) return Sink::kGoOn;
    problem = "the server sent another range than the one asked for";
    return start_over() ? Sink::kRetry : Sink::kStop;
  }
  if (const Status fresh = start_over(); !fresh) {
    problem = fresh.error().message;
    return Sink::kStop;
  }
  known_.size = number(headers.last("content-length")).value_or(0);
  known_.validator = headers.last("etag");
  // A weak tag ("W/...") does not promise the same bytes.
  if (known_.validator.substr(0, 2) == "W/") known_.validator.clear();
  if (known_.validator.empty()) known_.validator = headers.last("last-modified");
  if (const Status saved = save_sidecar(); !saved) {
    problem = saved.error().message;
    return Sink::kStop;
  }
  return Sink::kGoOn;
}

Sink Download::receive(const HttpHeaders& headers, std::string_view bytes, std::string& problem) {
  if (!begun_)
    if (const Sink first = begin(headers, problem); first != Sink::kGoOn) return first;
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      problem = fmt::format("cannot write {}: {}", part_.string(), std::strerror(errno));
      return Sink::kStop;
    }
    have_ += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  progress_.update("download", have_, known_.size);
  return Sink::kGoOn;
}

Result<bool> Download::finish(const HttpHeaders& headers) {
  if (headers.status == 416) {  // nothing is left to send, or the part is longer than the file
    if (parse_content_range(headers.last("content-range")).size != have_) {
      PL_CHECK(start_over());
      return false;
    }
  } else if (!begun_) {  // an answer without a body
    std::string problem;
    if (begin(headers, problem) != Sink::kGoOn) return fail("[http] {}", problem);
  }
  if (known_.size != 0 && known_.size != have_)
    return fail("[http] {}: {} bytes came, wanted {}", shown_url(known_.url), have_, known_.size);
  if (fsync(fd_) != 0) return fail("[http] {}: {}", part_.string(), std::strerror(errno));
  std::error_code error;
  fs::remove(sidecar_path_, error);
  return true;
}

}  // namespace

Result<HttpHeaders> http_download(const std::string& url, const fs::path& part,
                                  const HttpOptions& options, Progress& progress) {
  Download download(url, part, progress);
  PL_CHECK(download.open());
  for (int round = 0; round < 3; ++round) {
    PL_TRY(HttpHeaders headers, http_perform(url, options, [&](Attempt& attempt) -> Status {
             download.prepare(attempt);
             return {};
           }));
    PL_TRY(const bool whole, download.finish(headers));
    if (whole) return headers;
  }
  return fail("[http] {}: the server's answers to ranges contradict each other", shown_url(url));
}

}  // namespace planeloom
