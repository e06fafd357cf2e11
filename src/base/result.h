// Errors are values: every fallible function returns Result<T>; the library neither prints nor
// exits.
#pragma once
#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace planeloom {

/// What went wrong, in one line: "[operation] what it got, what it wanted".
struct Error {
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// Builds the error branch of any Result: return fail("[gguf] tensor {}: ...", name);
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace planeloom

#define PL_CONCAT_(a, b) a##b
#define PL_CONCAT(a, b) PL_CONCAT_(a, b)

/// PL_TRY(auto x, expr): x = value of expr, or return its error from the enclosing function.
#define PL_TRY(declaration, ...) PL_TRY_(PL_CONCAT(pl_result_, __LINE__), declaration, __VA_ARGS__)
#define PL_TRY_(result, declaration, ...)                                          \
  auto result = (__VA_ARGS__);                                                     \
  if (!result) return tl::unexpected<planeloom::Error>(std::move(result).error()); \
  declaration = std::move(*result)

/// PL_CHECK(expr): return the error of a Status expression from the enclosing function.
#define PL_CHECK(...)                                                        \
  do {                                                                       \
    if (auto pl_status = (__VA_ARGS__); !pl_status)                          \
      return tl::unexpected<planeloom::Error>(std::move(pl_status).error()); \
  } while (false)
