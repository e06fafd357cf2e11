// LieQ (arXiv 2508.03332): how much a layer has made of its inputs, told from what its projections
// give on a text, and from what the model loses without the layer.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "alloc/spectrum.h"

namespace planeloom {

/// What a projection's outputs look like beside those of a random one.
struct ProjectionGain {
  double compactness = 0;  // (R~ - R) / R~, R the effective rank of the outputs, ~ at random
  double energy = 0;       // E_k - E_k~: energy in the k largest directions
};

/// Random projections that `projection_gain` takes the mean of, and the share of directions that
/// count as largest (k); the paper's are not known, these are reconstructed.
inline constexpr int kRandomProjections = 8;
inline constexpr double kTopShare = 0.1;

/// Of outputs W x: `moments` (cols, cols) = c sum x x^T of the inputs. Random weights are normal
/// with W's deviation and drawn by `seed`. Heads of `head_rows` rows stand alone; the mean.
ProjectionGain projection_gain(MatrixView w, int64_t head_rows, std::span<const double> moments,
                               uint64_t seed);

/// What is known of a layer.
struct LieqMeasures {
  double perplexity_drop = 0;  // perplexity without the layer less that with it
  double compactness = 0, energy = 0;
};

/// The first version's score: the three, each 0 to 1 over the layers, added up evenly (weights
/// reconstructed). The second version's is compactness alone.
std::vector<double> lieq_scores(std::span<const LieqMeasures> layers);

}  // namespace planeloom
