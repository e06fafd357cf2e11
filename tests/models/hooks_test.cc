// The five events of a forward pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "models/tiny_model.h"
#include "models/tiny_run.h"

namespace planeloom {
namespace {

const std::vector<int32_t> kTokens{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};

Model load(const TinyOptions& options) {
  auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : Model{};
}

/// Writes down every event; checks each row of attention as it comes.
class Recorder : public Hooks, public AttentionProbe {
 public:
  explicit Recorder(const Config& config) : c_(config) {}

  void after_embedding(Rows hidden) override { note("embedding", 0, hidden); }
  Flow before_linear(int64_t layer, Linear linear, Rows x) override {
    note("linear" + std::to_string(static_cast<int>(linear)), layer, x);
    return layer == stop_layer && linear == stop_linear ? Flow::kStop : Flow::kContinue;
  }
  AttentionProbe* attention(int64_t layer) override {
    events.push_back({"attention", layer, 0, 0});
    layer_ = layer;
    return this;
  }
  void after_block(int64_t layer, Rows hidden) override { note("block", layer, hidden); }
  void at_logits(Rows logits) override { note("logits", 0, logits); }

  void row(int64_t token, int64_t head, int64_t first, const float* probability,
           int64_t n) override {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(rows.insert({layer_, token, head}).second) << "the same row twice";
    const int64_t window = c_.local[static_cast<size_t>(layer_)] ? c_.window : 0;
    const int64_t position = past + token;
    EXPECT_EQ(first, window > 0 ? std::max<int64_t>(0, position + 1 - window) : 0);
    EXPECT_EQ(first + n, position + 1);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_GE(probability[i], 0);
      sum += probability[i];
    }
    EXPECT_NEAR(sum, 1.0, 1e-6);
  }

  struct Event {
    std::string name;
    int64_t layer, rows, cols;
    bool operator==(const Event&) const = default;
  };
  std::vector<Event> events;
  std::set<std::tuple<int64_t, int64_t, int64_t>> rows;  // layer, token, head
  int64_t past = 0, stop_layer = -1;
  Linear stop_linear = Linear::kQ;

