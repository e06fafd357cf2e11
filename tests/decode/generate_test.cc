#include "decode/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hash.h"
#include "decode/tiny_text.h"

namespace planeloom {
namespace {

/// A loaded tiny model, its tokenizer, and what one generation needs.
class GenerateTest : public ::testing::Test {
 protected:
  void SetUp() override { load(tiny_text_options()); }

  void load(const TinyOptions& options) {
    auto model = load_model(make_tiny_model(options));
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
    auto tokenizer = Tokenizer::from_metadata(model_.file->metadata());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = std::move(*tokenizer);
  }

  std::unique_ptr<Session> session(int64_t context = 128) {
    SessionOptions options;
    options.context = context;
    return std::move(
        *Session::create(model_, Compute{&pool_, &kernels_for(Isa::kScalar)}, options));
  }

  static GenerateOptions greedy(int64_t max_tokens) {
    GenerateOptions options;
    options.sampler.temperature = 0;
    options.max_tokens = max_tokens;
    return options;
  }

  struct Outcome {
    GenerationStats stats;
    std::string text;
  };
  Outcome run(Session& session, const std::string& prompt, const GenerateOptions& options) {
    Outcome out;
    const auto receive = [&](std::string_view piece) {
      out.text += piece;
      return true;
    };
    auto stats = generate(session, *tokenizer_, tokenizer_->encode(prompt), options, receive);
    EXPECT_TRUE(stats) << (stats ? "" : stats.error().message);
    if (stats) out.stats = std::move(*stats);
    return out;
  }
  Outcome run(const std::string& prompt, const GenerateOptions& options) {
    return run(*session(), prompt, options);
  }

