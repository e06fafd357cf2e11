// Inside http*.cc: one GET with its redirects, tried again until it succeeds or is hopeless.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/http.h"

namespace planeloom {

/// What the receiver of a body wants next.
enum class Sink {
  kGoOn,
  kRetry,  // this answer is of no use, another may be
  kStop,   // hopeless: `Attempt::problem` says why
};

/// One try. Bodies of answers other than 2xx never reach `receive`.
struct Attempt {
  std::vector<std::string> request_headers;
  std::function<Sink(const HttpHeaders& headers, std::string_view bytes)> receive;
  std::string problem;   // set by `receive` together with kRetry or kStop
  uint64_t reached = 0;  // how much of the body is here, those of earlier tries included
};

/// Runs `prepare` and a GET until an answer of 2xx (or 416, which ranges may earn) is complete.
Result<HttpHeaders> http_perform(const std::string& url, const HttpOptions& options,
                                 const std::function<Status(Attempt&)>& prepare);

}  // namespace planeloom
