#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/metadata.h"

namespace planeloom {

/// GGUF's token types.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using StringIds = std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>>;

/// Every token's text as stored, score and type, and the way back from text to id (the lowest id
/// wins).
struct Vocab {
  std::vector<std::string> text;
  std::vector<float> score;  // empty where the model has none
  std::vector<TokenType> type;
  StringIds ids;
  size_t longest = 0;  // bytes of the longest token

  int32_t size() const { return static_cast<int32_t>(text.size()); }
  int32_t find(std::string_view token) const {
    const auto it = ids.find(token);
    return it == ids.end() ? -1 : it->second;
  }
  void index();
};

/// tokenizer.ggml.tokens, scores and token_type; every length checked.
Result<Vocab> vocab_from_metadata(const Metadata& metadata);

}  // namespace planeloom
