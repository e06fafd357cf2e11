#include "quant/coefficients.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "quant/methods.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

constexpr int kExponentBias = 127, kLeastExponent = 1;

bool within(double q, double most) { return std::abs(q) <= most; }

}  // namespace

int CoefficientForm::count() const {
  if (planes_ > 0) return planes_ + 1;
  return stored_ == Coefficients::kTied ? 1 : 2;
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
  if (planes_ == 0) return within(std::abs(q[0]) + std::abs(q[1]), kSevenBits.zero);
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
  double q[kMaxPlanes + 1];
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
