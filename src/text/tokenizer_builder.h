#pragma once
#include <memory>

#include <nlohmann/json_fwd.hpp>

#include "text/tokenizer.h"

namespace planeloom {

/// Fills a Tokenizer from the two kinds of files; the only friend that may.
struct TokenizerBuilder {
  static Result<std::unique_ptr<Tokenizer>> build(const Metadata& metadata);

 private:
  static Status from_gguf(const Metadata& metadata, Tokenizer& t);
  static Status from_json(const std::string& text, Tokenizer& t);  // tokenizer_json.cc
  static Status json_vocab(const nlohmann::json& root, Tokenizer& t);
  static Status json_merges(const nlohmann::json& model, Tokenizer& t);
  static Status json_pretokenizer(const nlohmann::json& node, std::vector<std::string>& patterns,
                                  bool& byte_level);
  static Status json_normalizer(const nlohmann::json& node, Tokenizer& t, bool& marks_spaces);
  static void json_post_processor(const nlohmann::json& node, Tokenizer& t);
  static Status add_merge(std::string_view left, std::string_view right, int32_t rank,
                          Tokenizer& t);
  static void special_ids(const Metadata& metadata, Tokenizer& t);
};

}  // namespace planeloom
