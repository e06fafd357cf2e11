// Every ISA that this machine has must give the bits of the scalar reference, for odd sizes and
// many shapes.
#include "kernels/kernels.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "codecs/planes.h"
#include "codecs/unpacked.h"
#include "kernels/linear.h"
#include "kernels/ref/ref.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

std::vector<float> normals(int64_t n, uint64_t seed, double scale = 1.0) {
  Rng rng(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(scale * rng.normal());
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class EveryIsa : public testing::TestWithParam<Isa> {
 protected:
  const Kernels& simd = kernels_for(GetParam());
  const Kernels& ref = ref::table();
};

TEST_P(EveryIsa, DotF32HasTheReferenceBits) {
  uint64_t seed = 1;
  for (int64_t n : {1, 7, 15, 16, 17, 31, 64, 100, 576})
    for (int64_t rows : {1, 2, 3, 4, 5, 9})
      for (int64_t tokens : {1, 2, 3, 4, 5, 9}) {
        const auto w = normals(rows * n, seed++), x = normals(tokens * n, seed++);
        std::vector<float> got(static_cast<size_t>(rows * tokens)), want(got);
        ref.dot_f32(w.data(), n, rows, x.data(), n, tokens, n, want.data(), rows);
        simd.dot_f32(w.data(), n, rows, x.data(), n, tokens, n, got.data(), rows);
        ASSERT_TRUE(same_bits(got, want)) << "n " << n << " rows " << rows << " tokens " << tokens;
      }
}

TEST_P(EveryIsa, PanelsHaveTheBitsOfRows) {
  uint64_t seed = 500;
  for (int64_t n : {1, 3, 15, 16, 33, 100, 576})
    for (int64_t rows : {1, 5, 16})
      for (int64_t tokens : {1, 2, 5, 7, 12, 16, 17, 39}) {
        const int64_t stride = n + 3, size = panel_size(n), panels = (tokens + 15) / 16;
        const auto w = normals(rows * stride, seed++), x = normals(tokens * stride, seed++);
        std::vector<float> w_panel(static_cast<size_t>(size), 9.0f), same(w_panel),
            x_panels(static_cast<size_t>(size * panels), 9.0f);
        simd.pack_panel(w.data(), stride, rows, n, w_panel.data());
        ref.pack_panel(w.data(), stride, rows, n, same.data());
        ASSERT_TRUE(same_bits(w_panel, same)) << "n " << n << " rows " << rows;
        for (int64_t t = 0; t < tokens; t += 16)
          simd.pack_panel(x.data() + t * stride, stride, std::min<int64_t>(16, tokens - t), n,
                          x_panels.data() + t / 16 * size);
        std::vector<float> got(static_cast<size_t>(tokens * 17), 7.0f), want(got);
        ref.dot_f32(w.data(), stride, rows, x.data(), stride, tokens, n, want.data(), 17);
        simd.dot_panels(w_panel.data(), panel_steps(n), x_panels.data(), tokens, rows, got.data(),
                        17);
        ASSERT_TRUE(same_bits(got, want)) << "n " << n << " rows " << rows << " tokens " << tokens;
      }
}

TEST_P(EveryIsa, RotationsHaveTheReferenceBits) {
  for (int64_t n : {16, 32, 48, 64, 576, 1536, 3584}) {
    const auto rotation = Rotation::make(n, 3);
    ASSERT_TRUE(rotation);
    const auto x = normals(n, static_cast<uint64_t>(n));
    std::vector<float> got(x.size()), want(x.size());
    ref.rotate(**rotation, x.data(), want.data());
    simd.rotate(**rotation, x.data(), got.data());
    ASSERT_TRUE(same_bits(got, want)) << "n " << n;
    ref.unrotate(**rotation, want.data());
    simd.unrotate(**rotation, got.data());
    ASSERT_TRUE(same_bits(got, want)) << "back, n " << n;
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(got[i], x[i], 1e-5) << "n " << n;
  }
}

TEST_P(EveryIsa, DotsOfSixteenBitsHaveTheBitsOfTheirFloats) {
  uint64_t seed = 900;
  for (int64_t n : {1, 15, 16, 33, 576})
    for (int64_t rows : {1, 3, 9})
      for (int64_t tokens : {1, 2, 5}) {
        const auto w = normals(rows * n, seed++), x = normals(tokens * n, seed++);
        for (bool brain : {false, true}) {
          std::vector<uint16_t> bits(w.size());
          std::vector<float> wide(w.size());
          for (size_t i = 0; i < w.size(); ++i) {
            bits[i] = brain ? float_to_bf16(w[i]) : float_to_half(w[i]);
            wide[i] = brain ? bf16_to_float(bits[i]) : half_to_float(bits[i]);
          }
          std::vector<float> got(static_cast<size_t>(rows * tokens)), want(got);
          ref.dot_f32(wide.data(), n, rows, x.data(), n, tokens, n, want.data(), rows);
          (brain ? simd.dot_bf16 : simd.dot_f16)(bits.data(), n, rows, x.data(), n, tokens, n,
                                                 got.data(), rows);
          ASSERT_TRUE(same_bits(got, want)) << "n " << n << " rows " << rows << " brain " << brain;
        }
      }
}

TEST_P(EveryIsa, DotF32IsCloseToDouble) {
  const int64_t n = 1000;
  const auto w = normals(n, 3), x = normals(n, 4);
  double exact = 0, magnitude = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double product = static_cast<double>(w[i]) * x[i];
    exact += product;
    magnitude += std::fabs(product);
  }
  float got = 0;
  simd.dot_f32(w.data(), n, 1, x.data(), n, 1, n, &got, 1);
  // 63 fused steps per lane and 4 folding steps, each at most half an ulp of a partial sum below
  // `magnitude`.
  EXPECT_NEAR(got, exact, 67 * 0x1.0p-24 * magnitude);
}

struct Quantized {
  std::vector<int8_t> code;
  std::vector<float> scale;
  std::vector<int32_t> sum;
};

Quantized quantize(const Kernels& kernels, const std::vector<float>& x, int64_t tokens,
                   int64_t cols, int64_t step) {
  const int64_t steps = cols / step;
  Quantized q{std::vector<int8_t>(static_cast<size_t>(tokens * cols), 99),
              std::vector<float>(static_cast<size_t>(tokens * steps)),
              std::vector<int32_t>(static_cast<size_t>(tokens * steps))};
  for (int64_t t = 0; t < tokens; ++t)
    kernels.quantize_int8(x.data() + t * cols, cols, step, q.code.data() + t * cols,
                          q.scale.data() + t * steps, q.sum.data() + t * steps);
  return q;
}

TEST_P(EveryIsa, QuantizeInt8HasTheReferenceBits) {
  for (int64_t step : {16, 32})
    for (int64_t cols : {32, 64, 96, 576}) {
      auto x = normals(3 * cols, static_cast<uint64_t>(cols));
      std::fill(x.begin(), x.begin() + 32, 0.0f);  // steps of zeros
      x[static_cast<size_t>(cols) + 3] = NAN;
      x[static_cast<size_t>(2 * cols) + 9] = INFINITY;
      const auto want = quantize(ref, x, 3, cols, step), got = quantize(simd, x, 3, cols, step);
      EXPECT_EQ(want.code, got.code) << cols;
      EXPECT_EQ(want.sum, got.sum) << cols;
      EXPECT_EQ(want.scale, got.scale) << cols;
    }
}

TEST_P(EveryIsa, Int8ErrorIsAtMostHalfAStep) {
  const int64_t cols = 256;
  const auto x = normals(cols, 9);
  for (int64_t step : {16, 32}) {
    const auto q = quantize(simd, x, 1, cols, step);
    for (int64_t i = 0; i < cols; ++i) {
      const float scale = q.scale[static_cast<size_t>(i / step)];
      ASSERT_LE(std::fabs(scale * q.code[static_cast<size_t>(i)] - x[static_cast<size_t>(i)]),
                0.501f * scale);
    }
  }
}

test::Unpacked random_tile(const CodeForm& form, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  test::Unpacked u(form, cols);
  for (uint8_t& c : u.code)
    c = static_cast<uint8_t>(rng.below(static_cast<uint64_t>(form.top) + 1));
  u.scale = normals(static_cast<int64_t>(u.scale.size()), seed + 1, 0.01);
  u.offset = normals(static_cast<int64_t>(u.scale.size()), seed + 2, 0.1);
  return u;
}

const CodeForm kForms[] = {{16, 32, false, 16, 63},   {16, 0, true, 16, 15},
                           {32, 8, false, 16, 15},    {32, 0, true, 16, 31},
                           {32, 0, true, 32, 15},     {32, 128, false, 32, 255},
                           {96, 128, false, 16, 255}, {96, 64, false, 32, 128},
                           {64, 5, false, 32, 10},    {256, 1, false, 16, 3}};

/// Activations in the form that weights of `form` meet with these kernels; without any, as the
/// reference rounds them.
struct Input {
  Input(const std::vector<float>& values, int64_t token_count, int64_t cols, const CodeForm& f,
        const Kernels& kernels = ref::table())
      : x(values), form(f), tokens(token_count) {
    ThreadPool one(1);
    rows.set(x.data(), cols, tokens, cols);
    rows.make_int8({&one, &kernels}, form);
  }
  std::vector<float> x;
  CodeForm form;
  int64_t tokens;
  LinearInput rows;
};

/// y of (tokens, 16), which dot_tile adds to.
std::vector<float> dot(const Kernels& kernels, const TileView& w, const Input& x) {
  std::vector<float> y = normals(x.tokens * kTileRows, 55);
  for (int64_t t = 0; t < x.tokens; t += kBlockTokens)
    kernels.dot_tile(w, x.rows.int8_block(t, x.form), y.data() + t * kTileRows, kTileRows);
  return y;
}

TEST_P(EveryIsa, DotTileHasTheReferenceBits) {
  uint64_t seed = 100;
  for (const CodeForm& form : kForms)
    for (int64_t groups : {1, 3})
      for (int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 29}) {
        const int64_t cols = groups * std::max(form.group, 32);
        const auto w = random_tile(form, cols, seed++);
        const Input x(normals(tokens * cols, seed++), tokens, cols, form);
        ASSERT_TRUE(same_bits(dot(simd, w.view(), x), dot(ref, w.view(), x)))
            << "group " << form.group << " zero " << form.zero << " tokens " << tokens;
      }
}

