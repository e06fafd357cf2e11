#include "quant/coefficients.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "codecs/planes.h"

namespace planeloom {
namespace {

std::vector<double> random_coefficients(int count, Rng& rng) {
  const double size = std::ldexp(1.0, static_cast<int>(rng.below(24)) - 16);
  std::vector<double> c(static_cast<size_t>(count));
  for (double& v : c) v = size * rng.normal();
  return c;
}

/// What a reader makes of the stored bytes: every level of one group of bit-planes.
std::vector<float> levels_of(Coefficients stored, int planes, std::span<const std::byte> coef) {
  std::vector<uint8_t> codes(32);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i % (1u << planes));
  const auto m = encode_bitplane(planes, 32, stored, 1, 32, codes, coef);
  EXPECT_TRUE(m);
  std::vector<float> w(32);
  m->codec->decode_row(m->view(), 0, w.data());
  return w;
}

RC_GTEST_PROP(CoefficientForm, RoundedBitPlanesAreWhatAReaderDecodes, ()) {
  const int planes = *rc::gen::inRange(1, 5);
  const auto stored = *rc::gen::element(Coefficients::kHalf, Coefficients::kByte);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  const auto form = CoefficientForm::bitplanes(stored, planes);
  const auto given = random_coefficients(planes + 1, rng);
  auto c = given;
  std::vector<std::byte> bytes(static_cast<size_t>(form.bytes()));
  form.round(c.data(), bytes.data());
  const auto w = levels_of(stored, planes, bytes);
  double top = 0;
  for (double v : given) top = std::max(top, std::abs(v));
  for (size_t i = 0; i < w.size(); ++i) {
    double want = c[static_cast<size_t>(planes)];
    for (int p = 0; p < planes; ++p)
      want += i >> p & 1 && i % (1u << planes) >> p & 1 ? c[static_cast<size_t>(p)] : 0;
    // fp16 tables are added in float
    RC_ASSERT(std::abs(w[i] - want) <= (stored == Coefficients::kHalf ? 1e-6 * top : 0));
  }
  // The integers use more than a quarter of what fits: |levels| add up at most planes + 1
  // coefficients, and doubling the scale once more would have been refused.
  if (stored == Coefficients::kByte)
    for (size_t i = 0; i < c.size(); ++i)
      RC_ASSERT(std::abs(c[i] - given[i]) <= (planes + 1) * top / 31);
  auto again = c;
  form.round(again.data(), bytes.data());
  RC_ASSERT(again == c);
  RC_ASSERT(levels_of(stored, planes, bytes) == w);
}

RC_GTEST_PROP(CoefficientForm, RoundedTritPlanesAreWhatAReaderDecodes, ()) {
  const auto stored =
      *rc::gen::element(Coefficients::kHalf, Coefficients::kByte, Coefficients::kTied);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  const auto form = CoefficientForm::tritplanes(stored);
  auto c = random_coefficients(stored == Coefficients::kTied ? 1 : 2, rng);
  std::vector<std::byte> bytes(static_cast<size_t>(form.bytes()));
  form.round(c.data(), bytes.data());
  std::vector<uint8_t> codes(32);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i % 9);
  const auto m = encode_tritplane(32, stored, 1, 32, codes, bytes);
  RC_ASSERT(m.has_value());
  std::vector<float> w(32);
  m->codec->decode_row(m->view(), 0, w.data());
  for (size_t i = 0; i < w.size(); ++i) {
    const double t1 = static_cast<double>(codes[i] % 3) - 1,
                 t2 = static_cast<double>(codes[i] / 3) - 1;
    const double want =
        stored == Coefficients::kTied ? c[0] * (3 * t1 + 2 * t2) : c[0] * t1 + c[1] * t2;
    RC_ASSERT(std::abs(w[i] - want) <= 1e-6 * std::abs(want));
  }
  auto again = c;
  form.round(again.data(), nullptr);
  RC_ASSERT(again == c);
}

TEST(CoefficientForm, ZerosAndExtremesAreStored) {
  for (const double value : {0.0, 1e-30, 65504.0, -65504.0}) {
    for (int planes = 1; planes <= kMaxPlanes; ++planes) {
      const auto form = CoefficientForm::bitplanes(Coefficients::kByte, planes);
      std::vector<double> c(static_cast<size_t>(planes + 1), value);
      std::vector<std::byte> bytes(static_cast<size_t>(form.bytes()));
      form.round(c.data(), bytes.data());
      for (double v : c) EXPECT_NEAR(v, value, std::abs(value) / 4 + 1e-30) << planes;
      for (float w : levels_of(Coefficients::kByte, planes, bytes)) EXPECT_TRUE(std::isfinite(w));
    }
  }
}

}  // namespace
}  // namespace planeloom
