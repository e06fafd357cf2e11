#include "compress/calibration.h"

#include <gtest/gtest.h>
#include <cstdlib>
#include <fstream>
#include <map>

#include "compress/run_helpers.h"
#include "decode/tiny_text.h"

namespace planeloom {
namespace {

/// A tiny model that knows letters, and a folder for texts.
class Calibration : public testing::Test {
 protected:
  void SetUp() override {
    auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(tiny_text_options())));
    ASSERT_TRUE(model) << model.error().message;
    model_ = *model;
    auto tokenizer = Tokenizer::from_metadata(model_.file->metadata());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = std::move(*tokenizer);
    std::string name = fs::temp_directory_path() / "planeloom-calibration-XXXXXX";
    folder_ = mkdtemp(name.data());
    options_.windows = 3;
    options_.context = 16;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  Result<CalibrationText> text(const WindowStore* kept = nullptr, int threads = 1,
                               Isa isa = Isa::kScalar) {
    ThreadPool pool(threads);
    Silent progress;
    return calibration_text(model_, *tokenizer_, {&pool, &kernels_for(isa)}, options_, kept,
                            progress);
  }

  /// Both ways of asking tell the same error, which has all these words.
  void expect_error(std::vector<std::string> sources, std::vector<std::string> words) {
    options_.sources = std::move(sources);
    const auto told = text();
    const auto checked = check_calibration(*tokenizer_, options_);
    ASSERT_FALSE(told);
    ASSERT_FALSE(checked);
    EXPECT_EQ(told.error().message, checked.error().message);
    for (const std::string& word : words)
      EXPECT_NE(told.error().message.find(word), std::string::npos) << told.error().message;
  }

  /// The windows of a text, which all tests here keep apart by their contents.
  static std::vector<std::vector<int32_t>> windows(const CalibrationText& text) {
    std::vector<std::vector<int32_t>> found;
    for (int64_t w = 0; w < text.windows(); ++w) {
      const auto tokens = text.window(w);
      found.emplace_back(tokens.begin(), tokens.end());
    }
    return found;
  }

  std::vector<std::vector<int32_t>> windows_of(const std::string& source, int64_t count) {
    options_.sources = {source};
    options_.windows = count;
    const auto alone = text();
    EXPECT_TRUE(alone) << (alone ? "" : alone.error().message);
    return alone ? windows(*alone) : std::vector<std::vector<int32_t>>{};
  }

  Model model_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  fs::path folder_;
  CalibrationOptions options_;
};

/// Text without a period that is a window.
std::string letters(size_t count, char first) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += static_cast<char>(first + static_cast<char>((i * i + i / 26) % 26));
  return text;
}

/// Keeps windows in memory.
struct Kept : WindowStore {
  mutable std::map<int64_t, std::vector<int32_t>> windows;
  bool load_window(int64_t w, std::span<int32_t> tokens) const override {
    const auto found = windows.find(w);
    if (found == windows.end()) return false;
    std::ranges::copy(found->second, tokens.begin());
    return true;
  }
  Status save_window(int64_t w, std::span<const int32_t> tokens) const override {
    windows[w].assign(tokens.begin(), tokens.end());
    return {};
  }
};

/// Few windows of a long text see all of it, each from the beginning of a line.
TEST_F(Calibration, WindowsAreSpreadOverALongText) {
  std::string long_text;
  for (const char letter : {'a', 'b', 'c'})
    for (int line = 0; line < 200; ++line) long_text += std::string(20, letter) + "\n";
  const auto spread = windows_of(file("long.txt", long_text), 3);
  const auto lines =
      windows_of(file("lines.txt", std::string(20, 'a') + "\n" + std::string(20, 'b') + "\n"), 1);
  ASSERT_EQ(spread.size(), 3u);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(spread[0], lines[0]);
  EXPECT_NE(spread[0], spread[1]);
  EXPECT_NE(spread[1], spread[2]);
}

TEST_F(Calibration, SelfWrittenTextIsDeterministicAndWholeForAnyThreads) {
  const auto a = text(nullptr, 1), b = text(nullptr, 3, supported_isas().back());
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->tokens, b->tokens);
  EXPECT_EQ(a->tokens.size(), 48u);
  EXPECT_NE(windows(*a)[0], windows(*a)[1]);
  options_.seed = 2;
  EXPECT_NE(text()->tokens, a->tokens);
}

TEST_F(Calibration, SourcesTakeTurnsWithTheWindowsTheyWouldGiveAlone) {
  const std::string prose = file("prose.txt", letters(400, 'a'));
  const std::string code = file("code.py", letters(400, 'A'));
  for (int64_t count = 3; count <= 8; ++count) {
    std::vector<std::vector<int32_t>> want(static_cast<size_t>(count));
    const std::vector<std::string> sources{prose, "self", code};
    for (size_t i = 0; i < sources.size(); ++i) {
      const size_t share = (want.size() + 2 - i) / 3;
      const auto alone = windows_of(sources[i], static_cast<int64_t>(share));
      ASSERT_EQ(alone.size(), share);
      for (size_t j = 0; j < share; ++j) want[i + 3 * j] = alone[j];
    }
    options_.sources = sources;
    options_.windows = count;
    const auto mixed = text();
    ASSERT_TRUE(mixed) << mixed.error().message;
    EXPECT_EQ(windows(*mixed), want) << count;
  }
}