/// One or two tiles that begin at a column of their own, all tokens at once.
TEST_P(EveryIsa, DotTilesGivesTheBitsOfDotTile) {
  if (!simd.dot_tiles) GTEST_SKIP() << "this ISA has none";
  uint64_t seed = 500;
  for (const CodeForm& form : {CodeForm{32, 0, true, 32, 15}, CodeForm{32, 128, false, 32, 255},
                               CodeForm{64, 64, false, 32, 128}, CodeForm{96, 128, false, 32, 255},
                               CodeForm{128, 8, false, 32, 15}, CodeForm{320, 128, false, 32, 255}})
    for (int64_t groups : {1, 2, 3, 7})
      for (int64_t tokens : {64, 65, 70, 78, 79, 80, 97})
        for (int tiles : {1, 2}) {
          const int64_t cols = groups * std::max(form.group, 32), col = std::max(form.group, 32),
                        all = col + cols + 2 * col, stride = tiles * kTileRows + 3;
          const auto values = normals(tokens * all, seed++);
          const Input x(values, tokens, all, form), own(values, tokens, all, form, simd);
          std::vector<float> got = normals(tokens * stride, 55), want(got);
          std::vector<test::Unpacked> tile;
          CodeTile codes[kTilesAtOnce];
          for (int i = 0; i < tiles; ++i) {
            tile.push_back(random_tile(form, cols, seed++));
            const auto& last = tile.back();
            for (int64_t t = 0; t < tokens; t += kBlockTokens)
              ref.dot_tile(last.view(), x.rows.int8_block(t, form).from_col(col, form),
                           want.data() + t * stride + i * kTileRows, stride);
          }
          for (int i = 0; i < tiles; ++i) codes[i] = tile[static_cast<size_t>(i)].tile();
          simd.dot_tiles(codes, tiles, form, col, cols, own.rows.int8_rows(form), got.data(),
                         stride);
          ASSERT_TRUE(same_bits(got, want)) << "group " << form.group << " step " << form.step
                                            << " tokens " << tokens << " tiles " << tiles;
        }
}

