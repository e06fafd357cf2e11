#include "eval/choices.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>

#include "decode/tiny_text.h"
#include "eval/perplexity.h"

namespace planeloom {
namespace {

struct Silent : Progress {
  void update(std::string_view, uint64_t, uint64_t) override {}
};

class Choices : public testing::Test {
 protected:
  Choices() {
    auto file = std::shared_ptr<const ModelFile>(make_tiny_model(tiny_text_options()));
    tokenizer_ = std::move(*Tokenizer::from_metadata(file->metadata()));
    model_ = std::move(*load_model(std::move(file)));
  }
  Result<ChoiceScore> score(std::span<const ChoiceItem> items, Progress& progress,
                            int64_t context = 64) {
    return score_choices(*model_, *tokenizer_, compute_, {.context = context}, items, progress);
  }
  /// The same by a pass over the whole text; a token is a byte here, and BOS stands before them.
  double log_likelihood(const std::string& context, const std::string& choice) {
    const auto tokens = tokenizer_->encode(context + choice);
    auto session = Session::create(*model_, compute_, {.context = 64});
    double sum = 0;
    const auto last = static_cast<int64_t>(tokens.size()) - 1;
    EXPECT_TRUE((*session)->forward(tokens, static_cast<int64_t>(context.size()),
                                    [&](int64_t first, int64_t n, const float* logits) {
                                      const auto vocab = static_cast<size_t>(model_->vocab());
                                      std::vector<float> scratch;
                                      for (int64_t i = 0; i < n && first + i < last; ++i)
                                        sum -= negative_log_likelihood(
                                            *compute_.kernels,
                                            {logits + static_cast<size_t>(i) * vocab, vocab},
                                            tokens[static_cast<size_t>(first + i) + 1], scratch);
                                    }));
    return sum;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<Model> model_;
  ThreadPool pool_{2};
  Compute compute_{&pool_, &kernels_for(supported_isas().back())};
  Silent silent_;
};

/// Contexts begin alike, so that the cache is cut at every length.
TEST_F(Choices, AreScoredAsIfEachStoodAlone) {
  const std::vector<ChoiceItem> items{{"one two", {" three", " four", " th"}, 0},
                                      {"one two", {" three", "x"}, 1},
                                      {"one", {" two three", " two"}, 1},
                                      {"", {"one", "two"}, 0},
                                      {"other", {"!", "one two three"}, 1}};
  double right = 0, margin = 0, accuracy = 0, by_byte = 0;
  for (const ChoiceItem& item : items) {
    double best = -INFINITY, best_per_byte = -INFINITY;
    const double mine = log_likelihood(item.context, item.choices[item.answer]);
    for (size_t i = 0; i < item.choices.size(); ++i) {
      if (i == item.answer) continue;
      const double value = log_likelihood(item.context, item.choices[i]);
      best = std::max(best, value);
      best_per_byte = std::max(best_per_byte, value / double(item.choices[i].size()));
    }
    right += mine / 5;
    margin += (mine - best) / 5;
    accuracy += (mine > best) / 5.0;
    by_byte += (mine / double(item.choices[item.answer].size()) > best_per_byte) / 5.0;
  }
  const auto got = score(items, silent_);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->items, 5);
  EXPECT_NEAR(got->right, right, 1e-9);
  EXPECT_NEAR(got->margin, margin, 1e-9);
  EXPECT_NEAR(got->accuracy, accuracy, 1e-12);
  EXPECT_NEAR(got->accuracy_per_byte, by_byte, 1e-12);
  EXPECT_NEAR(got->chance, (1.0 / 3 + 4 * 0.5) / 5, 1e-12);
  EXPECT_GT(got->accuracy + got->accuracy_per_byte, 0) << "choose items that it gets right";
}

TEST_F(Choices, ATieIsWrong) {
  const std::vector<ChoiceItem> items{{"a", {"b", "b"}, 0}};
  const auto got = score(items, silent_);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->accuracy, 0);
  EXPECT_EQ(got->margin, 0);
}

TEST_F(Choices, WhatDoesNotFitIsNamed) {
  const std::vector<ChoiceItem> items{{"a", {"b", "c"}, 0}, {std::string(80, 'a'), {"b", "c"}, 0}};
  const auto got = score(items, silent_);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message, "[choices] item 2: 82 tokens, more than the context of 64");
}

TEST_F(Choices, AnInterruptKeepsFinishedItems) {
  struct InterruptAt : Progress {
    InterruptAt() { install_interrupt_handler(); }
    ~InterruptAt() override { clear_interrupt(); }
    void update(std::string_view, uint64_t done, uint64_t) override {
      if (done == 1) raise(SIGINT);
    }
  } progress;
  const std::vector<ChoiceItem> items(4, ChoiceItem{"a", {"b", "c"}, 0});
  const auto got = score(items, progress);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->interrupted);
  EXPECT_EQ(got->items, 2);
}

TEST(ParseChoices, LinesOfObjects) {
  const auto items = parse_choices(
      "{\"context\": \"4 + 4 =\", \"choices\": [\" 7\", \" 8\"], \"answer\": 1, \"id\": 3}\r\n\n"
      "{\"context\": \"\", \"choices\": [\"a\", \"b\", \"c\"], \"answer\": 0}");
  ASSERT_TRUE(items) << items.error().message;
  ASSERT_EQ(items->size(), 2u);
  EXPECT_EQ((*items)[0].context, "4 + 4 =");
  EXPECT_EQ((*items)[0].choices, (std::vector<std::string>{" 7", " 8"}));
  EXPECT_EQ((*items)[0].answer, 1u);
  EXPECT_EQ((*items)[1].choices.size(), 3u);
}

TEST(ParseChoices, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "[choices] no items"},
      {"\n\n", "[choices] no items"},
      {"[1]", "line 1: no object"},
      {"{\"choices\": [\"a\", \"b\"], \"answer\": 0}", "line 1: context is no text"},
      {"\n{\"context\": \"\", \"choices\": [\"a\"], \"answer\": 0}", "line 2: fewer than two"},
      {"{\"context\": \"\", \"choices\": [\"a\", \"\"], \"answer\": 0}", "a choice is no text or"},
      {"{\"context\": \"\", \"choices\": [\"a\", 1], \"answer\": 0}", "a choice is no text or"},
      {"{\"context\": \"\", \"choices\": [\"a\", \"b\"], \"answer\": 2}", "no choice's number"},
      {"{\"context\": \"\", \"choices\": [\"a\", \"b\"], \"answer\": -1}", "no choice's number"},
      {"{\"context\": \"\", \"choices\": [\"a\", \"b\"]}", "no choice's number"},
      {"{\"context\": ", "line 1"},
  };
  for (const auto& [text, says] : bad) {
    const auto items = parse_choices(text);
    ASSERT_FALSE(items) << text;
    EXPECT_NE(items.error().message.find(says), std::string::npos) << items.error().message;
  }
}

}  // namespace
}  // namespace planeloom
