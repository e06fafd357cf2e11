// NSDS (arXiv 2603.17354): how much a layer suffers from few bits, told from its weights alone, by
// the numerical vulnerability and the structural expressiveness of its operational roles.
#pragma once
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "alloc/block_weights.h"
#include "alloc/spectrum.h"
#include "base/thread_pool.h"

namespace planeloom {

/// Detectors read the residual stream, writers write to it.
enum class Role { kQk, kOv, kGate, kUp, kDown };
inline constexpr int kRoles = 5;
inline constexpr std::string_view kRoleNames[kRoles] = {"QK", "OV", "gate", "up", "down"};

/// Raw measures of one role in one layer; of heads the mean.
struct RoleMeasures {
  double vulnerability = 0;  // excess kurtosis of the entries
  double strength = 0;       // sum of singular values, each times what its direction does (beta)
  double directions = 0;     // exp of the entropy of those
};
using BlockMeasures = std::array<RoleMeasures, kRoles>;

/// The directions of the unembedding that hold 99 % of its energy: (kept, width), orthonormal rows.
/// gram: (width, width) = c sum u u^T over its rows u, gains of the output norm folded in.
std::vector<double> vocabulary_directions(const Blas& blas, std::span<const double> gram,
                                          int64_t width);

/// Measures one block. Gains are folded into what they scale; the products of heads are never made
/// whole. The same figures for any number of threads. After Ctrl-C some roles are left out: whoever
/// asked looks, too.
BlockMeasures measure_block(const Blas& blas, const BlockWeights& block,
                            std::span<const double> vocabulary, ThreadPool& pool);

/// How strength and the number of directions make expressiveness: divided, as the published code
/// does, or multiplied, as the text reads.
enum class Expressiveness { kRatio, kProduct };

struct NsdsScores {
  /// Of layers, as soft_or() gives them, not below 0: the higher, the more it needs its bits. The
  /// published scores are 1 - exp(-these).
  std::vector<double> score, vulnerability, expressiveness;
  /// Of the roles of every layer: both parts by soft OR.
  std::vector<std::array<double, kRoles>> role;
};

/// From the measures of all layers: unusual() over layers for each role, soft_or() over the roles
/// and then over the two parts. A role whose measure is zero in every layer does not count.
NsdsScores nsds_scores(std::span<const BlockMeasures> layers, Expressiveness form);

}  // namespace planeloom