TEST_P(EveryIsa, DotTileSurvivesExtremeCodes) {
  for (const CodeForm& form : kForms) {
    const int64_t cols = 2 * std::max(form.group, 32);
    for (int code : {0, form.top}) {
      test::Unpacked w = random_tile(form, cols, 5);
      std::fill(w.code.begin(), w.code.end(), static_cast<uint8_t>(code));
      for (float sign : {-1.0f, 1.0f}) {
        const Input x(std::vector<float>(static_cast<size_t>(cols), sign), 1, cols, form);
        EXPECT_TRUE(same_bits(dot(simd, w.view(), x), dot(ref, w.view(), x))) << form.top;
      }
    }
  }
}

/// Any zero, and all codes that are within an int8 of it.
TEST_P(EveryIsa, DotTileTakesAnyZero) {
  uint64_t seed = 300;
  for (int zero : {0, 1, 64, 100, 128, 200})
    for (int step : {16, 32})
      for (int64_t tokens : {1, 3, 4, 12}) {
        const CodeForm form{32, zero, false, step};
        test::Unpacked w = random_tile(form, 96, seed++);
        Rng rng(seed++);
        const int least = std::max(0, zero - 128), most = std::min(255, zero + 127);
        for (uint8_t& c : w.code)
          c = static_cast<uint8_t>(
              least + static_cast<int>(rng.below(static_cast<uint64_t>(most - least + 1))));
        const Input x(normals(tokens * 96, seed++), tokens, 96, form);
        ASSERT_TRUE(same_bits(dot(simd, w.view(), x), dot(ref, w.view(), x)))
            << "zero " << zero << " step " << step << " tokens " << tokens;
      }
}

