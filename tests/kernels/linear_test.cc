#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "codecs/encode_simple.h"
#include "codecs/row_parts.h"

namespace planeloom {
namespace {

struct Case {
  std::vector<float> x;
  std::vector<std::byte> codes;
  PackedMatrix w;
};

/// A matrix of random blocks with sane scales, and some activations.
Case make_case(DType type, int64_t rows, int64_t cols, int64_t tokens) {
  Rng rng(static_cast<uint64_t>(rows * 1000 + cols));
  Case c;
  std::vector<float> weights(static_cast<size_t>(rows * cols));
  for (float& v : weights) v = static_cast<float>(rng.normal());
  c.x.resize(static_cast<size_t>(tokens * cols));
  for (float& v : c.x) v = static_cast<float>(rng.normal());
  const Codec* codec = gguf_codec(type);
  c.codes.resize(static_cast<size_t>(rows * codec->code_bytes(cols)));
  EXPECT_TRUE(encode_simple(type, weights, c.codes));
  c.w = {codec, rows, cols, c.codes, {}};
  return c;
}

std::vector<float> run(const Compute& compute, const Case& c, int64_t first, int64_t tokens,
                       ActivationMode mode) {
  LinearInput input;
  LinearScratch scratch;
  std::vector<float> y(static_cast<size_t>(tokens * c.w.rows)), bias(static_cast<size_t>(c.w.rows));
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = 0.25f * static_cast<float>(i);
  input.set(c.x.data() + first * c.w.cols, c.w.cols, tokens, c.w.cols);
  linear(compute, c.w, bias, input, mode, scratch, y.data(), c.w.rows);
  return y;
}

// Rotated weights meet rotated rows; the rows are rotated once for all that ask.
TEST(LinearOp, RotatesTheInputsOfRotatedWeights) {
  ThreadPool pool(2);
  const auto rotation = Rotation::make(96, 4);
  ASSERT_TRUE(rotation);
  for (Isa isa : supported_isas())
    for (ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8}) {
      const Compute compute{&pool, &kernels_for(isa)};
      Case c = make_case(DType::kQ8_0, 33, 96, 9);
      std::vector<float> x(c.x.size());
      for (int64_t t = 0; t < 9; ++t)
        compute.kernels->rotate(**rotation, c.x.data() + t * 96, x.data() + t * 96);
      Case plain = make_case(DType::kQ8_0, 33, 96, 9);
      plain.x = x;
      c.w.rotation = *rotation;
      const auto got = run(compute, c, 0, 9, mode), want = run(compute, plain, 0, 9, mode);
      ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * 4), 0);
    }
}

// Rows in parts are what each part gives, side by side.
TEST(LinearOp, GoesFromPartToPart) {
  ThreadPool pool(2);
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const auto rotation = Rotation::make(96, 4);
  ASSERT_TRUE(rotation);
  for (const int64_t tokens : {1, 3, 20})
    for (const ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8}) {
      const Case a = make_case(DType::kQ8_0, 40, 96, tokens);
      Case b = make_case(DType::kF16, 23, 96, tokens);
      b.w.rotation = *rotation;
      b.x = a.x;
      Case both = a;
      both.w = *join_rows({a.w, b.w});
      std::vector<float> bias(63);
      for (size_t i = 0; i < bias.size(); ++i) bias[i] = 0.5f * static_cast<float>(i);
      const auto product = [&](const PackedMatrix& w, std::span<const float> add) {
        LinearInput input;
        LinearScratch scratch;
        std::vector<float> y(static_cast<size_t>(tokens * w.rows));
        input.set(a.x.data(), 96, tokens, 96);
        linear(compute, w, add, input, mode, scratch, y.data(), w.rows);
        return y;
      };
      const auto got = product(both.w, bias), first = product(a.w, std::span(bias).first(40)),
                 second = product(b.w, std::span(bias).last(23));
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t r = 0; r < 63; ++r)
          ASSERT_EQ(got[static_cast<size_t>(t * 63 + r)],
                    r < 40 ? first[static_cast<size_t>(t * 40 + r)]
                           : second[static_cast<size_t>(t * 23 + r - 40)]);
    }
}

TEST(LinearOp, SameBitsForAnyBatchThreadsAndIsa) {
  ThreadPool one(1), two(2), three(3);
  for (DType type : {DType::kF32, DType::kQ8_0})
    for (ActivationMode mode : {ActivationMode::kFloat, ActivationMode::kInt8}) {
      const Case c = make_case(type, 77, 96, 11);
      const auto want = run({&one, &kernels_for(Isa::kScalar)}, c, 0, 11, mode);
      for (Isa isa : supported_isas())
        for (ThreadPool* pool : {&one, &two, &three}) {
          const Compute compute{pool, &kernels_for(isa)};
          const auto whole = run(compute, c, 0, 11, mode);
          ASSERT_EQ(std::memcmp(whole.data(), want.data(), want.size() * 4), 0);
          for (int64_t t = 0; t < 11; ++t)
            ASSERT_EQ(std::memcmp(run(compute, c, t, 1, mode).data(), want.data() + t * 77, 77 * 4),
                      0);
        }
    }
}

/// Enough tokens for dot_tiles, rows that fill no pair of tiles, a last panel of few steps.
TEST(LinearOp, SameBitsForManyTokensOfPlanes) {
  ThreadPool one(1), three(3);
  Rng rng(5);
  for (const char* name : {"bitplane k=2 g=64", "bitplane k=4 g=96", "tritplane g=96"}) {
    const Codec* codec = *codec_by_name(name);
    const int64_t rows = 77, cols = 576, tokens = 67;
    const auto bytes = [&](int64_t per_row) {
      std::vector<std::byte> v(static_cast<size_t>(stored_rows(*codec, rows) * per_row));
      for (std::byte& b : v) b = static_cast<std::byte>(rng.next() & 0xbb);  // no NaN in any half
      return v;
    };
    Case c;
    const auto codes = bytes(codec->code_bytes(cols)), coef = bytes(codec->coef_bytes(cols));
    c.w = {codec, rows, cols, codes, coef};
    c.x.resize(static_cast<size_t>(tokens * cols));
    for (float& v : c.x) v = static_cast<float>(rng.normal());
    const auto want = run({&one, &kernels_for(Isa::kScalar)}, c, 0, tokens, ActivationMode::kInt8);
    for (Isa isa : supported_isas())
      for (ThreadPool* pool : {&one, &three}) {
        const auto got = run({pool, &kernels_for(isa)}, c, 0, tokens, ActivationMode::kInt8);
        EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * 4), 0) << name;
      }
  }
}

TEST(LinearOp, Int8StaysWithinItsRoundingBound) {
  ThreadPool pool(1);
  const Case c = make_case(DType::kQ8_0, 40, 128, 3);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  const auto exact = run(compute, c, 0, 3, ActivationMode::kFloat),
             rounded = run(compute, c, 0, 3, ActivationMode::kInt8);
  std::vector<float> row(128);
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t r = 0; r < 40; ++r) {
      c.w.codec->decode_row(c.w, r, row.data());
      double bound = 0;  // |w_i| times half a step of x_i's group
      for (int64_t i = 0; i < 128; ++i) {
        float top = 0;
        for (int64_t k = i / 32 * 32; k < i / 32 * 32 + 32; ++k)
          top = std::max(top, std::fabs(c.x[t * 128 + k]));
        bound += std::fabs(row[i]) * top / 254.0;
      }
      ASSERT_LE(std::fabs(exact[t * 40 + r] - rounded[t * 40 + r]), bound * 1.01 + 1e-4);
    }
}

}  // namespace
}  // namespace planeloom
