#include "codecs/rotation.h"

#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

#include "base/rng.h"

namespace planeloom {
namespace {

constexpr int64_t kLeastPower = 16;  // a vector of the kernels

}  // namespace

Rotation::Rotation(int64_t odd, int64_t power, uint32_t seed)
    : odd_(odd),
      power_(power),
      seed_(seed),
      sign_(static_cast<size_t>(odd * power)),
      across_(static_cast<size_t>(odd * odd)) {
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(power)));
  Rng rng(seed);  // the signs that a seed stands for, the same everywhere
  uint64_t bits = 0;
  for (size_t i = 0; i < sign_.size(); ++i) {
    if (i % 64 == 0) bits = rng.next();
    sign_[i] = (bits >> (i % 64)) & 1 ? -scale : scale;
  }
  const auto n = static_cast<double>(odd);
  for (int64_t k = 0; k < odd; ++k)
    for (int64_t j = 0; j < odd; ++j)
      across_[static_cast<size_t>(k * odd + j)] = static_cast<float>(
          std::sqrt((k ? 2 : 1) / n) *
          std::cos(std::numbers::pi * static_cast<double>((2 * j + 1) * k) / (2 * n)));
}

Result<std::shared_ptr<const Rotation>> Rotation::make(int64_t size, uint32_t seed) {
  if (size <= 0 || size > (int64_t{1} << 31))
    return fail("[rotation] {} columns, out of range", size);
  const int64_t power = int64_t{1} << std::countr_zero(static_cast<uint64_t>(size));
  if (power < kLeastPower)
    return fail("[rotation] {} columns, a multiple of {} wanted", size, kLeastPower);
  if (size / power > kMostBlocks)
    return fail("[rotation] {} columns are {} times a power of two, at most {} times wanted", size,
                size / power, kMostBlocks);
  static std::mutex mutex;
  static std::map<std::pair<int64_t, uint32_t>, std::weak_ptr<const Rotation>> known;
  const std::lock_guard lock(mutex);
  std::erase_if(known, [](const auto& entry) { return entry.second.expired(); });
  auto& held = known[{size, seed}];
  auto rotation = held.lock();
  if (!rotation) {
    rotation.reset(new Rotation(size / power, power, seed));
    held = rotation;
  }
  return rotation;
}

/// Unscaled, each block in place, strides rising.
void Rotation::hadamard(float* x) const {
  for (int64_t stride = 1; stride < power_; stride *= 2)
    for (int64_t i = 0; i < size(); ++i) {
      if (i & stride) continue;
      const float a = x[i], b = x[i + stride];
      x[i] = a + b;
      x[i + stride] = a - b;
    }
}

/// C, or its transpose, across blocks, in place.
void Rotation::mix(float* x, bool transposed) const {
  if (odd_ == 1) return;
  float column[kMostBlocks];
  const int64_t row = transposed ? 1 : odd_, next_col = transposed ? odd_ : 1;
  for (int64_t i = 0; i < power_; ++i) {
    for (int64_t k = 0; k < odd_; ++k) {
      float sum = 0;
      for (int64_t j = 0; j < odd_; ++j)
        sum =
            std::fma(across_[static_cast<size_t>(k * row + j * next_col)], x[j * power_ + i], sum);
      column[k] = sum;
    }
    for (int64_t k = 0; k < odd_; ++k) x[k * power_ + i] = column[k];
  }
}

void Rotation::apply(const float* x, float* out) const {
  for (int64_t i = 0; i < size(); ++i) out[i] = x[i] * sign_[static_cast<size_t>(i)];
  hadamard(out);
  mix(out, false);
}

void Rotation::undo(float* x) const {
  mix(x, true);
  hadamard(x);
  for (int64_t i = 0; i < size(); ++i) x[i] *= sign_[static_cast<size_t>(i)];
}

}  // namespace planeloom
