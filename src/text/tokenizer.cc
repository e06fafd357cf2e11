#include "text/tokenizer.h"

#include <algorithm>

#include "text/bpe.h"
#include "text/tokenizer_builder.h"
#include "text/unicode.h"

namespace planeloom {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, SentencePiece's visible space

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0;;) {
    const size_t hit = text.find(from, at);
    out.append(text, at, hit - at);
    if (hit == std::string_view::npos) return out;
    out += to;
    at = hit + from.size();
  }
}

/// Ends of a turn or text that models use without always naming them in the metadata.
constexpr std::string_view kEnds[] = {"<|endoftext|>",   "<|im_end|>", "<|eot_id|>",
                                      "<|end_of_text|>", "<|eom_id|>", "<end_of_turn>",
                                      "<|end|>",         "<eos>",      "</s>",
                                      "<EOT>",           "<|eot|>",    "<｜end▁of▁sentence｜>"};

}  // namespace

bool Tokenizer::is_special(int32_t id) const {
  if (id < 0 || id >= vocab_.size()) return false;
  const TokenType type = vocab_.type[static_cast<size_t>(id)];
  return type == TokenType::kControl || type == TokenType::kUnknown;
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::find(end_of_generation_.begin(), end_of_generation_.end(), id) !=
         end_of_generation_.end();
}

std::optional<int32_t> Tokenizer::find(std::string_view text) const {
  const int32_t id = vocab_.find(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

void Tokenizer::prepare() {
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_token_[b] = kind_ == Kind::kByteLevel ? vocab_.find(byte_level_of({&byte, 1}))
                                               : vocab_.find(fmt::format("<0x{:02X}>", b));
  }
  for (int32_t id = 0; id < vocab_.size(); ++id) {
    const TokenType type = vocab_.type[static_cast<size_t>(id)];
    if (type != TokenType::kControl && type != TokenType::kUserDefined &&
        type != TokenType::kUnknown)
      continue;
    std::string text = vocab_.text[static_cast<size_t>(id)];
    // User-defined tokens are matched after spaces became marks, whichever way the file spells
    // them.
    if (kind_ == Kind::kSentencePiece && type == TokenType::kUserDefined)
      text = replace_all(text, " ", kSpaceMark);
    if (text.empty()) continue;
    auto& lengths = special_lengths_[static_cast<uint8_t>(text[0])];
    if (std::find(lengths.begin(), lengths.end(), text.size()) == lengths.end())
      lengths.push_back(text.size());
    const size_t length = text.size();
    specials_.try_emplace(std::move(text), Special{id, type == TokenType::kUserDefined, length});
  }
  for (auto& lengths : special_lengths_) std::sort(lengths.rbegin(), lengths.rend());
  const auto add_end = [&](int32_t id) {
    if (id >= 0 && !is_end_of_generation(id)) end_of_generation_.push_back(id);
  };
  if (eos_) add_end(*eos_);
  for (std::string_view end : kEnds)
    if (const int32_t id = vocab_.find(end);
        id >= 0 && vocab_.type[static_cast<size_t>(id)] != TokenType::kNormal)
      add_end(id);
}

/// The longest special token at text[at]. SentencePiece's user-defined tokens are found in marked
/// text, all others in raw text.
const Tokenizer::Special* Tokenizer::special_at(std::string_view text, size_t at, Look look) const {
  for (const size_t length : special_lengths_[static_cast<uint8_t>(text[at])]) {
    if (length > text.size() - at) continue;
    const auto it = specials_.find(text.substr(at, length));
    if (it == specials_.end()) continue;
    const bool user = it->second.user_defined, in_marked = user && kind_ == Kind::kSentencePiece;
    if (in_marked != (look == Look::kMarkedText)) continue;
    if (user || look == Look::kRawText) return &it->second;
  }
  return nullptr;
}

std::vector<int32_t> Tokenizer::encode(std::string_view raw, EncodeOptions options) const {
  std::string text = sanitize_utf8(raw);
  std::vector<int32_t> ids;
  if (options.add_special && add_bos_ && bos_) ids.push_back(*bos_);
  size_t begin = 0;
  bool after_special = true;
  const auto flush = [&](size_t end) {
    if (end > begin)
      encode_plain(std::string_view(text).substr(begin, end - begin), after_special, ids);
  };
  for (size_t at = 0; at < text.size();) {
    const Special* special =
        special_at(text, at, options.parse_special ? Look::kRawText : Look::kRawTextPlain);
    if (!special) {
      ++at;
      continue;
    }
    flush(at);
    ids.push_back(special->id);
    at += special->length;
    begin = at;
    after_special = true;
  }
  flush(text.size());
  if (options.add_special && add_eos_ && eos_) ids.push_back(*eos_);
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, bool at_start,
                             std::vector<int32_t>& ids) const {
  const std::string composed = normalise_nfc_ ? nfc(text) : std::string();
  if (normalise_nfc_) text = composed;
  if (kind_ == Kind::kByteLevel) return encode_byte_level(text, ids);
  const std::string marked = (space_prefix_ && at_start ? std::string(kSpaceMark) : std::string()) +
                             replace_all(text, " ", kSpaceMark);
  encode_sentence_piece(marked, ids);
}

void Tokenizer::emit_bytes(std::string_view bytes, std::vector<int32_t>& ids) const {
  for (char c : bytes) {
    const int32_t id = byte_token_[static_cast<uint8_t>(c)];
    if (id >= 0)
      ids.push_back(id);
    else if (unknown_ && (ids.empty() || ids.back() != *unknown_))
      ids.push_back(*unknown_);
  }
}

void Tokenizer::encode_byte_level(std::string_view text, std::vector<int32_t>& ids) const {
  for (const std::string_view piece : pretokenizer_.split(text)) {
    if (ignore_merges_ || piece.size() == 1) {
      if (const int32_t id = vocab_.find(byte_level_of(piece)); id >= 0) {
        ids.push_back(id);
        continue;
      }
    }
    std::vector<BpeSymbol> symbols;
    symbols.reserve(piece.size());
    for (size_t i = 0; i < piece.size();
         ++i) {  // a byte without a token is gone before merging, as in `tokenizers`
      const int32_t id = byte_token_[static_cast<uint8_t>(piece[i])];
      if (id >= 0 || unknown_) symbols.push_back({static_cast<int32_t>(i), 1, id});
    }
    bpe_merge(symbols, [&](const BpeSymbol& a, const BpeSymbol& b) -> BpeMerge {
      if (a.id < 0 || b.id < 0) return {};
      const auto it = merges_.find(static_cast<uint64_t>(static_cast<uint32_t>(a.id)) << 32 |
                                   static_cast<uint32_t>(b.id));
      if (it == merges_.end()) return {};
      return {true, static_cast<double>(it->second.rank), it->second.id};
    });
    for (const BpeSymbol& s : symbols) ids.push_back(s.id >= 0 ? s.id : *unknown_);
  }
}

void Tokenizer::encode_sentence_piece(std::string_view text, std::vector<int32_t>& ids) const {
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    if (const Special* user = special_at(text, at, Look::kMarkedText)) {
      merge_piece(text.substr(begin, at - begin), ids);
      ids.push_back(user->id);
      at += user->length;
      begin = at;
      continue;
    }
    at += static_cast<size_t>(std::max(1, utf8_length(text, at)));
  }
  merge_piece(text.substr(begin), ids);
}

