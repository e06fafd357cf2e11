#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace planeloom {

/// Which elements of a head turn together: kNorm pairs (2i, 2i+1), as GGUF stores Llama; kNeox
/// pairs (i, i + half).
enum class RopePairs { kNorm, kNeox };

/// Angles of a rotary embedding: theta_i = position * frequency_i, i < dims / 2 (RoFormer,
/// section 3.2.2).
struct RopeTable {
  std::vector<float> frequency;  // (dims / 2), scaling already applied
  float magnitude = 1.0f;        // YaRN's attention factor; 1 elsewhere
};

/// cos and sin of one position: (dims / 2) each, computed in double and rounded once.
void rope_angles(const RopeTable& table, int64_t position, float* cosine, float* sine);

/// Rotates the first 2 * half elements of one head in place.
void rope_rotate(float* head, const float* cosine, const float* sine, int64_t half,
                 RopePairs pairs);

}  // namespace planeloom
