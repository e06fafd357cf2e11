#include "formats/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include "formats/http_transfer.h"

namespace planeloom {
namespace {

constexpr long kRedirects = 10;
constexpr size_t kMaxFields = 400, kMaxFieldBytes = 8192;
constexpr int kMaxTries = 50;  // even when every try brings some bytes

using Handle = std::unique_ptr<CURL, void (*)(CURL*)>;
using Lines = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

struct Exchange {
  CURL* handle = nullptr;
  HttpHeaders headers;
  Attempt attempt;
  Sink last = Sink::kGoOn;
};

size_t on_header(char* data, size_t, size_t size, void* user) {
  HttpHeaders& h = static_cast<Exchange*>(user)->headers;
  const std::string_view line(data, size);
  if (line.substr(0, 5) == "HTTP/") h.last_response = h.fields.size();
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || size > kMaxFieldBytes || h.fields.size() >= kMaxFields)
    return size;
  std::string name(line.substr(0, colon)), value(line.substr(colon + 1));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  value.erase(0, value.find_first_not_of(" \t"));
  value.erase(value.find_last_not_of(" \t\r\n") + 1);
  h.fields.emplace_back(std::move(name), std::move(value));
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  Exchange& e = *static_cast<Exchange*>(user);
  long status = 0;
  curl_easy_getinfo(e.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status >= 300) return size;  // an error page
  e.headers.status = static_cast<int>(status);
  e.last = e.attempt.receive(e.headers, {data, size});
  return e.last == Sink::kGoOn ? size : 0;
}

int on_progress(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) { return interrupted(); }

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value && *value ? value : nullptr;
}

void configure(Exchange& e, const std::string& url, const HttpOptions& options) {
  CURL* h = e.handle;
  // A download that began encrypted stays so.
  const bool secure = url.rfind("https:", 0) == 0;
  curl_easy_setopt(h, CURLOPT_URL, url.c_str());
  curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(h, CURLOPT_MAXREDIRS, kRedirects);
  curl_easy_setopt(h, CURLOPT_USERAGENT, "planeloom");
  curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_seconds));
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.low_speed_seconds));
  curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(h, CURLOPT_HEADERDATA, &e);
  curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(h, CURLOPT_WRITEDATA, &e);
  // As the curl program does: a certificate bundle that the user names in the environment.
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE"})
    if (const char* bundle = environment(name)) curl_easy_setopt(h, CURLOPT_CAINFO, bundle);
  if (options.bearer_token.empty()) return;
  curl_easy_setopt(h, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);  // curl keeps it from other hosts
  curl_easy_setopt(h, CURLOPT_XOAUTH2_BEARER, options.bearer_token.c_str());
}

std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  return text.substr(0, 200);
}

std::string describe(const HttpHeaders& headers, bool token) {
  std::string text = fmt::format("status {}", headers.status);
  if (const std::string said = headers.last("x-error-message"); !said.empty())
    text += fmt::format(" ({})", printable(said));
  switch (headers.status) {
    case 401:
    case 403:
      return text + (token ? "; the token in HF_TOKEN may not read it (is the model gated?)"
                           : "; a private or gated model needs HF_TOKEN, a token that may read it");
    case 404:
      return text + "; no such file: check the name";
    case 429:
      return text + "; too many requests: try again later";
    default:
      return text;
  }
}

bool worth_retrying(CURLcode code, int status) {
  switch (code) {
    case CURLE_OK:
      return status == 408 || status == 429 || status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return true;
    default:
      return false;
  }
}

/// Sleeps in slices, so that Ctrl-C is heard.
void back_off(const HttpOptions& options, int failures, const HttpHeaders& headers) {
  int64_t pause = int64_t{options.first_delay_ms} << std::min(failures - 1, 10);
  if (const std::string said = headers.last("retry-after"); !said.empty())
    pause = std::max(pause, int64_t{1000} * std::clamp(std::atoi(said.c_str()), 0, 3600));
  pause = std::min<int64_t>(pause, options.longest_delay_ms);
  for (int64_t slept = 0; slept < pause && !interrupted(); slept += 50)
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<int64_t>(50, pause - slept)));
}

