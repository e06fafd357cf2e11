// How sensitive the layers of a model are to losing bits, as published measures see it.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "alloc/lieq.h"
#include "alloc/nsds.h"
#include "alloc/stream.h"
#include "compress/calibration.h"

namespace planeloom {

inline constexpr size_t kLinears = std::size(kBlockLinears);

/// A measure's verdict.
struct Metric {
  std::string name;
  std::vector<double> layer;  // (layers): the higher, the more it needs its bits
  /// (layers) by Linear, where the measure tells them apart; else empty, each as its layer.
  std::vector<std::array<double, kLinears>> linear;
  /// Values are what a relative squared error of one costs, in one unit for all linears, a layer's
  /// the sum; else only their order and how unusual they are mean something.
  bool is_cost = false;

  double of(int64_t layer_index, Linear which) const {
    const auto l = static_cast<size_t>(layer_index);
    return linear.empty() ? layer[l] : linear[l][static_cast<size_t>(which)];
  }
};

/// One matrix by itself.
struct MatrixMeasures {
  double kurtosis = 0;  // excess
  double beyond = 0;    // share of weights further than a standard deviation from the mean
  double mse = 0;       // mean squared error of two bits by rounding to nearest, groups of 64;
                        // no number where none of 32 or more divides a row
};

/// What weights alone tell: of what was asked for.
struct WeightMeasures {
  std::vector<BlockMeasures> roles;                            // (layers)
  std::vector<std::array<MatrixMeasures, kLinears>> matrices;  // (layers)
  std::vector<BlockEnergy> energies;                           // (layers)
  Written embedding;  // the mean of what enters the first layer
};
struct WeightParts {
  bool roles = true, matrices = true, energies = true;
};

/// Reads every weight once; no text. Memory: one layer and the moments of the head. The same
/// figures for any number of threads. An error after Ctrl-C.
Result<WeightMeasures> measure_weights(const Model& model, WeightParts parts,
                                       const Compute& compute, Progress& progress);

/// Of roles: "nsds" (published code: strength / directions) and "nsds-product" (strength x
/// directions), by layer and by linear: a linear has the scores of its role. Of energies,
/// Planeloom's own: "stream" (alloc/stream.h) and "kinds" (what linears of its kind lost in
/// SmolLM2-135M, a little more or less by the stream: nats). Of matrices, to compare with:
/// "kurtosis", "kurtboost" (arXiv 2503.06518: kurtosis, as much again where it jumps by more than
/// two deviations from the layer before), "zd" (arXiv 2406.17415: fewer weights beyond one
/// deviation, more important), "mse".
std::vector<Metric> weight_metrics(const WeightMeasures& measures);

/// What measures nothing: "uniform" (all weights alike, so that all linears have the same bits, and
/// what is left over is spread evenly), "alike" (all linears alike whatever their size, so that the
/// smaller have more) and "index" (the earlier, the more sensitive).
std::vector<Metric> plain_metrics(const Config& config);

/// What a text tells.
struct TextMeasures {
  double perplexity = 0;           // of the model as it is
  std::vector<LieqMeasures> lieq;  // (layers)
  std::vector<double> turned;      // (layers): -cos of what a layer reads and what it writes, mean
};

/// Runs the text through the model once per layer that is left out. `seed` draws the random
/// projections. An error after Ctrl-C.
Result<TextMeasures> measure_on_text(const Model& model, const CalibrationText& text, uint64_t seed,
                                     const Compute& compute, Progress& progress);

/// "lieq" (the first version's combination), "lieq-compactness" (the second version's score),
/// "lieq-drop" and "lieq-energy" (perplexity drop and top-k energy gain alone), and to compare with
/// "lim" (arXiv 2406.17415: how much a layer turns what it reads).
std::vector<Metric> text_metrics(const TextMeasures& measures);

}  // namespace planeloom