 private:
  void note(std::string name, int64_t layer, Rows x) {
    events.push_back({std::move(name), layer, x.rows, x.cols});
    for (int64_t i = 0; i < x.rows * x.cols; ++i) ASSERT_TRUE(std::isfinite(x.data[i]));
  }
  const Config& c_;
  int64_t layer_ = 0;
  std::mutex mutex_;
};

/// What one pass over `tokens` must report.
std::vector<Recorder::Event> expected_events(const Model& model, int64_t tokens) {
  const Config& c = model.config;
  std::vector<Recorder::Event> want{{"embedding", 0, tokens, c.width}};
  for (int64_t l = 0; l < c.layers; ++l) {
    for (int i : {0, 1, 2}) want.push_back({"linear" + std::to_string(i), l, tokens, c.width});
    want.push_back({"attention", l, 0, 0});
    want.push_back({"linear3", l, tokens, c.q_width()});
    for (int i : {4, 5}) want.push_back({"linear" + std::to_string(i), l, tokens, c.width});
    want.push_back({"linear6", l, tokens, c.ffn});
    want.push_back({"block", l, tokens, c.width});
  }
  want.push_back({"linear7", c.layers, tokens, c.width});
  want.push_back({"logits", 0, tokens, model.vocab()});
  return want;
}

TinyOptions windowed() {
  TinyOptions o;
  o.architecture = "gemma3";
  o.head_dim = 32;
  o.layers = 6;
  o.tied = true;
  o.metadata.emplace_back("gemma3.attention.sliding_window", uint32_t{4});
  return o;
}

TEST(Hooks, EveryEventFiresInOrderWithItsShape) {
  for (const TinyOptions& o : {TinyOptions{}, windowed()}) {
    const Model model = load(o);
    ASSERT_FALSE(model.layers.empty());
    Recorder recorder(model.config);
    RunOptions options;
    options.hooks = &recorder;
    options.threads = 2;
    run_tokens(model, kTokens, options);
    const auto n = static_cast<int64_t>(kTokens.size());
    EXPECT_EQ(recorder.events, expected_events(model, n));
    EXPECT_EQ(static_cast<int64_t>(recorder.rows.size()), o.layers * n * o.heads);
  }
}

TEST(Hooks, AttentionRowsSumToOneInLaterPassesToo) {
  const TinyOptions o = windowed();
  const Model model = load(o);
  ThreadPool pool(2);
  auto session =
      Session::create(model, Compute{&pool, &kernels_for(supported_isas().back())}, {32});
  ASSERT_TRUE(session) << session.error().message;
  for (size_t begin : {0, 4, 8}) {
    Recorder recorder(model.config);
    recorder.past = static_cast<int64_t>(begin);
    (*session)->set_hooks(&recorder);
    const size_t n = std::min<size_t>(4, kTokens.size() - begin);
    ASSERT_TRUE((*session)->decode(std::span(kTokens).subspan(begin, n)));
    EXPECT_EQ(static_cast<int64_t>(recorder.rows.size()),
              o.layers * static_cast<int64_t>(n) * o.heads);
  }
}

TEST(Hooks, ListeningChangesNoBit) {
  const Model model = load(windowed());
  Recorder recorder(model.config);
  RunOptions options;
  const auto without = run_tokens(model, kTokens, options);
  options.hooks = &recorder;
  const auto with = run_tokens(model, kTokens, options);
  ASSERT_EQ(with.size(), without.size());
  EXPECT_EQ(std::memcmp(with.data(), without.data(), with.size() * sizeof(float)), 0);
}

/// At any linear of any layer, the head included: nothing more is computed, and the session is
/// where it was.
TEST(Hooks, StopEndsThePassAndKeepsThePosition) {
  const Model model = load(TinyOptions{});
  const int64_t layers = model.config.layers;
  ThreadPool pool(1);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  const auto all = std::span(kTokens);
  RunOptions options;
  options.isa = supported_isas().back();
  const auto want = run_tokens(model, kTokens, options);
  for (int64_t layer = 0; layer <= layers; ++layer)
    for (Linear linear : {Linear::kQ, Linear::kK, Linear::kV, Linear::kO, Linear::kGate,
                          Linear::kUp, Linear::kDown, Linear::kHead}) {
      if ((layer == layers) != (linear == Linear::kHead)) continue;
      auto session = Session::create(model, compute, {32, ActivationMode::kFloat, DType::kF32});
      ASSERT_TRUE(session) << session.error().message;
      ASSERT_TRUE((*session)->decode(all.first(4)));
      Recorder recorder(model.config);
      recorder.past = 4;
      recorder.stop_layer = layer;
      recorder.stop_linear = linear;
      (*session)->set_hooks(&recorder);
      bool sunk = false;
      ASSERT_TRUE((*session)->forward(all.subspan(4), 0,
                                      [&](int64_t, int64_t, const float*) { sunk = true; }));
      EXPECT_FALSE(sunk);
      EXPECT_EQ((*session)->position(), 4);
      EXPECT_EQ(recorder.events.back().name, "linear" + std::to_string(static_cast<int>(linear)));
      EXPECT_EQ(recorder.events.back().layer, layer);
      recorder.rows.clear();
      EXPECT_FALSE((*session)->decode(all.subspan(4))) << "no logits to return";
      // The same tokens afterwards, unhooked: as if nothing had been tried.
      (*session)->set_hooks(nullptr);
      const auto last = (*session)->decode(all.subspan(4));
      ASSERT_TRUE(last) << last.error().message;
      EXPECT_EQ(std::memcmp(last->data(), &*want.end() - last->size(), last->size_bytes()), 0);
    }
}

/// Stopped in the second of several internal passes: none of the call's tokens is kept.
TEST(Hooks, StopInALaterPassKeepsThePositionToo) {
  class SecondPass : public Hooks {
   public:
    Flow before_linear(int64_t, Linear linear, Rows) override {
      if (linear != Linear::kDown) return Flow::kContinue;
      return ++seen == 3 ? Flow::kStop
                         : Flow::kContinue;  // two layers: the third is the second pass's first
    }
    int seen = 0;
  } hooks;
  const Model model = load(TinyOptions{});
  ThreadPool pool(1);
  auto session =
      Session::create(model, Compute{&pool, &kernels_for(supported_isas().back())}, {1024});
  ASSERT_TRUE(session) << session.error().message;
  (*session)->set_hooks(&hooks);
  const std::vector<int32_t> tokens(700, 5);
  ASSERT_TRUE((*session)->forward(tokens, 699, [](int64_t, int64_t, const float*) {}));
  EXPECT_EQ(hooks.seen, 3);
  EXPECT_EQ((*session)->position(), 0);
}

TEST(Hooks, AHalfLeavesHiddenWhenStopped) {
  const Model model = load(TinyOptions{});
  ThreadPool pool(1);
  auto session =
      Session::create(model, Compute{&pool, &kernels_for(supported_isas().back())}, {32});
  ASSERT_TRUE(session) << session.error().message;
  std::vector<float> hidden(kTokens.size() * static_cast<size_t>(model.config.width));
  ASSERT_TRUE((*session)->embed(kTokens, hidden.data()));
  const auto before = hidden;
  Recorder recorder(model.config);
  recorder.stop_layer = 1;
  recorder.stop_linear = Linear::kDown;
  (*session)->set_hooks(&recorder);
  const auto n = static_cast<int64_t>(kTokens.size());
  EXPECT_FALSE((*session)->run_ffn(1, hidden.data(), n));
  EXPECT_EQ(hidden, before);
  EXPECT_TRUE((*session)->run_attention(1, hidden.data(), n, 0));
  EXPECT_NE(hidden, before);
  (*session)->set_hooks(nullptr);
  auto halves = before, whole = before;  // layer 0 by halves and at once
  EXPECT_TRUE((*session)->run_attention(0, halves.data(), n, 0));
  EXPECT_TRUE((*session)->run_ffn(0, halves.data(), n));
  EXPECT_TRUE((*session)->run_layer(0, whole.data(), n, 0));
  EXPECT_EQ(halves, whole);
}

}  // namespace
}  // namespace planeloom