/// SentencePiece's BPE on text without user-defined tokens: by score over the vocabulary, or by
/// listed merges.
void Tokenizer::merge_piece(std::string_view piece, std::vector<int32_t>& ids) const {
  std::vector<BpeSymbol> symbols;
  for (size_t at = 0; at < piece.size();) {
    const auto n = static_cast<size_t>(std::max(1, utf8_length(piece, at)));
    symbols.push_back(
        {static_cast<int32_t>(at), static_cast<int32_t>(n), vocab_.find(piece.substr(at, n))});
    at += n;
  }
  bpe_merge(symbols, [&](const BpeSymbol& a, const BpeSymbol& b) -> BpeMerge {
    if (!merges_.empty()) {
      if (a.id < 0 || b.id < 0) return {};
      const auto it = merges_.find(static_cast<uint64_t>(static_cast<uint32_t>(a.id)) << 32 |
                                   static_cast<uint32_t>(b.id));
      if (it == merges_.end()) return {};
      return {true, static_cast<double>(it->second.rank), it->second.id};
    }
    const auto length = static_cast<size_t>(a.length + b.length);
    if (length > vocab_.longest) return {};
    const int32_t id = vocab_.find(piece.substr(static_cast<size_t>(a.begin), length));
    if (id < 0 || vocab_.type[static_cast<size_t>(id)] == TokenType::kByte) return {};
    return {true,
            vocab_.score.empty() ? static_cast<double>(id)
                                 : -static_cast<double>(vocab_.score[static_cast<size_t>(id)]),
            id};
  });
  for (const BpeSymbol& s : symbols) {
    if (s.id >= 0)
      ids.push_back(s.id);
    else
      emit_bytes(piece.substr(static_cast<size_t>(s.begin), static_cast<size_t>(s.length)), ids);
  }
}

std::string Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_.size()) return {};
  const auto i = static_cast<size_t>(id);
  const std::string& text = vocab_.text[i];
  switch (vocab_.type[i]) {
    case TokenType::kControl:
    case TokenType::kUnknown:
      return text;
    case TokenType::kByte:
      if (text.size() == 6)
        return {static_cast<char>(std::strtol(text.substr(3, 2).c_str(), nullptr, 16))};
      return text;
    case TokenType::kUserDefined:
      return kind_ == Kind::kSentencePiece ? replace_all(text, kSpaceMark, " ") : text;
    default:
      break;
  }
  return kind_ == Kind::kSentencePiece ? replace_all(text, kSpaceMark, " ")
                                       : bytes_of_byte_level(text);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string out;
  for (int32_t id : ids)
    if (!(skip_special && is_special(id))) out += token_bytes(id);
  return out;
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::from_metadata(const Metadata& metadata) {
  return TokenizerBuilder::build(metadata);
}

}  // namespace planeloom
