#pragma once
#include <cstddef>
#include <cstdint>

namespace planeloom::jinja {

/// What one template may cost. A template comes from a model file, so it is never trusted.
struct Limits {
  size_t source_bytes = size_t{1} << 19;
  uint64_t steps = 50'000'000;  // nodes evaluated, items visited, 64-byte pieces of text
  size_t memory_bytes = size_t{256} << 20;  // values and buffers alive at one moment
  size_t output_bytes = size_t{32} << 20;   // of any one text, the result included
  int depth = 600;                          // nested evaluation, macro calls included
};

inline constexpr int kMaxExpressionHeight = 200;  // Python's own parser gives up at 200 parentheses
inline constexpr int kMaxStatementDepth = 60;
inline constexpr int kMaxValueDepth =
    100;  // of nested containers: printing and destruction recurse
inline constexpr int64_t kMaxRange = 100'000;  // jinja2.sandbox.MAX_RANGE

}  // namespace planeloom::jinja
