// A change of a linear's inputs that spreads outliers over all columns before quantizing (QuaRot,
// arXiv 2404.00456; QuIP#, arXiv 2402.04396): y = W x = (W R^T)(R x), R orthogonal. The file holds
// W R^T, the kernels apply R to x.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// R = (C x H) S for vectors of odd * power values: S flips signs at random, H is the Hadamard
/// matrix of a power of two on each of `odd` blocks, C the orthonormal cosine transform (DCT-II)
/// across the blocks. So every width has one, and its cost is about odd + log2(power) operations a
/// value.
class Rotation {
 public:
  /// The one of this width and seed, shared by all who ask while somebody holds it. An error when
  /// the width is no multiple of 16 or its odd part is above 255.
  static Result<std::shared_ptr<const Rotation>> make(int64_t size, uint32_t seed);

  int64_t size() const { return odd_ * power_; }
  uint32_t seed() const { return seed_; }
  int64_t odd() const { return odd_; }      // blocks
  int64_t power() const { return power_; }  // values of a block, 16 or more
  /// S and H's factor 1 / sqrt(power): (size).
  const float* sign() const { return sign_.data(); }
  /// C, row-major: (odd, odd).
  const float* across() const { return across_.data(); }

  /// out = R x, the reference of Kernels::rotate. x, out: (size), apart.
  void apply(const float* x, float* out) const;
  /// x = R^T x in place.
  void undo(float* x) const;

 private:
  Rotation(int64_t odd, int64_t power, uint32_t seed);
  void hadamard(float* x) const;
  void mix(float* x, bool transposed) const;

  int64_t odd_, power_;
  uint32_t seed_;
  std::vector<float> sign_, across_;
};

inline constexpr int64_t kMostBlocks = 255;

}  // namespace planeloom
