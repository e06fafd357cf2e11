// Coefficients as a file stores them (codecs/planes.h): the methods round inside their loops, so
// that codes are chosen for the weights that are served.
#pragma once
#include <cstddef>

#include "codecs/codec.h"

namespace planeloom {

/// What a group's coefficients become.
class CoefficientForm {
 public:
  static CoefficientForm bitplanes(Coefficients stored, int planes) { return {stored, planes}; }
  static CoefficientForm tritplanes(Coefficients stored) { return {stored, 0}; }

  Coefficients stored() const { return stored_; }
  /// Bytes that a row and group takes.
  int bytes() const;
  /// Rounds in place, to what a reader decodes, and writes it to `to` (bytes(); may be null). Bit-
  /// planes: c_0 ... c_(planes - 1), bias; trit-planes: a1, a2, or the tied scale. Rounding what is
  /// rounded changes nothing.
  void round(double* c, std::byte* to) const;

 private:
  CoefficientForm(Coefficients stored, int planes) : stored_(stored), planes_(planes) {}
  int count() const;
  bool fits(const double* q) const;
  void round_to_bytes(double* c, std::byte* to) const;

  Coefficients stored_;
  int planes_;  // 0: trit-planes
};

}  // namespace planeloom
