#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"

namespace planeloom {
namespace {

struct Fixture {
  AttentionShape shape;
  int64_t capacity, tokens, past;
  std::vector<float> keys, values, q;

  Fixture(AttentionShape s, int64_t tokens_, int64_t past_)
      : shape(s), capacity(tokens_ + past_ + 3), tokens(tokens_), past(past_) {
    Rng rng(42);
    const auto fill = [&](std::vector<float>& v, int64_t n) {
      v.resize(static_cast<size_t>(n));
      for (float& x : v) x = static_cast<float>(rng.normal());
    };
    fill(keys, shape.kv_heads * capacity * shape.head_dim);
    fill(values, shape.kv_heads * capacity * shape.head_dim);
    fill(q, tokens * shape.heads * shape.head_dim);
  }
  CacheView view() const {
    return {reinterpret_cast<const std::byte*>(keys.data()),
            reinterpret_cast<const std::byte*>(values.data()), DType::kF32, capacity};
  }
  std::vector<float> run(const Compute& compute, int64_t first, int64_t n) const {
    std::vector<float> out(static_cast<size_t>(n * shape.heads * shape.head_dim), NAN);
    AttentionScratch scratch;
    attention(compute, shape, view(), q.data() + first * shape.heads * shape.head_dim, n,
              past + first, scratch, nullptr, out.data());
    return out;
  }
  /// Straight from the definition, in double.
  std::vector<double> naive() const {
    std::vector<double> out;
    const int64_t group = shape.heads / shape.kv_heads, dim = shape.head_dim;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < shape.heads; ++h) {
        const int64_t last = past + t,
                      first = shape.window ? std::max<int64_t>(0, last + 1 - shape.window) : 0;
        std::vector<double> p;
        double sum = 0;
        for (int64_t i = first; i <= last; ++i) {
          double s = 0;
          for (int64_t d = 0; d < dim; ++d)
            s += double(q[(t * shape.heads + h) * dim + d]) *
                 keys[(h / group * capacity + i) * dim + d];
          s *= shape.scale;
          if (shape.softcap > 0) s = shape.softcap * std::tanh(s / shape.softcap);
          p.push_back(std::exp(s));
          sum += p.back();
        }
        for (int64_t d = 0; d < dim; ++d) {
          double o = 0;
          for (int64_t i = first; i <= last; ++i)
            o += p[i - first] / sum * values[(h / group * capacity + i) * dim + d];
          out.push_back(o);
        }
      }
    return out;
  }
};

TEST(Attention, EqualsTheDefinition) {
  ThreadPool pool(2);
  for (const auto& shape :
       {AttentionShape{4, 2, 16, 0.25f}, AttentionShape{3, 1, 24, 0.2f, 0, 5},
        AttentionShape{2, 2, 64, 0.125f, 3.0f}, AttentionShape{6, 2, 32, 0.177f, 0, 300}})
    for (auto [tokens, past] : {std::pair<int64_t, int64_t>{1, 0}, {1, 9}, {19, 0}, {13, 600}}) {
      const Fixture f(shape, tokens, past);
      const auto got = f.run({&pool, &kernels_for(supported_isas().back())}, 0, tokens);
      const auto want = f.naive();
      for (size_t i = 0; i < want.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 2e-5) << i << " of " << tokens << "+" << past;
    }
}

/// Many tokens are shared out over heads and tokens, few over blocks of positions: the same bits.
TEST(Attention, SameBitsForAnyBatchThreadsAndIsa) {
  ThreadPool one(1), three(3);
  for (const auto& [window, past] : {std::pair<int64_t, int64_t>{40, 50}, {0, 490}, {300, 800}}) {
    const Fixture f({6, 2, 32, 0.177f, 0, window}, 37, past);
    const auto want = f.run({&one, &kernels_for(Isa::kScalar)}, 0, 37);
    for (Isa isa : supported_isas())
      for (ThreadPool* pool : {&one, &three}) {
        const Compute compute{pool, &kernels_for(isa)};
        const auto whole = f.run(compute, 0, 37);
        ASSERT_EQ(std::memcmp(whole.data(), want.data(), want.size() * 4), 0) << isa_name(isa);
        for (int64_t t = 0; t < 37; ++t) {
          const auto single = f.run(compute, t, 1);
          ASSERT_EQ(std::memcmp(single.data(), want.data() + t * 192, single.size() * 4), 0) << t;
        }
      }
  }
}

/// What a probe is told adds up to one and gives the output again.
TEST(Attention, ProbeSeesTheProbabilitiesThatAreUsed) {
  struct Keep : AttentionProbe {
    std::vector<std::vector<float>> rows;
    std::vector<int64_t> first;
    int64_t heads = 0;
    void row(int64_t token, int64_t head, int64_t from, const float* p, int64_t n) override {
      const auto at = static_cast<size_t>(token * heads + head);
      rows[at].assign(p, p + n);
      first[at] = from;
    }
  };
  ThreadPool one(1);
  const Compute compute{&one, &kernels_for(supported_isas().back())};
  for (int64_t window : {0, 300}) {
    const Fixture f({2, 1, 16, 0.25f, 0, window}, 11, 600);
    Keep probe;
    probe.heads = 2;
    probe.rows.resize(22);
    probe.first.resize(22);
    AttentionScratch scratch;
    std::vector<float> out(11 * 2 * 16);
    attention(compute, f.shape, f.view(), f.q.data(), 11, 600, scratch, &probe, out.data());
    EXPECT_EQ(out, f.run(compute, 0, 11));
    for (size_t at = 0; at < 22; ++at) {
      double sum = 0, first_column = 0;
      for (size_t i = 0; i < probe.rows[at].size(); ++i) {
        sum += probe.rows[at][i];
        first_column +=
            double(probe.rows[at][i]) * f.values[(static_cast<size_t>(probe.first[at]) + i) * 16];
      }
      EXPECT_NEAR(sum, 1, 1e-5);
      EXPECT_NEAR(first_column, out[at * 16], 1e-5);
    }
  }
}

}  // namespace
}  // namespace planeloom
