#include "decode/stop.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

namespace planeloom {
namespace {

StopMatcher matcher(std::vector<std::string> stops) {
  auto made = StopMatcher::create(std::move(stops));
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return std::move(*made);
}

std::string run(StopMatcher& stop, const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += stop.push(piece);
  return out + std::string(stop.flush());
}

TEST(Stop, WithoutStopStringsNothingIsHeldBack) {
  StopMatcher stop = matcher({});
  EXPECT_EQ(stop.push("any"), "any");
  EXPECT_EQ(stop.flush(), "");
}

TEST(Stop, HoldsBackOnlyWhatMayStillMatch) {
  StopMatcher stop = matcher({"</end>"});
  EXPECT_EQ(stop.push("a <"), "a ");
  EXPECT_EQ(stop.push("b"), "<b");
  EXPECT_EQ(stop.push("</en"), "");
  EXPECT_EQ(stop.push("<"), "</en");
  EXPECT_EQ(stop.push("/end> tail"), "");
  EXPECT_TRUE(stop.stopped());
  ASSERT_NE(stop.found(), nullptr);
  EXPECT_EQ(*stop.found(), "</end>");
  EXPECT_EQ(stop.push("more"), "");
  EXPECT_EQ(stop.flush(), "");
}

TEST(Stop, FlushGivesBackAnUnfinishedMatch) {
  StopMatcher stop = matcher({"STOP"});
  EXPECT_EQ(stop.push("now STO"), "now ");
  EXPECT_EQ(stop.flush(), "STO");
  EXPECT_EQ(stop.push("P"), "P");  // a new stream: the old half does not count
}

TEST(Stop, SelfOverlap) {
  StopMatcher stop = matcher({"aab"});
  EXPECT_EQ(run(stop, {"a", "a", "a", "b", "c"}), "a");
}

TEST(Stop, OfSeveralTheFirstCompleteOneEnds) {
  StopMatcher stop = matcher({"abc", "b"});
  EXPECT_EQ(run(stop, {"xabc"}), "xa");
  StopMatcher ties = matcher({"c", "abc", "bc"});
  EXPECT_EQ(run(ties, {"xab", "cd"}), "x");
}

TEST(Stop, WholeCharactersOnly) {
  StopMatcher stop = matcher({"\xc3\xa9!"});             // e acute, exclamation mark
  EXPECT_EQ(stop.push("caf\xc3\xa9"), "caf");            // may still become the stop string
  EXPECT_EQ(stop.push("\xc3\xa8"), "\xc3\xa9\xc3\xa8");  // e grave: shares the lead byte only
  EXPECT_EQ(stop.push("\xc3\xa9!"), "");
  EXPECT_TRUE(stop.stopped());
}

TEST(Stop, RefusesWhatCannotBeMatchedSafely) {
  EXPECT_FALSE(StopMatcher::create({""}));
  EXPECT_FALSE(StopMatcher::create({"ok", "\xa9"}));
  EXPECT_FALSE(StopMatcher::create({std::string(StopMatcher::kLongestStop + 1, 'x')}));
  EXPECT_FALSE(StopMatcher::create(std::vector<std::string>(StopMatcher::kMostStops + 1, "x")));
}

/// The definition: cut before the longest stop string that ends at the first place where any ends.
std::string naive(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stops)
      if (s.size() <= end && text.compare(end - s.size(), s.size(), s) == 0)
        longest = std::max(longest, s.size());
    if (longest) return text.substr(0, end - longest);
  }
  return text;
}

/// How much of `text` could still become part of a stop string.
size_t naive_held(const std::string& text, const std::vector<std::string>& stops) {
  size_t held = 0;
  for (const std::string& s : stops)
    for (size_t n = 1; n < s.size() && n <= text.size(); ++n)
      if (text.compare(text.size() - n, n, s, 0, n) == 0) held = std::max(held, n);
  return held;
}

/// All words of two letters, up to a length: binary numbers with a leading one.
std::vector<std::string> words(size_t longest) {
  std::vector<std::string> out;
  for (unsigned code = 2; code < 2u << longest; ++code) {
    std::string word;
    for (unsigned rest = code; rest > 1; rest /= 2) word.push_back("ab"[rest % 2]);
    out.push_back(word);
  }
  return out;
}

TEST(Stop, EveryShortStopStringOnEveryShortText) {
  const std::vector<std::string> texts = words(9);
  for (const std::string& s : words(7)) {
    StopMatcher stop = matcher({s});
    for (const std::string& text : texts) {
      std::string shown;
      for (const char c : text) shown += stop.push(std::string_view(&c, 1));
      ASSERT_EQ(shown.size() + (stop.stopped() ? 0 : naive_held(text, {s})),
                naive(text, {s}).size())
          << s << " in " << text;
      shown += stop.flush();
      ASSERT_EQ(shown, naive(text, {s})) << s << " in " << text;
    }
  }
}

std::string letters(size_t least, size_t most) {
  const auto size = *rc::gen::resize(200, rc::gen::inRange<size_t>(least, most));
  return *rc::gen::container<std::string>(size, rc::gen::element('a', 'b'));
}

RC_GTEST_PROP(StopProperty, EqualsTheDefinitionHoweverTheTextIsCut, ()) {
  std::vector<std::string> stops(*rc::gen::resize(200, rc::gen::inRange<size_t>(0, 5)));
  for (std::string& s : stops) s = letters(1, 9);
  const std::string text = letters(0, 60);
  StopMatcher stop = matcher(stops);
  std::string shown;
  for (size_t at = 0; at < text.size() && !stop.stopped();) {
    const auto n = std::min(*rc::gen::inRange<size_t>(1, 7), text.size() - at);
    shown += stop.push("");
    shown += stop.push(text.substr(at, n));
    at += n;
    const std::string sofar = text.substr(0, at);
    if (!stop.stopped()) RC_ASSERT(shown.size() == sofar.size() - naive_held(sofar, stops));
  }
  shown += stop.flush();
  RC_ASSERT(shown == naive(text, stops));
}

}  // namespace
}  // namespace planeloom