  ThreadPool pool_{2};
  Model model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(GenerateTest, GreedyIsTheArgmaxOfEachPass) {
  const auto prompt = tokenizer_->encode("Hello");
  auto by_hand = session();
  std::vector<int32_t> expected;
  std::span<const float> row = by_hand->decode(prompt).value();
  std::string hash;
  while (expected.size() < 20) {
    const auto best = static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
    hash = fmt::format("{:016x}", fnv1a(std::as_bytes(row)));
    expected.push_back(best);
    row = by_hand->decode(std::span(&best, 1)).value();
  }
  GenerateOptions options = greedy(20);
  options.ignore_end = true;
  const Outcome out = run("Hello", options);
  EXPECT_EQ(out.stats.tokens, expected);
  EXPECT_EQ(out.text, tokenizer_->decode(expected, true));
  EXPECT_EQ(out.stats.logits_hash, hash);
  EXPECT_EQ(out.stats.finish, FinishReason::kLength);
  EXPECT_EQ(out.stats.prompt_tokens, 6);  // with BOS
  EXPECT_GT(out.stats.prefill_tokens_per_second, 0);
  EXPECT_GT(out.stats.decode_tokens_per_second, 0);
  EXPECT_DOUBLE_EQ(
      out.stats.read_gb_per_second,
      out.stats.decode_tokens_per_second * static_cast<double>(bytes_per_token(model_)) / 1e9);
}

TEST_F(GenerateTest, SameBitsForEveryIsaAndThreadCount) {
  GenerateOptions options;
  options.max_tokens = 24;
  options.sampler.seed = 7;
  const Outcome first = run("abc", options);
  for (const Isa isa : supported_isas()) {
    ThreadPool pool(isa == Isa::kScalar ? 3 : 1);
    auto made = Session::create(model_, Compute{&pool, &kernels_for(isa)}, SessionOptions{});
    ASSERT_TRUE(made);
    const Outcome other = run(**made, "abc", options);
    EXPECT_EQ(other.text, first.text) << isa_name(isa);
    EXPECT_EQ(other.stats.logits_hash, first.stats.logits_hash) << isa_name(isa);
  }
}

TEST_F(GenerateTest, NoTokensWanted) {
  const Outcome out = run("Hello", greedy(0));
  EXPECT_EQ(out.text, "");
  EXPECT_TRUE(out.stats.tokens.empty());
  EXPECT_EQ(out.stats.finish, FinishReason::kLength);
  EXPECT_EQ(out.stats.logits_hash.size(), 16u);
}

TEST_F(GenerateTest, StopStringsEndTheText) {
  const std::string full = run("Hello", greedy(20)).text;
  ASSERT_GT(full.size(), 8u);
  GenerateOptions options = greedy(20);
  options.stops = {full.substr(4, 3)};
  const Outcome out = run("Hello", options);
  EXPECT_EQ(out.text, full.substr(0, full.find(options.stops[0])));
  EXPECT_EQ(out.stats.finish, FinishReason::kStop);
  EXPECT_LT(out.stats.tokens.size(), 20u);
}

TEST_F(GenerateTest, HeldBackTextComesOutAtTheEnd) {
  const std::string full = run("Hello", greedy(10)).text;
  GenerateOptions options = greedy(10);
  options.stops = {full.substr(full.size() - 2) + "~~never~~"};
  EXPECT_EQ(run("Hello", options).text, full);
}

TEST_F(GenerateTest, AnEndTokenEndsTheText) {
  const std::vector<int32_t> tokens = run("Hello", greedy(12)).stats.tokens;
  ASSERT_EQ(tokens.size(), 12u);
  // The same weights, but the model says that its fifth token means the end.
  TinyOptions ending = tiny_text_options();
  ending.metadata.push_back({"tokenizer.ggml.eos_token_id", static_cast<uint32_t>(tokens[4])});
  load(ending);
  const auto at =
      static_cast<size_t>(std::find(tokens.begin(), tokens.end(), tokens[4]) - tokens.begin());
  const Outcome out = run("Hello", greedy(12));
  EXPECT_EQ(out.stats.finish, FinishReason::kStop);
  EXPECT_EQ(out.stats.tokens,
            std::vector<int32_t>(tokens.begin(), tokens.begin() + static_cast<long>(at) + 1));
  EXPECT_EQ(out.text, tokenizer_->decode(std::span(tokens).first(at), true));
  GenerateOptions on = greedy(12);
  on.ignore_end = true;
  EXPECT_EQ(run("Hello", on).stats.tokens, tokens);
}

TEST_F(GenerateTest, AFullContextEndsTheText) {
  auto small = session(16);
  const Outcome out = run(*small, "Hello", greedy(-1));
  EXPECT_EQ(out.stats.finish, FinishReason::kContext);
  EXPECT_EQ(small->position(), 16);
  EXPECT_EQ(out.stats.tokens.size(), 11u);  // ten were read, the last one was only drawn
}

TEST_F(GenerateTest, TheReceiverMayEndIt) {
  int pieces = 0;
  const auto receive = [&](std::string_view) { return ++pieces < 3; };
  auto stats = generate(*session(), *tokenizer_, tokenizer_->encode("Hello"), greedy(20), receive);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->finish, FinishReason::kInterrupted);
  EXPECT_EQ(pieces, 3);
}

TEST_F(GenerateTest, AnyCachedPrefixGivesTheSameText) {
  const Outcome fresh = run("Hello, world", greedy(15));
  const auto prompt = tokenizer_->encode("Hello, world");
  for (size_t cached : {size_t{1}, size_t{5}, prompt.size() - 1}) {
    auto warm = session();
    ASSERT_TRUE(warm->decode(std::span(prompt).first(cached)));
    const Outcome out = run(*warm, "Hello, world", greedy(15));
    EXPECT_EQ(out.stats.tokens, fresh.stats.tokens) << cached;
    EXPECT_EQ(out.stats.logits_hash, fresh.stats.logits_hash) << cached;
    EXPECT_EQ(out.stats.cached_tokens, static_cast<int64_t>(cached));
  }
}

TEST_F(GenerateTest, LongPromptsAreReadInSteps) {
  const std::string prompt(1100, 'x');
  auto one = session(1200);
  const auto row = one->decode(tokenizer_->encode(prompt)).value();
  auto other = session(1200);
  const Outcome out = run(*other, prompt, greedy(0));
  EXPECT_EQ(out.stats.logits_hash, fmt::format("{:016x}", fnv1a(std::as_bytes(row))));
  EXPECT_EQ(other->position(), 1101);
}

TEST_F(GenerateTest, PenaltiesSeeThePrompt) {
  const int32_t first = run("Hello", greedy(1)).stats.tokens[0];
  GenerateOptions options = greedy(1);
  options.sampler.presence_penalty = 1000;
  // Without the token in the prompt nothing changes; with it another one comes.
  EXPECT_EQ(run("Hello", options).stats.tokens[0] == first,
            std::string("Hello").find(tokenizer_->token_bytes(first)) == std::string::npos);
  auto prompt = tokenizer_->encode("Hello");
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id)
    if (id != 50) prompt.insert(prompt.begin() + 1, id);
  options.sampler.repeat_last_n = -1;
  auto stats =
      generate(*session(256), *tokenizer_, prompt, options, [](std::string_view) { return true; });
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->tokens[0], 50);  // the only token that the prompt does not have
}

TEST_F(GenerateTest, RefusesWhatItCannotDo) {
  const auto error = [&](std::span<const int32_t> prompt, const GenerateOptions& options) {
    auto stats =
        generate(*session(16), *tokenizer_, prompt, options, [](std::string_view) { return true; });
    return stats ? std::string() : stats.error().message;
  };
  const std::vector<int32_t> ok{0, 5}, foreign{0, 5000};
  EXPECT_EQ(error(ok, greedy(2)), "");
  EXPECT_NE(error({}, greedy(2)).find("[generate]"), std::string::npos);
  EXPECT_NE(error(std::vector<int32_t>(17, 5), greedy(2)).find("context of 16"), std::string::npos);
  EXPECT_NE(error(foreign, greedy(2)).find("5000"), std::string::npos);
  GenerateOptions bad = greedy(2);
  bad.stops = {""};
  EXPECT_NE(error(ok, bad).find("[stop]"), std::string::npos);
  bad = greedy(2);
  bad.sampler.repeat_penalty = 0;
  EXPECT_NE(error(ok, bad).find("[sampler]"), std::string::npos);
}

}  // namespace
}  // namespace planeloom
