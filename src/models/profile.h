#pragma once
#include <array>
#include <chrono>
#include <string_view>

#include "models/hooks.h"

namespace planeloom {

/// Seconds that passes spent per operation. The first eight are the linears, in the order of
/// Linear; what is in none (norms, residual sums, embedding) is the rest of the pass.
struct Profile {
  static constexpr size_t kLinears = 8, kRope = 8, kAttention = 9, kGate = 10, kOperations = 11;
  static constexpr std::string_view kNames[kOperations] = {
      "q", "k", "v", "o", "gate", "up", "down", "head", "rope, cache", "attention", "gating"};
  std::array<double, kOperations> seconds{};
};

/// Adds its lifetime to one operation; does nothing without a profile.
class Timed {
 public:
  Timed(Profile* profile, size_t operation) : profile_(profile), operation_(operation) {
    if (profile_) begin_ = Clock::now();
  }
  Timed(Profile* profile, Linear linear) : Timed(profile, static_cast<size_t>(linear)) {}
  ~Timed() {
    if (profile_)
      profile_->seconds[operation_] += std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Profile* profile_;
  size_t operation_;
  Clock::time_point begin_;
};

}  // namespace planeloom
