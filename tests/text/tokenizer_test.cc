#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>

#include "base/rng.h"
#include "text/detokenizer.h"
#include "text/unicode.h"

namespace planeloom {
namespace {

using Ids = std::vector<int32_t>;

/// Every byte, a few merges, two control tokens and a user-defined one.
Metadata byte_level() {
  Metadata m;
  std::vector<std::string> tokens{"<|end|>", "<|start|>"};
  for (int b = 0; b < 256; ++b) {
    const char c = static_cast<char>(b);
    tokens.push_back(byte_level_of({&c, 1}));
  }
  for (const char* t : {"he", "ll", "hell", "hello", "\xc4\xa0w", "<think>"})
    tokens.emplace_back(t);  // U+0120 is the space
  std::vector<int32_t> types(tokens.size(), 1);
  types[0] = types[1] = 3;
  types.back() = 4;
  m.set("tokenizer.ggml.model", std::string("gpt2"));
  m.set("tokenizer.ggml.pre", std::string("smollm"));
  m.set("tokenizer.ggml.tokens", tokens);
  m.set("tokenizer.ggml.token_type", types);
  m.set("tokenizer.ggml.merges",
        std::vector<std::string>{"h e", "l l", "he ll", "hell o", "\xc4\xa0 w"});
  m.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{0});
  return m;
}

/// SentencePiece with byte fallback.
Metadata sentence_piece(bool prefix) {
  Metadata m;
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>"};
  std::vector<int32_t> types{2, 3, 3};
  std::vector<float> scores{0, 0, 0};
  const auto add = [&](std::string t, int32_t type, float score) {
    tokens.push_back(std::move(t));
    types.push_back(type);
    scores.push_back(score);
  };
  for (int b = 0; b < 256; ++b) add(fmt::format("<0x{:02X}>", b), 6, 0);
  for (const char* t : {"\xe2\x96\x81", "a", "b", "c"}) add(t, 1, -100);
  add("ab", 1, -1);
  add("bc", 1, -2);
  add("\xe2\x96\x81"
      "a",
      1, -3);
  add("  ", 4, 0);
  m.set("tokenizer.ggml.model", std::string("llama"));
  m.set("tokenizer.ggml.tokens", tokens);
  m.set("tokenizer.ggml.token_type", types);
  m.set("tokenizer.ggml.scores", scores);
  m.set("tokenizer.ggml.bos_token_id", uint32_t{1});
  m.set("tokenizer.ggml.eos_token_id", uint32_t{2});
  m.set("tokenizer.ggml.unknown_token_id", uint32_t{0});
  m.set("tokenizer.ggml.add_space_prefix", prefix);
  return m;
}

std::unique_ptr<Tokenizer> make(const Metadata& m) {
  auto t = Tokenizer::from_metadata(m);
  EXPECT_TRUE(t) << (t ? "" : t.error().message);
  return t ? std::move(*t) : nullptr;
}

std::vector<std::string> texts(const Tokenizer& t, const Ids& ids) {
  std::vector<std::string> out;
  for (int32_t id : ids) out.push_back(t.token_bytes(id));
  return out;
}

constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

TEST(ByteLevel, MergesByRankLeftmostFirst) {
  const auto t = make(byte_level());
  EXPECT_EQ(texts(*t, t->encode("hello wo", kPlain)),
            (std::vector<std::string>{"hello", " w", "o"}));
  EXPECT_EQ(texts(*t, t->encode("lll", kPlain)), (std::vector<std::string>{"ll", "l"}));
  EXPECT_EQ(texts(*t, t->encode("12", kPlain)), (std::vector<std::string>{"1", "2"}));
}

TEST(ByteLevel, SpecialTokensAreParsedOnlyWhenAsked) {
  const auto t = make(byte_level());
  EXPECT_EQ(t->encode("<|start|>hello<|end|>", {false, true}), (Ids{1, 261, 0}));
  EXPECT_GT(t->encode("<|start|>", kPlain).size(), 1u);
  EXPECT_EQ(t->encode("<think>", kPlain), (Ids{263}));  // user-defined: always
  EXPECT_TRUE(t->is_end_of_generation(0));
  EXPECT_FALSE(t->is_end_of_generation(1));
  EXPECT_EQ(t->decode(Ids{1, 261, 0}, true), "hello");
  EXPECT_EQ(t->decode(Ids{1, 261, 0}, false), "<|start|>hello<|end|>");
}

TEST(ByteLevel, BrokenUtf8BecomesReplacementCharacters) {
  const auto t = make(byte_level());
  EXPECT_EQ(t->decode(t->encode("a\xff"
                                "b\xe2\x82",
                                kPlain)),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
}

RC_GTEST_PROP(ByteLevel, DecodeOfEncodeIsTheSanitizedText, (const std::string& text)) {
  static const auto t = make(byte_level());
  RC_ASSERT(t->decode(t->encode(text, kPlain)) == sanitize_utf8(text));
}

TEST(ByteLevel, LongRunsAreNotQuadratic) {
  const auto t = make(byte_level());
  const auto start = std::chrono::steady_clock::now();
  for (const char* unit : {"l", " ", "<", "\n", "\xe4\xbd\xa0", "1"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_FALSE(t->encode(text, kPlain).empty());
  }
  // 6 MB; a quadratic step would take hours. The bound only tells the two apart.
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 120.0);
}

TEST(SentencePiece, MergesByScoreAndFallsBackToBytes) {
  const auto t = make(sentence_piece(false));
  EXPECT_EQ(texts(*t, t->encode("abc", kPlain)), (std::vector<std::string>{"ab", "c"}));
  EXPECT_EQ(texts(*t, t->encode(" a", kPlain)), (std::vector<std::string>{" a"}));
  EXPECT_EQ(texts(*t, t->encode("\xc3\xa9", kPlain)), (std::vector<std::string>{"\xc3", "\xa9"}));
  EXPECT_EQ(texts(*t, t->encode("a  b", kPlain)),
            (std::vector<std::string>{"a", "  ", "b"}));  // user-defined run
  EXPECT_EQ(t->encode("a")[0], 1);                        // BOS
}

TEST(SentencePiece, SpacePrefixComesAndGoes) {
  const auto t = make(sentence_piece(true));
  const Ids ids = t->encode("ab", kPlain);
  EXPECT_EQ(t->decode(ids), " ab");
  Detokenizer stream(*t);
  std::string out;
  for (int32_t id : ids) out += stream.push(id);
  EXPECT_EQ(out + stream.flush(), "ab");
}

TEST(Detokenizer, NeverEmitsHalfACharacter) {
  const auto t = make(byte_level());
  const std::string text = "a\xf0\x9f\x98\x80\xc3\xa9z";
  Detokenizer stream(*t);
  std::string all;
  for (char c : text) {
    const std::string piece = stream.push(t->encode(std::string(1, c), kPlain).size() == 1 &&
                                                  static_cast<uint8_t>(c) < 128
                                              ? t->encode(std::string(1, c), kPlain)[0]
                                              : 2 + static_cast<uint8_t>(c));
    for (size_t at = 0; at < piece.size(); at += static_cast<size_t>(utf8_length(piece, at)))
      ASSERT_GT(utf8_length(piece, at), 0);
    all += piece;
  }
  EXPECT_EQ(all + stream.flush(), text);
  stream.push(2 + 0xe2);
  EXPECT_EQ(stream.flush(), kReplacement);
  EXPECT_EQ(stream.push(2 + 0x80), kReplacement);
}

TEST(Unicode, BrokenPartsAsTheStandardCountsThem) {
  EXPECT_EQ(sanitize_utf8("\xe2\x82"), kReplacement);
  EXPECT_EQ(sanitize_utf8("\xf0\x80\x80"),
            std::string(kReplacement) + std::string(kReplacement) + std::string(kReplacement));
  EXPECT_EQ(sanitize_utf8("\xed\xa0\x80").size(), 9u);  // a surrogate: three parts
  EXPECT_EQ(sanitize_utf8("\xc0\xaf").size(), 6u);      // overlong
  EXPECT_EQ(nfc("e\xcc\x81"), "\xc3\xa9");
}

TEST(TokenizerErrors, SayWhatIsWrong) {
  const auto message = [](const char* key, MetaValue value) {
    Metadata m = byte_level();
    m.set(key, std::move(value));
    const auto t = Tokenizer::from_metadata(m);
    return t ? std::string("accepted") : t.error().message;
  };
  EXPECT_NE(message("tokenizer.ggml.model", std::string("bert")).find("bert"), std::string::npos);
  EXPECT_NE(message("tokenizer.ggml.pre", std::string("odd")).find("odd"), std::string::npos);
  EXPECT_NE(message("tokenizer.ggml.merges", std::vector<std::string>{"ab"}).find("merge 0"),
            std::string::npos);
  EXPECT_NE(message("tokenizer.ggml.token_type", std::vector<int32_t>{1}).find("types"),
            std::string::npos);
  EXPECT_NE(message("tokenizer.ggml.tokens", std::vector<std::string>{}).find("empty"),
            std::string::npos);
}

/// A tokenizer.json as Hugging Face writes them, small.
constexpr const char* kJson = R"({"added_tokens":[{"id":5,"content":"<s>","special":true}],
 "normalizer":{"type":"NFC"},
 "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{N}|\\p{L}+|\\s+"},"behavior":"Isolated"},
   {"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]},
 "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}]},
 "model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"1":3,"\u0120":4},"merges":[["a","b"]]}})";

TEST(TokenizerJson, ReadsModelRulesAndTemplate) {
  Metadata m;
  m.set("planeloom.tokenizer_json", std::string(kJson));
  const auto t = make(m);
  EXPECT_EQ(t->encode("ab1 a"), (Ids{5, 2, 3, 4, 0}));
  EXPECT_EQ(t->bos(), 5);
}

TEST(TokenizerJson, RefusesWhatItCannotDo) {
  const auto error = [](std::string json) {
    Metadata m;
    m.set("planeloom.tokenizer_json", std::move(json));
    const auto t = Tokenizer::from_metadata(m);
    return t ? std::string("accepted") : t.error().message;
  };
  EXPECT_NE(error("{").find("JSON"), std::string::npos);
  EXPECT_NE(error(std::string(1000, '[')).find("JSON"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"Unigram"}})").find("Unigram"), std::string::npos);
  EXPECT_NE(
      error(R"({"model":{"type":"BPE","vocab":{"a":99999999},"merges":[]}})").find("99999999"),
      std::string::npos);
  EXPECT_NE(
      error(
          R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Odd"}})")
          .find("Odd"),
      std::string::npos);
}

}  // namespace
}  // namespace planeloom
