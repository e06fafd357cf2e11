// Hugging Face tokenizer.json: the BPE models, their splitting rules and normalizers, and the added
// tokens.
#include <nlohmann/json.hpp>

#include "text/tokenizer_builder.h"

namespace planeloom {
namespace {

using nlohmann::json;

const json* member(const json& node, const char* key) {
  if (!node.is_object()) return nullptr;
  const auto it = node.find(key);
  return it == node.end() || it->is_null() ? nullptr : &*it;
}

std::string text_of(const json& node, const char* key, std::string otherwise = {}) {
  const json* value = member(node, key);
  return value && value->is_string() ? value->get<std::string>() : std::move(otherwise);
}

bool flag(const json& node, const char* key, bool otherwise) {
  const json* value = member(node, key);
  return value && value->is_boolean() ? value->get<bool>() : otherwise;
}

constexpr const char* kGpt2Rule =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

Status TokenizerBuilder::from_json(const std::string& text, Tokenizer& t) {
  if (text.size() > (size_t{256} << 20))
    return fail("[tokenizer.json] {} bytes, at most 256 MiB wanted", text.size());
  int depth = 0;
  bool too_deep = false;
  const json root = json::parse(
      text,
      [&](int d, json::parse_event_t, json&) {
        depth = d;
        if (d > 64) too_deep = true;
        return !too_deep;
      },
      false);
  if (root.is_discarded() || too_deep || !root.is_object())
    return fail("[tokenizer.json] not valid JSON");
  const json* model = member(root, "model");
  if (!model) return fail("[tokenizer.json] no model");
  const std::string type = text_of(*model, "type", member(*model, "merges") ? "BPE" : "?");
  if (type != "BPE")
    return fail("[tokenizer.json] model type '{}' is not supported; supported: BPE", type);
  PL_CHECK(json_vocab(root, t));
  PL_CHECK(json_merges(*model, t));
  std::vector<std::string> patterns;
  bool byte_level = false, marks_spaces = false;
  if (const json* node = member(root, "pre_tokenizer"))
    PL_CHECK(json_pretokenizer(*node, patterns, byte_level));
  if (const json* node = member(root, "normalizer"))
    PL_CHECK(json_normalizer(*node, t, marks_spaces));
  t.ignore_merges_ = flag(*model, "ignore_merges", false);
  if (byte_level) {
    t.kind_ = Tokenizer::Kind::kByteLevel;
    PL_TRY(t.pretokenizer_, PreTokenizer::from_patterns(patterns));
  } else if (marks_spaces) {
    t.kind_ = Tokenizer::Kind::kSentencePiece;
  } else {
    return fail(
        "[tokenizer.json] neither a ByteLevel pre-tokenizer nor a normalizer that marks spaces");
  }
  if (const json* node = member(root, "post_processor")) json_post_processor(*node, t);
  return {};
}

Status TokenizerBuilder::json_vocab(const json& root, Tokenizer& t) {
  const json* vocab = member(root["model"], "vocab");
  if (!vocab || !vocab->is_object()) return fail("[tokenizer.json] model.vocab is missing");
  constexpr int64_t kMost = 1 << 24;
  std::vector<std::pair<int64_t, std::string>> tokens;
  for (const auto& [text, id] : vocab->items()) {
    if (!id.is_number_integer()) return fail("[tokenizer.json] token '{}' has no integer id", text);
    tokens.emplace_back(id.get<int64_t>(), text);
  }
  std::vector<std::pair<int64_t, TokenType>> added;
  if (const json* list = member(root, "added_tokens"); list && list->is_array())
    for (const json& a : *list) {
      const json* id = member(a, "id");
      if (!id || !id->is_number_integer())
        return fail("[tokenizer.json] an added token without id");
      tokens.emplace_back(id->get<int64_t>(), text_of(a, "content"));
      added.emplace_back(id->get<int64_t>(),
                         flag(a, "special", false) ? TokenType::kControl : TokenType::kUserDefined);
    }
  int64_t size = 0;
  for (const auto& [id, text] : tokens) {
    if (id < 0 || id >= kMost) return fail("[tokenizer.json] token id {}, wanted 0..2^24", id);
    size = std::max(size, id + 1);
  }
  if (size == 0) return fail("[tokenizer.json] the vocabulary is empty");
  if (size > 4 * static_cast<int64_t>(tokens.size()) + 1024)
    return fail("[tokenizer.json] {} tokens with ids up to {}", tokens.size(), size - 1);
  t.vocab_.text.assign(static_cast<size_t>(size), "");
  t.vocab_.type.assign(static_cast<size_t>(size), TokenType::kUnused);
  const bool fallback = flag(root["model"], "byte_fallback", false);
  for (auto& [id, text] : tokens) {
    const bool byte = fallback && text.size() == 6 && text.starts_with("<0x") && text.back() == '>';
    t.vocab_.type[static_cast<size_t>(id)] = byte ? TokenType::kByte : TokenType::kNormal;
    t.vocab_.text[static_cast<size_t>(id)] = std::move(text);
  }
  for (const auto& [id, type] : added) t.vocab_.type[static_cast<size_t>(id)] = type;
  t.vocab_.index();
  if (const std::string unknown = text_of(root["model"], "unk_token"); !unknown.empty())
    if (const int32_t id = t.vocab_.find(unknown); id >= 0)
      t.vocab_.type[static_cast<size_t>(id)] = TokenType::kUnknown;
  return {};
}

Status TokenizerBuilder::json_merges(const json& model, Tokenizer& t) {
  const json* merges = member(model, "merges");
  if (!merges || !merges->is_array()) return fail("[tokenizer.json] model.merges is missing");
  int32_t rank = 0;
  for (const json& m : *merges) {
    std::string left, right;
    if (m.is_string()) {
      const auto& text = m.get_ref<const std::string&>();
      const size_t space = text.find(' ', 1);
      if (space == std::string::npos)
        return fail("[tokenizer.json] merge {} '{}' is not two tokens", rank, text);
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (m.is_array() && m.size() == 2 && m[0].is_string() && m[1].is_string()) {
      left = m[0].get<std::string>();
      right = m[1].get<std::string>();
    } else {
      return fail("[tokenizer.json] merge {} is neither a string nor a pair", rank);
    }
    PL_CHECK(add_merge(left, right, rank++, t));
  }
  return {};
}

Status TokenizerBuilder::json_pretokenizer(const json& node, std::vector<std::string>& patterns,
                                           bool& byte_level) {
  const std::string type = text_of(node, "type");
  if (type == "Sequence") {
    if (const json* list = member(node, "pretokenizers"); list && list->is_array())
      for (const json& part : *list) PL_CHECK(json_pretokenizer(part, patterns, byte_level));
    return {};
  }
  if (type == "ByteLevel") {
    byte_level = true;
    if (flag(node, "add_prefix_space", false))
      return fail("[tokenizer.json] ByteLevel with add_prefix_space is not supported");
    if (flag(node, "use_regex", true)) patterns.push_back(kGpt2Rule);
    return {};
  }
  if (type == "Digits") {
    patterns.push_back(flag(node, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    return {};
  }
  if (type == "Split") {
    const json* pattern = member(node, "pattern");
    if (!pattern) return fail("[tokenizer.json] Split without a pattern");
    const std::string regex = text_of(*pattern, "Regex");
    // Gemma: Split(" ", MergedWithPrevious) after its normalizer turned every space into a mark: it
    // never matches.
    if (regex.empty() && text_of(*pattern, "String") == " ") return {};
    if (regex.empty()) return fail("[tokenizer.json] Split on a literal string is not supported");
    if (text_of(node, "behavior") != "Isolated" && text_of(node, "behavior") != "Removed")
      return fail("[tokenizer.json] Split behaviour '{}' is not supported; supported: Isolated",
                  text_of(node, "behavior"));
    // "Removed" with "invert" keeps exactly the matches, and the published patterns match
    // everything.
    if (text_of(node, "behavior") == "Removed" && !flag(node, "invert", false))
      return fail("[tokenizer.json] Split that removes its matches is not supported");
    patterns.push_back(regex);
    return {};
  }
  return fail("[tokenizer.json] pre-tokenizer '{}' is not supported", type);
}

Status TokenizerBuilder::json_normalizer(const json& node, Tokenizer& t, bool& marks_spaces) {
  const std::string type = text_of(node, "type");
  if (type == "Sequence") {
    if (const json* list = member(node, "normalizers"); list && list->is_array())
      for (const json& part : *list) PL_CHECK(json_normalizer(part, t, marks_spaces));
    return {};
  }
  if (type == "NFC") {
    t.normalise_nfc_ = true;
    return {};
  }
  if (type == "Prepend" && text_of(node, "prepend") == "\xe2\x96\x81") {
    t.space_prefix_ = true;
    return {};
  }
  if (type == "Replace") {
    const json* pattern = member(node, "pattern");
    if (pattern && text_of(*pattern, "String") == " " &&
        text_of(node, "content") == "\xe2\x96\x81") {
      marks_spaces = true;
      return {};
    }
  }
  return fail("[tokenizer.json] normalizer '{}' is not supported", type);
}

/// TemplateProcessing: special tokens before and after the single sequence "A".
void TokenizerBuilder::json_post_processor(const json& node, Tokenizer& t) {
  if (text_of(node, "type") == "Sequence") {
    if (const json* list = member(node, "processors"); list && list->is_array())
      for (const json& part : *list)
        if (text_of(part, "type") != "Sequence") json_post_processor(part, t);
    return;
  }
  const json* single = member(node, "single");
  if (text_of(node, "type") != "TemplateProcessing" || !single || !single->is_array()) return;
  bool before = true;
  for (const json& step : *single) {
    if (member(step, "Sequence")) before = false;
    const json* special = member(step, "SpecialToken");
    if (!special) continue;
    const int32_t id = t.vocab_.find(text_of(*special, "id"));
    if (id < 0) continue;
    (before ? t.add_bos_ : t.add_eos_) = true;
    (before ? t.bos_ : t.eos_) = id;
  }
}

}  // namespace planeloom
