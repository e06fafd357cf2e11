#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/metadata.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

namespace planeloom {

struct EncodeOptions {
  bool add_special = true;  // BOS and EOS where the model wants them
  bool parse_special =
      true;  // control tokens written in the text become tokens; else they are plain text
};

/// Text to token ids and back. Two kinds: byte-level BPE (GPT-2, SmolLM2, Llama 3, Qwen2) and
/// SentencePiece BPE with byte fallback (Gemma, Llama 2), from GGUF metadata or from a
/// tokenizer.json (formats/hf_folder.h). Input need not be valid UTF-8: every maximal broken part
/// counts as one U+FFFD, as Python's errors="replace" does. Immutable after construction: safe to
/// share between threads.
class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> from_metadata(const Metadata& metadata);

  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  /// Bytes of the ids one after another; control tokens are left out with skip_special. Ids outside
  /// the vocabulary give nothing. The space that SentencePiece puts before a text is not removed
  /// (text/detokenizer.h does).
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;
  /// The bytes that one token stands for: "\n" for <0x0A>, " the" for U+2581 the; the literal text
  /// of a control token.
  std::string token_bytes(int32_t id) const;
  /// The token as the vocabulary spells it.
  const std::string& token_text(int32_t id) const { return vocab_.text[static_cast<size_t>(id)]; }

  int32_t vocab_size() const { return vocab_.size(); }
  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  bool adds_bos() const { return add_bos_; }
  bool adds_space_prefix() const { return space_prefix_; }
  /// Control and unknown tokens: never part of ordinary text.
  bool is_special(int32_t id) const;
  /// EOS, end of turn and their like.
  bool is_end_of_generation(int32_t id) const;
  std::optional<int32_t> find(std::string_view token_text) const;

 private:
  friend struct TokenizerBuilder;
  enum class Kind { kByteLevel, kSentencePiece };
  /// A token that is cut out of the text before anything else.
  struct Special {
    int32_t id = -1;
    bool user_defined = false;  // cut out even when parse_special is off
    size_t length = 0;
  };
  enum class Look { kRawText, kRawTextPlain, kMarkedText };

  void prepare();
  void encode_plain(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;
  void encode_byte_level(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_sentence_piece(std::string_view text, std::vector<int32_t>& ids) const;
  void merge_piece(std::string_view piece, std::vector<int32_t>& ids) const;
  const Special* special_at(std::string_view text, size_t at, Look look) const;
  void emit_bytes(std::string_view bytes, std::vector<int32_t>& ids) const;

  Kind kind_ = Kind::kByteLevel;
  Vocab vocab_;
  PreTokenizer pretokenizer_;
  struct Merge {
    int32_t rank, id;
  };
  std::unordered_map<uint64_t, Merge> merges_;  // (left id << 32 | right id); empty: merge by score
  bool ignore_merges_ = false;                  // a piece that is a token is taken whole
  bool normalise_nfc_ = false;
  bool space_prefix_ = false;  // SentencePiece: text starts with a space
  bool add_bos_ = false, add_eos_ = false;
  std::optional<int32_t> bos_, eos_, unknown_;
  std::vector<int32_t> end_of_generation_;
  int32_t byte_token_[256] =
      {};  // <0x00>.. for SentencePiece, the byte's symbol for byte-level; -1: none
  std::unordered_map<std::string, Special, StringHash, std::equal_to<>> specials_;
  std::vector<size_t> special_lengths_[256];  // by first byte, longest first
};

}  // namespace planeloom
