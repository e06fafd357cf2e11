#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace planeloom {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Everything off: draws from the softmax of the logits.
SamplerOptions plain() {
  SamplerOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

std::vector<float> log_of(const std::vector<double>& probabilities) {
  std::vector<float> out;
  for (double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

std::set<int32_t> ids(const Sampler& sampler) {
  std::set<int32_t> out;
  for (const auto& c : sampler.candidates()) out.insert(c.id);
  return out;
}

/// The tokens that one draw chose from.
std::set<int32_t> left(const SamplerOptions& options, const std::vector<float>& logits,
                       const std::vector<int32_t>& accepted = {}) {
  Sampler sampler(options, static_cast<int64_t>(logits.size()));
  for (int32_t token : accepted) sampler.accept(token);
  const auto token = sampler.sample(logits);
  EXPECT_TRUE(token);
  EXPECT_TRUE(ids(sampler).count(*token));
  return ids(sampler);
}

/// Pearson's statistic of `draws` draws against the expected probabilities.
double chi_square(const SamplerOptions& options, const std::vector<float>& logits,
                  const std::vector<double>& expected, int draws = 20000) {
  Sampler sampler(options, static_cast<int64_t>(logits.size()));
  std::vector<int> seen(logits.size());
  for (int i = 0; i < draws; ++i) ++seen[static_cast<size_t>(sampler.sample(logits).value())];
  double sum = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double want = expected[i] * draws;
    if (want == 0)
      EXPECT_EQ(seen[i], 0) << "token " << i;
    else
      sum += (seen[i] - want) * (seen[i] - want) / want;
  }
  return sum;
}

// 0.1 % quantiles of chi-square with 1 to 4 degrees of freedom. Seeds are fixed, so nothing
// flickers.
constexpr double kCritical[] = {0, 10.83, 13.82, 16.27, 18.47};

TEST(Sampler, DrawsFromTheSoftmax) {
  const std::vector<double> p{0.4, 0.3, 0.2, 0.07, 0.03};
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SamplerOptions o = plain();
    o.seed = seed;
    EXPECT_LT(chi_square(o, log_of(p), p), kCritical[4]) << "seed " << seed;
  }
}

TEST(Sampler, ChiSquareSeesAWrongDistribution) {
  EXPECT_GT(chi_square(plain(), log_of({0.4, 0.3, 0.3}), {0.37, 0.33, 0.3}), kCritical[2]);
}

TEST(Sampler, TemperatureSharpens) {
  // At temperature 0.5 probabilities are squared: 0.6, 0.3, 0.1 -> 36 : 9 : 1.
  SamplerOptions o = plain();
  o.temperature = 0.5f;
  EXPECT_LT(chi_square(o, log_of({0.6, 0.3, 0.1}), {36 / 46.0, 9 / 46.0, 1 / 46.0}), kCritical[2]);
}

TEST(Sampler, TopKKeepsTheBestAndBreaksTiesByLowestId) {
  SamplerOptions o = plain();
  o.top_k = 2;
  EXPECT_EQ(left(o, {1, 3, 2, 3}), (std::set<int32_t>{1, 3}));
  EXPECT_EQ(left(o, {2, 2, 2, 2}), (std::set<int32_t>{0, 1}));
  EXPECT_EQ(left(o, {0, 5, 1, 1}), (std::set<int32_t>{1, 2}));
  const std::vector<double> want{0, 0.6, 0.4, 0};
  EXPECT_LT(chi_square(o, log_of({0.05, 0.54, 0.36, 0.05}), want), kCritical[1]);
}

TEST(Sampler, TopKOffOrLargerThanTheVocabulary) {
  SamplerOptions o = plain();
  for (int64_t k : {int64_t{0}, int64_t{-1}, int64_t{4}, int64_t{1} << 40}) {
    o.top_k = k;
    EXPECT_EQ(left(o, {1, 2, 3, 4}).size(), 4u) << k;
  }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  SamplerOptions o = plain();
  const auto logits = log_of({0.1, 0.4, 0.3, 0.2});
  const auto kept = [&](float p) {
    o.top_p = p;
    return left(o, logits);
  };
  EXPECT_EQ(kept(0.0f), (std::set<int32_t>{1}));
  EXPECT_EQ(kept(0.35f), (std::set<int32_t>{1}));
  EXPECT_EQ(kept(0.45f), (std::set<int32_t>{1, 2}));
  EXPECT_EQ(kept(0.85f), (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(kept(0.95f), (std::set<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(kept(1.0f).size(), 4u);
  EXPECT_EQ(kept(7.0f).size(), 4u);
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
  SamplerOptions o = plain();
  const auto logits = log_of({0.5, 0.3, 0.15, 0.05});
  const auto kept = [&](float p) {
    o.min_p = p;
    return left(o, logits).size();
  };
  EXPECT_EQ(kept(0.0f), 4u);
  EXPECT_EQ(kept(-1.0f), 4u);
  EXPECT_EQ(kept(0.2f), 3u);
  EXPECT_EQ(kept(0.5f), 2u);
  EXPECT_EQ(kept(1.0f), 1u);
}

TEST(Sampler, TopPSeesOnlyWhatTopKLeft) {
  // Of all, 0.4 + 0.3 do not reach 0.75; of the two that top-k leaves, the first alone has 4/7,
  // both have 1: with top-p 0.55 only the first stays, without top-k two would.
  SamplerOptions o = plain();
  const auto logits = log_of({0.4, 0.3, 0.2, 0.1});
  o.top_p = 0.55f;
  EXPECT_EQ(left(o, logits), (std::set<int32_t>{0, 1}));
  o.top_k = 2;
  EXPECT_EQ(left(o, logits), (std::set<int32_t>{0}));
}

TEST(Sampler, TemperatureComesLast) {
  SamplerOptions o = plain();
  o.top_p = 0.6f;
  o.min_p = 0.3f;
  const auto logits = log_of({0.5, 0.2, 0.15, 0.15});
  const auto expected = left(o, logits);
  for (float t : {0.05f, 0.7f, 50.0f}) {
    o.temperature = t;
    EXPECT_EQ(left(o, logits), expected) << t;
  }
}

TEST(Sampler, PenaltiesComeFirst) {
  SamplerOptions o = plain();
  o.top_k = 1;
  o.presence_penalty = 2;
  EXPECT_EQ(left(o, {3, 2}), (std::set<int32_t>{0}));
  EXPECT_EQ(left(o, {3, 2}, {0}), (std::set<int32_t>{1}));
}

TEST(Sampler, RepeatPenaltyMakesBothSignsLessLikely) {
  SamplerOptions o = plain();
  o.repeat_penalty = 2;
  Sampler sampler(o, 3);
  sampler.accept(0);
  sampler.accept(1);
  sampler.accept(1);  // repeat penalty does not count occurrences
  ASSERT_TRUE(sampler.sample(std::vector<float>{4, -4, 1}));
  std::map<int32_t, float> logit;
  for (const auto& c : sampler.candidates()) logit[c.id] = c.logit;
  EXPECT_EQ(logit, (std::map<int32_t, float>{{0, 2.0f}, {1, -8.0f}, {2, 1.0f}}));
}

TEST(Sampler, FrequencyCountsAndPresenceDoesNot) {
  SamplerOptions o = plain();
  o.frequency_penalty = 0.5f;
  o.presence_penalty = 0.25f;
  Sampler sampler(o, 3);
  for (int32_t token : {0, 0, 0, 1}) sampler.accept(token);
  ASSERT_TRUE(sampler.sample(std::vector<float>{0, 0, 0}));
  std::map<int32_t, float> logit;
  for (const auto& c : sampler.candidates()) logit[c.id] = c.logit;
  EXPECT_EQ(logit, (std::map<int32_t, float>{{0, -1.75f}, {1, -0.75f}, {2, 0.0f}}));
}

TEST(Sampler, OldTokensLeaveTheWindow) {
  SamplerOptions o = plain();
  o.top_k = 1;
  o.presence_penalty = 2;
  const std::vector<int32_t> text{0, 1, 1};
  const auto chosen = [&](int64_t last_n) {
    o.repeat_last_n = last_n;
    return *left(o, {3, 2}, text).begin();
  };
  EXPECT_EQ(chosen(0), 0);   // no memory
  EXPECT_EQ(chosen(2), 0);   // the 0 has left the window, 1 is penalised
  EXPECT_EQ(chosen(3), 0);   // both penalised alike
  o.frequency_penalty = -2;  // rewards repetition: 1 occurs twice
  EXPECT_EQ(chosen(3), 1);
  EXPECT_EQ(chosen(-1), 1);
}

TEST(Sampler, GreedyTakesTheLikeliestAfterPenalties) {
  SamplerOptions o;  // defaults, but
  o.temperature = 0;
  o.repeat_penalty = 1.5f;
  Sampler sampler(o, 4);
  const std::vector<float> logits{1, 5, 4, 5};
  EXPECT_EQ(sampler.sample(logits).value(), 1);
  sampler.accept(1);
  EXPECT_EQ(sampler.sample(logits).value(), 3);
  sampler.accept(3);
  EXPECT_EQ(sampler.sample(logits).value(), 2);
}

TEST(Sampler, ImpossibleLogits) {
  for (float temperature : {0.0f, 1.0f}) {
    SamplerOptions o;
    o.temperature = temperature;
    Sampler sampler(o, 3);
    EXPECT_EQ(sampler.sample(std::vector<float>{-kInf, kNan, -3}).value(), 2);
    EXPECT_EQ(sampler.sample(std::vector<float>{1, kInf, 1}).value(), 1);
    const auto none = sampler.sample(std::vector<float>{-kInf, kNan, -kInf});
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().message.find("[sampler]"), std::string::npos);
    EXPECT_FALSE(sampler.sample({}));
  }
}

TEST(Sampler, HugeLogitsDoNotOverflow) {
  SamplerOptions o = plain();
  const float huge = std::numeric_limits<float>::max();
  EXPECT_EQ(left(o, {huge, -huge, huge}), (std::set<int32_t>{0, 1, 2}));
  EXPECT_LT(chi_square(o, {huge, -huge, huge}, {0.5, 0, 0.5}), kCritical[1]);
}

TEST(Sampler, SameSeedSameDraws) {
  const auto draws = [](uint64_t seed) {
    SamplerOptions o = plain();
    o.seed = seed;
    Sampler sampler(o, 50);
    std::vector<float> logits(50);
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7) * 0.3f;
    std::vector<int32_t> out;
    for (int i = 0; i < 64; ++i) out.push_back(sampler.sample(logits).value());
    sampler.reset();
    EXPECT_EQ(sampler.sample(logits).value(), out[0]);
    return out;
  };
  EXPECT_EQ(draws(1), draws(1));
  EXPECT_NE(draws(1), draws(2));
}

TEST(Sampler, NothingMovesInSteadyState) {
  SamplerOptions o;
  o.repeat_penalty = 1.1f;
  Sampler sampler(o, 1000);
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i));
  ASSERT_TRUE(sampler.sample(logits));
  const auto* where = sampler.candidates().data();
  for (int i = 0; i < 200; ++i) {
    const int32_t token = sampler.sample(logits).value();
    sampler.accept(token);
    ASSERT_EQ(sampler.candidates().data(), where);
  }
}

TEST(Sampler, ForeignTokensAreIgnored) {
  SamplerOptions o = plain();
  o.presence_penalty = 1;
  Sampler sampler(o, 2);
  sampler.accept(-1);
  sampler.accept(2);
  EXPECT_TRUE(sampler.sample(std::vector<float>{0, 0, 9}));  // the third is outside the vocabulary
  EXPECT_EQ(sampler.candidates().size(), 2u);
}

TEST(Sampler, RefusesSettingsThatMakeNoSense) {
  const auto refused = [](auto change) {
    SamplerOptions o;
    change(o);
    return !check(o);
  };
  EXPECT_TRUE(check(SamplerOptions{}));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.temperature = kNan; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.top_p = -0.1f; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.min_p = 1.5f; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.repeat_penalty = 0; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.presence_penalty = kInf; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.frequency_penalty = kNan; }));
  EXPECT_TRUE(refused([](SamplerOptions& o) { o.repeat_last_n = -2; }));
}

