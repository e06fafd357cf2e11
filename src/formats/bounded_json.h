#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace planeloom {

/// What a JSON text from outside may cost. Memory stays within a small multiple of max_bytes + 64
/// max_values.
struct JsonLimits {
  uint64_t max_bytes = uint64_t{4} << 20;
  uint64_t max_values = uint64_t{1} << 20;
  int max_depth = 32;
};

/// Parses a whole JSON text; refused beyond the limits, when malformed, and when an object repeats
/// a key.
Result<nlohmann::json> parse_bounded_json(std::string_view text, std::string_view what,
                                          const JsonLimits& limits = {});

}  // namespace planeloom