TEST_F(Calibration, TheDescriptionTellsEverySourceAndItsShare) {
  const std::string prose = file("prose.txt", std::string(400, 'a'));
  EXPECT_TRUE(text()->description.starts_with("written by the model itself: 3 windows of 16"));
  options_.sources = {prose};
  EXPECT_EQ(text()->description, "prose.txt: 3 windows of 16 tokens");
  options_.sources = {prose, "self"};
  EXPECT_EQ(text()->description,
            "prose.txt: 2 windows of 16 tokens; written by the model itself: 1 window of 16 "
            "tokens, temperature 1, seed 1; one window of each in turn");
}

TEST_F(Calibration, KeptWindowsAreTheModelsOwnOnes) {
  options_.sources = {file("prose.txt", std::string(400, 'a')), "self"};
  options_.windows = 5;
  Kept kept;
  const auto first = text(&kept);
  ASSERT_TRUE(first);
  ASSERT_EQ(kept.windows.size(), 2u);
  for (int64_t w = 0; w < 2; ++w) EXPECT_EQ(kept.windows[w], windows(*first)[2 * w + 1]);
  kept.windows[1].assign(16, 7);  // what was kept is not written again
  const auto second = text(&kept);
  ASSERT_TRUE(second);
  EXPECT_EQ(windows(*second)[1], windows(*first)[1]);
  EXPECT_EQ(windows(*second)[3], kept.windows[1]);
}

TEST_F(Calibration, OneFileAloneMayBeShort) {
  const std::string prose = file("prose.txt", std::string(4000, 'a'));
  options_.windows = 100000;
  options_.sources = {prose};
  const auto alone = text();
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_GE(alone->windows(), 1);
  EXPECT_LT(alone->windows(), 100000);
}

TEST_F(Calibration, ErrorsNameTheSourceAndWhatItHad) {
  const std::string prose = file("prose.txt", std::string(4000, 'a'));
  const std::string empty = file("empty.txt", ""), brief = file("brief.txt", "ab");
  options_.windows = 4;
  expect_error({"/no/such/file"}, {"/no/such/file"});
  expect_error({empty}, {"empty.txt: 0 tokens, wanted 16 (1 window of 16)"});
  expect_error({prose, empty}, {"empty.txt: 0 tokens, wanted 32 (2 windows of 16)"});
  expect_error({"self", brief, prose}, {"brief.txt: ", " tokens, wanted 16 (1 window of 16)"});
  expect_error({prose, ""}, {"source 2 has no name"});
  expect_error({prose, "self", prose}, {"prose.txt is named twice"});
  expect_error({"self", "self"}, {"self is named twice"});
  expect_error({}, {"no source"});
  options_.windows = 1;
  expect_error({prose, "self"}, {"1 window for 2 sources"});
}

/// Every second window of a model that has a template: turns in its order, from the first token to
/// the last; a question leaves room for its answer.
TEST_F(Calibration, AModelWithATemplateConverses) {
  auto loaded =
      load_model(std::shared_ptr<const ModelFile>(make_tiny_model(tiny_text_options(true))));
  ASSERT_TRUE(loaded) << loaded.error().message;
  options_.windows = 6;
  options_.context = 96;
  const auto plain = text();
  ASSERT_TRUE(plain);
  model_ = *loaded;
  const auto got = text();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->description.ends_with("every second one a conversation")) << got->description;
  const auto id = [&](const char* token) { return *tokenizer_->find(token); };
  const int32_t user = id("<|user|>"), assistant = id("<|assistant|>");
  for (int64_t w = 0; w < 6; ++w) {
    const auto tokens = got->window(w);
    if (w % 2 == 0) {
      EXPECT_TRUE(std::ranges::equal(tokens, plain->window(w))) << "as without a template";
      continue;
    }
    EXPECT_EQ(tokens[0], kTinyBos);
    EXPECT_EQ(tokens[1], user);
    std::vector<int32_t> turns;
    size_t begin = 1;
    for (size_t i = 1; i < tokens.size(); ++i) {
      if (tokens[i] != user && tokens[i] != assistant) continue;
      if (i > 1) {
        EXPECT_EQ(tokens[i - 1], kTinyEnd) << "a turn ends before another begins";
      }
      if (tokens[i] == assistant) {
        EXPECT_LE(i - begin, 96u / 4 + 2);
      }
      begin = i;
      turns.push_back(tokens[i]);
    }
    ASSERT_GE(turns.size(), 2u);
    for (size_t i = 0; i < turns.size(); ++i) EXPECT_EQ(turns[i], i % 2 ? assistant : user);
  }
  EXPECT_EQ(windows(*got), windows(*text(nullptr, 2, supported_isas().back())));
}

/// A template that cannot be read is no reason not to quantize.
TEST_F(Calibration, ATemplateThatRefusesIsPassedOver) {
  const auto plain = text();
  ASSERT_TRUE(plain);
  for (const char* source :
       {"{{ raise_exception('no') }}", "{% if %}", "{{ messages | length }}"}) {
    TinyOptions tiny = tiny_text_options();
    tiny.metadata.push_back({"tokenizer.chat_template", std::string(source)});
    auto loaded = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(tiny)));
    ASSERT_TRUE(loaded);
    model_ = *loaded;
    const auto got = text();
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(windows(*got), windows(*plain)) << source;
  }
}

}  // namespace
}  // namespace planeloom
