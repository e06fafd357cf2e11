#include "quant/coefficients.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "quant/methods.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

constexpr int kExponentBias = 127, kLeastExponent = 1;

using Digits = std::array<float, kMaxLevels>;

template <class Digit>
Digits digits_of(Digit digit) {
  Digits out{};
  for (int v = 0; v < kMaxLevels; ++v) out[static_cast<size_t>(v)] = static_cast<float>(digit(v));
  return out;
}

bool within(double q, double most) { return std::abs(q) <= most; }

}  // namespace

int CoefficientForm::count() const {
  if (!trits()) return planes_ + 1;
  return stored_ == Coefficients::kTied ? 1 : 2;
}

const float* CoefficientForm::digits(int p) const {
  static const std::array<Digits, kMaxPlanes> bits = {
      digits_of([](int v) { return v & 1; }), digits_of([](int v) { return v >> 1 & 1; }),
      digits_of([](int v) { return v >> 2 & 1; }), digits_of([](int v) { return v >> 3 & 1; })};
  static const Digits one = digits_of([](int) { return 1; });
  static const std::array<Digits, 2> trit = {digits_of([](int v) { return v % 3 - 1; }),
                                             digits_of([](int v) { return v / 3 - 1; })};
  static const Digits tied =
      digits_of([](int v) { return kTiedRatio[0] * (v % 3 - 1) + kTiedRatio[1] * (v / 3 - 1); });
  const auto at = static_cast<size_t>(p);
  if (!trits()) return (p < planes_ ? bits[at] : one).data();
  return (stored_ == Coefficients::kTied ? tied : trit[at]).data();
}

int CoefficientForm::bytes() const {
  return stored_ == Coefficients::kByte ? count() + 1 : 2 * count();
}

void CoefficientForm::round(double* c, std::byte* to) const {
  if (stored_ == Coefficients::kByte) return round_to_bytes(c, to);
  for (int i = 0; i < count(); ++i) {
    const uint16_t half = round_to_half(c[i]);
    c[i] = static_cast<double>(half_to_float(half));
    if (to) std::memcpy(to + 2 * i, &half, 2);
  }
}

/// Whether a reader, whose sums are cut (codecs/planes.h), sees these integers as they are.
bool CoefficientForm::fits(const double* q) const {
  constexpr double kByte = 127;
  for (int i = 0; i < count(); ++i)
    if (!within(q[i], kByte)) return false;
  if (trits()) return within(std::abs(q[0]) + std::abs(q[1]), kSevenBits.zero);
  const double most = std::min<double>(kByte, bitplane_depth(planes_, stored_).zero),
               bias = q[planes_], second = planes_ > 1 ? q[1] : 0, third = planes_ > 2 ? q[2] : 0,
               fourth = planes_ > 3 ? q[3] : 0;
  if (!within(third + fourth, kByte)) return false;
  for (const double low : {bias, bias + q[0], bias + second, bias + q[0] + second})
    for (const double high : {0.0, third, fourth, third + fourth})
      if (!within(low, most) || !within(low + high, most)) return false;
  return true;
}

/// Integers with the smallest common power of two at which they fit.
void CoefficientForm::round_to_bytes(double* c, std::byte* to) const {
  double largest = 0;
  for (int i = 0; i < count(); ++i) largest = std::max(largest, std::abs(c[i]));
  int exponent = kLeastExponent;
  if (largest > 0)  // at most 127 of a single coefficient: where the search begins
    exponent =
        std::clamp(std::ilogb(largest) - 6 + kExponentBias, kLeastExponent, int{kLargestExponent});
  double q[kMaxCoef];
  for (;; ++exponent) {
    for (int i = 0; i < count(); ++i)
      q[i] = std::nearbyint(std::ldexp(c[i], kExponentBias - exponent));
    if (fits(q) || exponent == kLargestExponent) break;
  }
  for (int i = 0; i < count(); ++i) {
    c[i] = std::ldexp(q[i], exponent - kExponentBias);
    if (to) to[i] = static_cast<std::byte>(static_cast<int8_t>(q[i]));
  }
  if (to) to[count()] = static_cast<std::byte>(exponent);
}

}  // namespace planeloom