/// Runs one exchange and says why it failed; the empty string when it did not.
Result<std::string> exchange_once(Exchange& e, const std::string& url, const HttpOptions& options,
                                  bool& again) {
  const Handle handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return fail("[http] libcurl does not start");
  e.handle = handle.get();
  configure(e, url, options);
  Lines lines(nullptr, curl_slist_free_all);
  for (const std::string& line : e.attempt.request_headers) {
    curl_slist* longer = curl_slist_append(lines.get(), line.c_str());
    if (!longer) return fail("[http] out of memory");
    (void)lines.release();
    lines.reset(longer);
  }
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, lines.get());
  const CURLcode code = curl_easy_perform(handle.get());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  e.headers.status = static_cast<int>(status);
  if (interrupted()) return fail("[http] interrupted; the same command goes on from here");
  again = e.last == Sink::kGoOn ? worth_retrying(code, e.headers.status) : e.last == Sink::kRetry;
  if (e.last != Sink::kGoOn) return e.attempt.problem;
  if (code != CURLE_OK) return std::string(curl_easy_strerror(code));
  const bool good = (status >= 200 && status < 300) || status == 416;
  return good ? std::string() : describe(e.headers, !options.bearer_token.empty());
}

}  // namespace

Result<HttpHeaders> http_perform(const std::string& url, const HttpOptions& options,
                                 const std::function<Status(Attempt&)>& prepare) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  std::string problem = "no attempt was allowed";
  int failures = 0;
  uint64_t reached = 0;
  for (int tries = 0; failures < options.attempts && tries < kMaxTries; ++tries) {
    if (interrupted()) return fail("[http] interrupted; the same command goes on from here");
    Exchange e;
    PL_CHECK(prepare(e.attempt));
    bool again = false;
    PL_TRY(problem, exchange_once(e, url, options, again));
    if (problem.empty()) return std::move(e.headers);
    if (!again) break;
    // Bytes that are new earn a fresh set of tries; a server without ranges sends the old ones.
    failures = e.attempt.reached > reached ? 1 : failures + 1;
    reached = std::max(reached, e.attempt.reached);
    if (failures < options.attempts) back_off(options, failures, e.headers);
  }
  return fail("[http] {}: {}", shown_url(url), problem);
}

Result<std::string> http_get(const std::string& url, const HttpOptions& options, uint64_t limit) {
  std::string body;
  PL_CHECK(http_perform(url, options, [&](Attempt& attempt) -> Status {
    body.clear();
    attempt.receive = [&](const HttpHeaders&, std::string_view bytes) {
      if (bytes.size() > limit - body.size()) {
        attempt.problem = fmt::format("the answer is longer than {} bytes", limit);
        return Sink::kStop;
      }
      body.append(bytes);
      return Sink::kGoOn;
    };
    return {};
  }));
  return body;
}

std::string HttpHeaders::anywhere(std::string_view name) const {
  for (auto it = fields.rbegin(); it != fields.rend(); ++it)
    if (it->first == name) return it->second;
  return {};
}

std::string HttpHeaders::last(std::string_view name) const {
  for (size_t i = fields.size(); i-- > last_response;)
    if (fields[i].first == name) return fields[i].second;
  return {};
}

std::string shown_url(std::string_view url) {
  std::string text(url.substr(0, std::min(url.find_first_of("?#"), url.size())));
  const size_t begin = text.find("://");
  if (begin == std::string::npos) return text;
  const size_t host_end = std::min(text.find('/', begin + 3), text.size());
  if (const size_t at = text.rfind('@', host_end); at != std::string::npos && at > begin)
    text.erase(begin + 3, at - begin - 2);
  return text;
}

}  // namespace planeloom
