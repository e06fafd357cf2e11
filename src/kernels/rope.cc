#include "kernels/rope.h"

#include <cmath>

namespace planeloom {

void rope_angles(const RopeTable& table, int64_t position, float* cosine, float* sine) {
  for (size_t i = 0; i < table.frequency.size(); ++i) {
    const double angle = static_cast<double>(position) * static_cast<double>(table.frequency[i]);
    cosine[i] = static_cast<float>(std::cos(angle)) * table.magnitude;
    sine[i] = static_cast<float>(std::sin(angle)) * table.magnitude;
  }
}

void rope_rotate(float* head, const float* cosine, const float* sine, int64_t half,
                 RopePairs pairs) {
  const int64_t step = pairs == RopePairs::kNorm ? 2 : 1,
                partner = pairs == RopePairs::kNorm ? 1 : half;
  for (int64_t i = 0; i < half; ++i) {
    float& a = head[i * step];
    float& b = head[i * step + partner];
    const float x = a, y = b;
    a = x * cosine[i] - y * sine[i];
    b = x * sine[i] + y * cosine[i];
  }
}

}  // namespace planeloom
