#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// One GGUF metadata value. Integers keep their GGUF type (writer round trip); arrays hold one
/// element type.
using MetaValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t,
                               int64_t, float, double, bool, std::string, std::vector<uint8_t>,
                               std::vector<int8_t>, std::vector<uint16_t>, std::vector<int16_t>,
                               std::vector<uint32_t>, std::vector<int32_t>, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<float>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;

/// Key -> value, in file order, with typed look-ups that name the key in their errors.
/// Hugging Face folders are translated to the same keys, so models and tokenizers read one
/// vocabulary of names.
class Metadata {
 public:
  const MetaValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  void set(std::string key, MetaValue value);
  const std::vector<std::pair<std::string, MetaValue>>& entries() const { return entries_; }

  /// Any integer type, range-checked.
  Result<int64_t> integer(std::string_view key) const;
  Result<double> number(std::string_view key) const;  // any float or integer type
  Result<std::string> string(std::string_view key) const;
  int64_t integer_or(std::string_view key, int64_t otherwise) const;
  double number_or(std::string_view key, double otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  /// The array, or null when the key is absent or of another type.
  const std::vector<std::string>* strings(std::string_view key) const;
  const std::vector<float>* floats(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(
      std::string_view key) const;  // any integer array, or bool array

 private:
  std::vector<std::pair<std::string, MetaValue>> entries_;
  std::map<std::string, size_t, std::less<>> index_;
};

}  // namespace planeloom
