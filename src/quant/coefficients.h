// Coefficients as a file stores them (codecs/planes.h): the methods round inside their loops, so
// that codes are chosen for the weights that are served.
#pragma once
#include <cstddef>

#include "codecs/planes.h"

namespace planeloom {

inline constexpr int kMaxCoef = kMaxPlanes + 1, kMaxLevels = 1 << kMaxPlanes;

/// What a group's coefficients become, and what a code makes of them: the level of code v is
/// sum_p c_p digits(p)[v].
class CoefficientForm {
 public:
  static CoefficientForm bitplanes(Coefficients stored, int planes) { return {stored, planes}; }
  static CoefficientForm tritplanes(Coefficients stored) { return {stored, 0}; }

  Coefficients stored() const { return stored_; }
  bool trits() const { return planes_ == 0; }
  /// How many coefficients there are, and codes.
  int count() const;
  int levels() const { return trits() ? 9 : 1 << planes_; }
  /// Of bit-planes the bit, 1 for the bias; of trit-planes the trit, 3 t1 + 2 t2 for the tied
  /// scale. (levels())
  const float* digits(int p) const;
  /// Bytes that a row and group takes.
  int bytes() const;
  /// Rounds in place, to what a reader decodes, and writes it to `to` (bytes(); may be null). Bit-
  /// planes: c_0 ... c_(planes - 1), bias; trit-planes: a1, a2, or the tied scale. Rounding what is
  /// rounded changes nothing.
  void round(double* c, std::byte* to) const;

 private:
  CoefficientForm(Coefficients stored, int planes) : stored_(stored), planes_(planes) {}
  bool fits(const double* q) const;
  void round_to_bytes(double* c, std::byte* to) const;

  Coefficients stored_;
  int planes_;  // 0: trit-planes
};

}  // namespace planeloom
