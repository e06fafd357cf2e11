// A small client over libcurl: what pulling models needs, with every size and time bounded.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/result.h"

namespace planeloom {

struct HttpOptions {
  std::string bearer_token;  // sent to the URL's own host, never to a host it redirects to
  int attempts = 6;          // failures in a row: dropped connections, time-outs, 429 and 5xx
  int first_delay_ms = 500;  // doubled after each failure, unless the server names a Retry-After
  int longest_delay_ms = 60000;  // no pause is longer
  int connect_seconds = 30;
  int low_speed_seconds = 30;  // an attempt that stays below 1 KiB/s for so long has failed
};

/// What servers said on the way to an answer. Field names are lower case.
struct HttpHeaders {
  int status = 0;                                           // of the last response
  std::vector<std::pair<std::string, std::string>> fields;  // of every response, redirects included
  size_t last_response = 0;                                 // where the last one's fields begin

  /// The last field of that name in any response, or in the last response only; empty: none.
  std::string anywhere(std::string_view name) const;
  std::string last(std::string_view name) const;
};

/// GET into memory, at most `limit` bytes. Errors name the URL and what to do about 401, 403, 404.
Result<std::string> http_get(const std::string& url, const HttpOptions& options, uint64_t limit);

/// Downloads to `part`, going on where an earlier call stopped: `part` grows in place, and
/// `part`.json beside it says which URL, validator (ETag or date) and size it belongs to. A server
/// that ignores ranges, or whose file has changed, starts it afresh. On success `part` is complete
/// and the sidecar gone; after an error or Ctrl-C both stay for the next try.
Result<HttpHeaders> http_download(const std::string& url, const std::filesystem::path& part,
                                  const HttpOptions& options, Progress& progress);

/// A URL as messages may show it: without user name, password and query.
std::string shown_url(std::string_view url);

}  // namespace planeloom
