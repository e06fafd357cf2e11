// The contract of batch invariance: a sequence's logits are the same bits on every ISA, for any
// number of threads and however its tokens are cut into passes.
#include <gtest/gtest.h>

#include <cmath>

#include <cstring>

#include "models/tiny_model.h"
#include "models/tiny_run.h"

namespace planeloom {
namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && !a.empty() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

Model load(const TinyOptions& options) {
  auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options)));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? std::move(*model) : Model{};
}

/// One way to run: threads, and tokens per pass (0: all at once).
struct Way {
  int threads;
  int64_t chunk;
};
const std::vector<Way> kWays{{1, 0}, {1, 1}, {2, 5}, {2, 1}, {3, 0}, {3, 5}};

/// Every ISA x way against the scalar reference reading all tokens at once with one thread.
void expect_invariant(const Model& model, std::span<const int32_t> tokens, ActivationMode mode,
                      DType cache, const std::vector<Way>& ways = kWays) {
  RunOptions options;
  options.activations = mode;
  options.cache = cache;
  const auto want = run_tokens(model, tokens, options);
  ASSERT_TRUE(all_finite(want));
  for (Isa isa : supported_isas())
    for (const Way& way : ways) {
      options.isa = isa;
      options.threads = way.threads;
      options.chunk = way.chunk;
      ASSERT_TRUE(same_bits(run_tokens(model, tokens, options), want))
          << isa_name(isa) << ", " << way.threads << " threads, chunks of " << way.chunk;
    }
}

TinyOptions family(const std::string& architecture) {
  TinyOptions o;
  o.architecture = architecture;
  if (architecture == "qwen3") o.head_dim = 32;
  if (architecture == "gemma3") {
    o.kv_heads = 1;
    o.tied = true;
    o.metadata = {{"gemma3.attention.sliding_window", uint32_t{6}},
                  {"gemma3.attention.sliding_window_pattern", std::vector<bool>{true, false}}};
  }
  return o;
}

struct Storage {
  const char* codec;
  const char* embedding;
  friend void PrintTo(const Storage& s, std::ostream* out) { *out << s.codec; }
};

class Invariance : public testing::TestWithParam<std::tuple<std::string, Storage>> {};

TEST_P(Invariance, SameBitsForIsaThreadsAndCuts) {
  const auto& [architecture, storage] = GetParam();
  TinyOptions o = family(architecture);
  o.storage = storage.codec;
  o.embedding = storage.embedding;
  const Model model = load(o);
  ASSERT_FALSE(model.layers.empty());
  const auto tokens = random_tokens(18, o.vocab);
  for (ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8})
    for (DType cache : {DType::kF16, DType::kF32}) expect_invariant(model, tokens, mode, cache);
}

INSTANTIATE_TEST_SUITE_P(
    Families, Invariance,
    testing::Combine(testing::Values("llama", "qwen2", "qwen3", "gemma3"),
                     testing::Values(Storage{"F32", "F32"}, Storage{"F16", "F16"},
                                     Storage{"Q8_0", "Q8_0"}, Storage{"Q4_0", "Q8_0"},
                                     Storage{"bitplane k=2 g=32", "Q8_0"},
                                     Storage{"tritplane g=32", "BF16"})),
    [](const auto& info) {
      std::string name = std::get<0>(info.param) + "_" + std::get<1>(info.param).codec;
      for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      return name;
    });

/// Sizes that are no multiple of a vector, nor of the integer form's padding.
TEST(InvarianceOfSizes, RaggedWidths) {
  TinyOptions ragged;
  ragged.width = 52, ragged.head_dim = 10, ragged.ffn = 70, ragged.vocab = 37;
  TinyOptions padded;
  padded.width = 96, padded.head_dim = 24, padded.ffn = 160, padded.kv_heads = 4;
  padded.storage = "Q8_0", padded.embedding = "Q8_0";
  for (const TinyOptions& o : {ragged, padded}) {
    const Model model = load(o);
    ASSERT_FALSE(model.layers.empty());
    for (ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8})
      expect_invariant(model, random_tokens(19, o.vocab), mode, DType::kF16);
  }
}

/// Longer than every internal cut: 512 tokens a pass, 256 positions of attention, 32 rows of
/// logits.
TEST(InvarianceOfLength, LongerThanEveryCut) {
  for (const char* architecture : {"llama", "gemma3"}) {
    TinyOptions o = family(architecture);
    o.layers = 2;
    o.context = 1024;
    o.storage = "Q8_0";
    if (o.architecture == "gemma3")
      o.metadata = {{"gemma3.attention.sliding_window", uint32_t{300}}};
    const Model model = load(o);
    ASSERT_FALSE(model.layers.empty());
    expect_invariant(model, random_tokens(540, o.vocab), ActivationMode::kInt8, DType::kF16,
                     {{1, 97}, {3, 0}});
  }
}

/// Q8_0 keys and values: the same bits everywhere, close to float ones, and other than F16's.
TEST(InvarianceOfCaches, EightBits) {
  TinyOptions o = family("llama");
  o.head_dim = 32;
  const Model model = load(o);
  ASSERT_FALSE(model.layers.empty());
  const auto tokens = random_tokens(40, o.vocab);
  expect_invariant(model, tokens, ActivationMode::kFloat, DType::kQ8_0);
  RunOptions options;
  const auto exact = run_tokens(model, tokens, options);
  options.cache = DType::kQ8_0;
  const auto rounded = run_tokens(model, tokens, options);
  double error = 0, size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(rounded[i]) - exact[i], 2);
    size += std::pow(static_cast<double>(exact[i]), 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 4e-4 * size);  // a step is 1/127 of the largest of 32
}

/// The modes do differ from each other: the comparisons above are not of two constants.
TEST(InvarianceOfModes, ModesCachesAndCodecsChangeTheBits) {
  TinyOptions o;
  o.storage = "Q8_0";
  const Model model = load(o);
  const auto tokens = random_tokens(24, o.vocab);
  RunOptions options;
  const auto base = run_tokens(model, tokens, options);
  options.cache = DType::kF16;
  EXPECT_FALSE(same_bits(run_tokens(model, tokens, options), base));
  options.cache = DType::kF32;
  options.activations = ActivationMode::kInt8;
  EXPECT_FALSE(same_bits(run_tokens(model, tokens, options), base));
  o.storage = "Q4_0";
  EXPECT_FALSE(same_bits(run_tokens(load(o), tokens, {}), base));
}

/// Reading on after truncate() equals never having read what was forgotten.
TEST(Session, TruncateForgets) {
  TinyOptions o = family("gemma3");
  const Model model = load(o);
  const auto tokens = random_tokens(24, o.vocab);
  ThreadPool pool(1);
  auto session =
      Session::create(model, Compute{&pool, &kernels_for(supported_isas().back())}, {64});
  ASSERT_TRUE(session) << session.error().message;
  const auto read = [&](int64_t begin, int64_t end) {
    const auto last = (*session)->decode(
        std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    EXPECT_TRUE(last) << (last ? "" : last.error().message);
    return last ? std::vector<float>(last->begin(), last->end()) : std::vector<float>();
  };
  const auto want = read(0, 24);
  (*session)->truncate(11);
  EXPECT_EQ((*session)->position(), 11);
  read(3, 9);  // other tokens at positions 11..16
  (*session)->truncate(11);
  EXPECT_TRUE(same_bits(read(11, 24), want));
  (*session)->truncate(-5);
  EXPECT_EQ((*session)->position(), 0);
  EXPECT_TRUE(same_bits(read(0, 24), want));
}

}  // namespace
}  // namespace planeloom