/// Against double: the exact sums of products of the int8 activations with the tile's weights.
TEST_P(EveryIsa, DotTileIsCloseToDouble) {
  for (const CodeForm& form : kForms) {
    const int64_t cols = 768;
    const auto w = random_tile(form, cols, 8);
    const Input x(normals(cols, 9), 1, cols, form);
    const Int8Block codes = x.rows.int8_block(0, form);
    std::vector<float> y(kTileRows, 0.0f);
    simd.dot_tile(w.view(), codes, y.data(), kTileRows);
    for (int64_t r = 0; r < kTileRows; ++r) {
      double exact = 0, magnitude = 0;
      for (int64_t c = 0; c < cols; ++c) {
        const double xc = static_cast<double>(codes.scale[c / form.step]) * codes.code[c];
        const size_t g = static_cast<size_t>(c / form.group * kTileRows + r);
        const double level = static_cast<double>(w.scale[g]) * (w.code_at(r, c) - form.zero),
                     offset = form.affine ? static_cast<double>(w.offset[g]) : 0.0;
        exact += xc * (level + offset);
        magnitude += std::fabs(xc) * (std::fabs(level) + std::fabs(offset));
      }
      // Each group rounds at most 18 times (16 steps, scale, offset), the row 48 groups: together
      // below 66 half ulps of a partial sum that `magnitude` bounds.
      EXPECT_NEAR(y[static_cast<size_t>(r)], exact, 66 * 0x1.0p-24 * magnitude);
    }
  }
}

/// Dots on packed bytes are unpack_tile and dot_tile in one: the same bits.
RC_GTEST_PROP(Kernels, PackedDotsEqualTilesOnEveryIsa, (uint64_t seed)) {
  const Codec* codec =
      *codec_by_name(*rc::gen::elementOf(std::vector<std::string>{"bitplane k=1 g=64",
                                                                  "bitplane k=2 g=32",
                                                                  "bitplane k=2 g=64",
                                                                  "bitplane k=2 g=96",
                                                                  "bitplane k=2 g=256",
                                                                  "bitplane k=3 g=128",
                                                                  "bitplane k=4 g=192",
                                                                  "bitplane k=1 g=32 c=8",
                                                                  "bitplane k=2 g=64 c=8",
                                                                  "bitplane k=2 g=256 c=8",
                                                                  "bitplane k=3 g=96 c=8",
                                                                  "bitplane k=4 g=32 c=8",
                                                                  "tritplane g=96",
                                                                  "tritplane g=128",
                                                                  "tritplane g=64 c=8",
                                                                  "tritplane g=256 c=8",
                                                                  "tritplane g=32 r=3:2",
                                                                  "tritplane g=256 r=3:2",
                                                                  "trellis k=1",
                                                                  "trellis k=2",
                                                                  "trellis k=3",
                                                                  "trellis k=4",
                                                                  "Q4_0",
                                                                  "Q4_1",
                                                                  "Q5_0",
                                                                  "Q5_1",
                                                                  "Q8_0",
                                                                  "Q4_K",
                                                                  "Q5_K",
                                                                  "Q6_K",
                                                                  "Q2_K",
                                                                  "TQ2_0"}));
  const auto rows = *rc::gen::inRange<int64_t>(1, 40), tokens = *rc::gen::inRange<int64_t>(1, 12),
             cols = codec->col_multiple() * *rc::gen::inRange<int64_t>(1, 8);
  Rng rng(seed);
  const auto bytes = [&](int64_t per_row) {
    std::vector<std::byte> v(static_cast<size_t>(stored_rows(*codec, rows) * per_row));
    for (std::byte& b : v) b = static_cast<std::byte>(rng.next() & 0xbb);  // no NaN in any half
    return v;
  };
  const auto codes = bytes(codec->code_bytes(cols)), coef = bytes(codec->coef_bytes(cols));
  const PackedMatrix w{codec, rows, cols, codes, coef};
  const Input x(normals(tokens * cols, seed + 7), tokens, cols, codec->form());
  for (int64_t first = 0; first < rows; first += kTileRows) {
    const auto tile = test::unpack(w, first, 0, cols);
    const auto want = dot(ref::table(), tile.view(), x);
    for (Isa isa : supported_isas()) {
      const Kernels& kernels = kernels_for(isa);
      RC_ASSERT(same_bits(dot(kernels, tile.view(), x), want));
      if (const DotPacked packed = kernels.find_dot(*codec, tokens)) {
        std::vector<float> y = normals(tokens * kTileRows, 55);
        packed(w, first, x.rows.int8_block(0, codec->form()), y.data(), kTileRows);
        RC_ASSERT(same_bits(y, want));
      }
    }
  }
}

