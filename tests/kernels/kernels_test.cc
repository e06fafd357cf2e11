// Every ISA that this machine has must give the bits of the scalar reference, for odd sizes and
// many shapes.
#include "kernels/kernels.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
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

struct PlaneCase {
  std::vector<uint8_t> code;
  std::vector<float> scale, offset;
  PlaneRows rows;
};

PlaneCase random_planes(int64_t rows, int planes, int64_t cols, bool wide, uint64_t seed) {
  const int64_t padded = padded_cols(cols), groups = padded / kScaleGroup;
  Rng rng(seed);
  PlaneCase c;
  c.code.assign(static_cast<size_t>(rows * planes * padded), 0);
  for (int64_t line = 0; line < rows * planes; ++line)
    for (int64_t i = 0; i < cols; ++i)
      c.code[static_cast<size_t>(line * padded + i)] =
          static_cast<uint8_t>(rng.below(wide ? 256 : 128));
  c.scale = normals(rows * planes * groups, seed + 1, 0.01);
  c.offset = normals(rows * groups, seed + 2, 0.1);
  c.rows = {c.code.data(), c.scale.data(), c.offset.data(), planes, wide, padded};
  return c;
}

struct Quantized {
  std::vector<int8_t> code;
  std::vector<float> lane_scale, sum;
  int64_t padded;
  Int8Rows rows() const { return {code.data(), lane_scale.data(), sum.data(), padded}; }
};

Quantized quantize(const Kernels& kernels, const std::vector<float>& x, int64_t tokens,
                   int64_t cols) {
  const int64_t padded = padded_cols(cols);
  Quantized q{std::vector<int8_t>(static_cast<size_t>(tokens * padded), 99),
              std::vector<float>(static_cast<size_t>(tokens * padded / 4)),
              std::vector<float>(static_cast<size_t>(tokens * padded / 16)), padded};
  for (int64_t t = 0; t < tokens; ++t)
    kernels.quantize_int8(x.data() + t * cols, cols, q.code.data() + t * padded,
                          q.lane_scale.data() + t * padded / 4, q.sum.data() + t * padded / 16);
  return q;
}

TEST_P(EveryIsa, QuantizeInt8HasTheReferenceBits) {
  for (int64_t cols : {32, 64, 96, 100, 576, 1}) {
    auto x = normals(3 * cols, static_cast<uint64_t>(cols));
    std::fill(x.begin(), x.begin() + std::min<int64_t>(32, cols), 0.0f);  // a group of zeros
    const auto want = quantize(ref, x, 3, cols), got = quantize(simd, x, 3, cols);
    EXPECT_EQ(want.code, got.code) << cols;
    EXPECT_TRUE(same_bits(want.lane_scale, got.lane_scale)) << cols;
    EXPECT_TRUE(same_bits(want.sum, got.sum)) << cols;
  }
}

TEST_P(EveryIsa, Int8ErrorIsAtMostHalfAStep) {
  const int64_t cols = 256;
  const auto x = normals(cols, 9);
  const auto q = quantize(simd, x, 1, cols);
  for (int64_t i = 0; i < cols; ++i) {
    const float scale = q.lane_scale[static_cast<size_t>(i / 4)];
    ASSERT_LE(std::fabs(scale * q.code[static_cast<size_t>(i)] - x[static_cast<size_t>(i)]),
              0.501f * scale);
  }
}

TEST_P(EveryIsa, DotPlanesHasTheReferenceBits) {
  uint64_t seed = 100;
  for (bool wide : {false, true})
    for (int planes : {1, 2, 4})
      for (int64_t cols : {32, 64, 96, 576, 1536})
        for (int64_t rows : {1, 3, 4, 7})
          for (int64_t tokens : {1, 3, 4, 6}) {
            const auto w = random_planes(rows, planes, cols, wide, seed++);
            const auto x = quantize(ref, normals(tokens * cols, seed++), tokens, cols);
            std::vector<float> got(static_cast<size_t>(rows * tokens)), want(got);
            ref.dot_planes(w.rows, rows, x.rows(), tokens, want.data(), rows);
            simd.dot_planes(w.rows, rows, x.rows(), tokens, got.data(), rows);
            ASSERT_TRUE(same_bits(got, want))
                << "wide " << wide << " planes " << planes << " cols " << cols;
          }
}

TEST_P(EveryIsa, DotPlanesSurvivesExtremeCodes) {
  const int64_t cols = 64;
  PlaneCase w = random_planes(1, 1, cols, true, 5);
  std::fill(w.code.begin(), w.code.end(), 255);
  for (float sign : {-1.0f, 1.0f}) {
    const auto x = quantize(ref, std::vector<float>(static_cast<size_t>(cols), sign), 1, cols);
    float got = 0, want = 0;
    ref.dot_planes(w.rows, 1, x.rows(), 1, &want, 1);
    simd.dot_planes(w.rows, 1, x.rows(), 1, &got, 1);
    EXPECT_EQ(got, want);
  }
}

RC_GTEST_PROP(Kernels, DotPlanesEqualsReferenceOnEveryIsa, (uint64_t seed)) {
  const auto rows = *rc::gen::inRange<int64_t>(1, 20), tokens = *rc::gen::inRange<int64_t>(1, 10);
  const auto cols = 32 * *rc::gen::inRange<int64_t>(1, 13);
  const int planes = *rc::gen::inRange(1, kMaxPlanes + 1);
  const bool wide = *rc::gen::arbitrary<bool>();
  const auto w = random_planes(rows, planes, cols, wide, seed);
  const auto x = quantize(ref::table(), normals(tokens * cols, seed + 7), tokens, cols);
  std::vector<float> want(static_cast<size_t>(rows * tokens));
  ref::table().dot_planes(w.rows, rows, x.rows(), tokens, want.data(), rows);
  for (Isa isa : supported_isas()) {
    std::vector<float> got(want.size());
    kernels_for(isa).dot_planes(w.rows, rows, x.rows(), tokens, got.data(), rows);
    RC_ASSERT(same_bits(got, want));
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
    ref.softmax(a.data(), n);
    simd.softmax(b.data(), n);
    EXPECT_TRUE(same_bits(a, b)) << "softmax " << n;
    ref.rms_norm(x.data(), gain.data(), 1e-5f, n, a.data());
    simd.rms_norm(x.data(), gain.data(), 1e-5f, n, b.data());
    EXPECT_TRUE(same_bits(a, b)) << "rms_norm " << n;
  }
}

TEST_P(EveryIsa, SoftmaxSumsToOneAndSurvivesExtremes) {
  std::vector<float> x{-1e30f, 0.0f, 500.0f, 499.0f, -INFINITY};
  std::vector<float> want(x);
  simd.softmax(x.data(), 5);
  ref.softmax(want.data(), 5);
  EXPECT_TRUE(same_bits(x, want));
  EXPECT_NEAR(x[0] + x[1] + x[2] + x[3] + x[4], 1.0, 1e-6);
  EXPECT_NEAR(x[2], 1 / (1 + std::exp(-1.0)), 1e-6);
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