/// The chain written down plainly: sort everything, cut, renormalise, cut, cut.
std::set<int32_t> naive_chain(const SamplerOptions& o, const std::vector<float>& logits) {
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto logit = [&](int32_t id) {
    return static_cast<double>(logits[static_cast<size_t>(id)]);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  if (o.top_k > 0 && static_cast<size_t>(o.top_k) < order.size())
    order.resize(static_cast<size_t>(o.top_k));
  double total = 0, reached = 0;
  for (int32_t id : order) total += std::exp(logit(id) - logit(order[0]));
  for (size_t i = 0; i < order.size() && o.top_p < 1; ++i)
    if ((reached += std::exp(logit(order[i]) - logit(order[0]))) >= o.top_p * total)
      order.resize(i + 1);
  std::set<int32_t> kept;
  for (int32_t id : order)
    if (o.min_p <= 0 || std::exp(logit(id) - logit(order[0])) >= o.min_p) kept.insert(id);
  return kept;
}

RC_GTEST_PROP(SamplerProperty, EqualsThePlainChain, ()) {
  const auto size = *rc::gen::inRange<size_t>(1, 300);
  const auto raw = *rc::gen::container<std::vector<int>>(size, rc::gen::inRange(-40, 40));
  std::vector<float> logits;
  for (int v : raw) logits.push_back(static_cast<float>(v) * 0.17f);  // many ties
  SamplerOptions o = plain();
  o.top_k = *rc::gen::inRange<int64_t>(0, 60);
  // Odd steps: sums of exponentials do not land on these by accident, where rounding would decide.
  o.top_p = static_cast<float>(*rc::gen::inRange(1, 40)) * 0.02637f;
  o.min_p = static_cast<float>(*rc::gen::inRange(0, 20)) * 0.01931f;
  Sampler sampler(o, static_cast<int64_t>(size));
  const auto token = sampler.sample(logits);
  RC_ASSERT(token.has_value());
  RC_ASSERT(ids(sampler) == naive_chain(o, logits));
  RC_ASSERT(ids(sampler).count(*token) == 1u);
}

}  // namespace
}  // namespace planeloom