/// The largest codes of either sign against the largest activations: no sum may saturate.
TEST_P(EveryIsa, PackedDotsSurviveExtremeCodes) {
  const struct {
    const char* name;
    std::vector<int64_t> halves;  // places in a block that must not be NaN
  } formats[] = {{"Q4_0", {0}}, {"Q4_1", {0, 2}}, {"Q5_0", {0}},    {"Q5_1", {0, 2}},
                 {"Q8_0", {0}}, {"Q4_K", {0, 2}}, {"Q5_K", {0, 2}}, {"Q6_K", {208}}};
  for (const auto& format : formats)
    for (const int byte : {0x00, 0x7f, 0x80, 0xff})
      for (const float sign : {-1.0f, 1.0f})
        for (int64_t tokens = 1; tokens <= kBlockTokens; ++tokens) {
          const Codec* codec = *codec_by_name(format.name);
          const DotPacked packed = simd.find_dot(*codec, tokens);
          if (!packed) continue;
          const int64_t cols = codec->col_multiple(), bytes = codec->code_bytes(cols);
          std::vector<std::byte> codes(static_cast<size_t>(kTileRows * bytes), std::byte(byte));
          for (int64_t r = 0; r < kTileRows; ++r)
            for (int64_t at : format.halves)
              std::memcpy(codes.data() + r * bytes + at, "\0\x3c", 2);  // 1.0
          const PackedMatrix w{codec, kTileRows, cols, codes, {}};
          const Input x(std::vector<float>(static_cast<size_t>(tokens * cols), sign), tokens, cols,
                        codec->form());
          std::vector<float> y = normals(tokens * kTileRows, 55);
          packed(w, 0, x.rows.int8_block(0, codec->form()), y.data(), kTileRows);
          ASSERT_TRUE(same_bits(y, dot(ref, test::unpack(w, 0, 0, cols).view(), x)))
              << format.name << " byte " << byte << " sign " << sign << " tokens " << tokens;
        }
}

TEST_P(EveryIsa, ElementwiseOperationsHaveTheReferenceBits) {
  for (int64_t n : {1, 5, 16, 17, 64, 200, 1000}) {
    const auto x = normals(n, static_cast<uint64_t>(n), 4.0), y = normals(n, 77),
               gain = normals(n, 78);
    std::vector<float> a(x), b(x);
    ref.silu_mul(a.data(), y.data(), n);
    simd.silu_mul(b.data(), y.data(), n);
    EXPECT_TRUE(same_bits(a, b)) << "silu " << n;
    a = b = x;
    ref.gelu_mul(a.data(), y.data(), n);
    simd.gelu_mul(b.data(), y.data(), n);
    EXPECT_TRUE(same_bits(a, b)) << "gelu " << n;
    a = b = x;
    float top_a = 0, top_b = 0;
    const float sum_a = ref.exp_sum(a.data(), n, &top_a), sum_b = simd.exp_sum(b.data(), n, &top_b);
    EXPECT_TRUE(same_bits(a, b)) << "exp_sum " << n;
    EXPECT_EQ(sum_a, sum_b) << n;
    EXPECT_EQ(top_a, top_b) << n;
    EXPECT_EQ(top_a, *std::max_element(x.begin(), x.end())) << n;
    ref.rms_norm(x.data(), gain.data(), 1e-5f, n, a.data());
    simd.rms_norm(x.data(), gain.data(), 1e-5f, n, b.data());
    EXPECT_TRUE(same_bits(a, b)) << "rms_norm " << n;
  }
}

TEST_P(EveryIsa, ExpSumSurvivesExtremes) {
  std::vector<float> x{-1e30f, 0.0f, 500.0f, 499.0f, -INFINITY};
  std::vector<float> want(x);
  float top = 0, want_top = 0;
  const float sum = simd.exp_sum(x.data(), 5, &top),
              want_sum = ref.exp_sum(want.data(), 5, &want_top);
  EXPECT_TRUE(same_bits(x, want));
  EXPECT_EQ(sum, want_sum);
  EXPECT_EQ(top, 500.0f);
  EXPECT_EQ(x[2], 1.0f);
  EXPECT_NEAR(sum, 1 + std::exp(-1.0), 1e-6);
}

TEST_P(EveryIsa, ExpSumTreatsNaNAlike) {
  for (int64_t n : {3, 17, 40})
    for (int64_t at : {int64_t{0}, n / 2, n - 1}) {
      auto x = normals(n, 5);
      x[static_cast<size_t>(at)] = NAN;
      std::vector<float> want(x);
      float top = 0, want_top = 0;
      simd.exp_sum(x.data(), n, &top);
      ref.exp_sum(want.data(), n, &want_top);
      EXPECT_EQ(std::isnan(top), std::isnan(want_top)) << n << " " << at;
      if (!std::isnan(top)) {
        EXPECT_EQ(top, want_top) << n << " " << at;
      }
    }
}

TEST_P(EveryIsa, WeightedSumHasTheReferenceBits) {
  for (int64_t dim : {1, 16, 64, 80, 100, 256})
    for (int64_t n : {0, 1, 5, 33}) {
      const auto weight = normals(n, 1), v = normals(n * dim, 2);
      std::vector<float> a = normals(dim, 3), b(a);
      ref.weighted_sum(weight.data(), n, v.data(), dim, dim, a.data());
      simd.weighted_sum(weight.data(), n, v.data(), dim, dim, b.data());
      EXPECT_TRUE(same_bits(a, b)) << dim << " " << n;
    }
}

TEST_P(EveryIsa, HalfToFloatIsExactForEveryPattern) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> got(all.size());
  simd.half_to_float(all.data(), 65535, got.data());
  for (size_t i = 0; i < 65535; ++i) {
    const float want = half_to_float(all[i]);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got[i])) << i;
    } else {
      ASSERT_EQ(std::memcmp(&got[i], &want, 4), 0) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, EveryIsa, testing::ValuesIn(supported_isas()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(Exp, IsWithinTwoUlpsOfTheLibrary) {
  for (float x = -86.9f; x < 88.0f; x += 0.00731f) {
    const double exact = std::exp(static_cast<double>(x));
    ASSERT_NEAR(ref::exp_f32(x) / exact, 1.0, 2.0e-7) << x;
  }
  EXPECT_EQ(ref::exp_f32(0.0f), 1.0f);
  EXPECT_EQ(ref::exp_f32(-200.0f), 0.0f);
  EXPECT_TRUE(std::isnan(ref::exp_f32(NAN)));
}

TEST(Half, RoundTripsAndRoundsToNearestEven) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = half_to_float(static_cast<uint16_t>(h));
    if (!std::isnan(f)) {
      ASSERT_EQ(float_to_half(f), h);
    }
  }
  EXPECT_EQ(float_to_half(2049.0f), float_to_half(2048.0f));  // tie to even
  EXPECT_EQ(half_to_float(float_to_half(2051.0f)), 2052.0f);
  EXPECT_EQ(float_to_half(65519.9f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(0x1.0p-25f), 0);  // half of the smallest subnormal, tie to even
  EXPECT_EQ(float_to_half(0x1.8p-25f), 1);
}

}  // namespace
}  // namespace planeloom
