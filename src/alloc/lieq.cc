#include "alloc/lieq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace planeloom {
namespace {

struct Shape {
  double rank = 0, energy = 0;
};

/// Of the outputs of W: effective rank over squared singular values, and the energy of the largest.
Shape shape_of(MatrixView w, std::span<const double> moments) {
  const std::vector<double> v = eigenvalues(gram_through(w, moments), w.rows);
  const auto largest = static_cast<std::ptrdiff_t>(
      std::max(1.0, std::ceil(kTopShare * static_cast<double>(w.rows))));
  const double all = std::accumulate(v.begin(), v.end(), 0.0),
               top = std::accumulate(v.begin(), v.begin() + largest, 0.0);
  return {effective_count(v), all > 0 ? top / all : 0};
}

double deviation(MatrixView w) {
  double sum = 0, squares = 0;
  const auto n = static_cast<double>(w.rows * w.cols);
  for (int64_t i = 0; i < w.rows * w.cols; ++i) {
    sum += w.data[i];
    squares += double{w.data[i]} * w.data[i];
  }
  return std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
}

/// To 0 ... 1; all 0 when they are alike. An infinite one is the most, one that is no number the
/// least.
std::vector<double> stretched(std::vector<double> v) {
  double least = INFINITY, most = -INFINITY;
  for (const double x : v)
    if (std::isfinite(x)) least = std::min(least, x), most = std::max(most, x);
  for (double& x : v)
    x = x == INFINITY ? 1 : most > least && std::isfinite(x) ? (x - least) / (most - least) : 0;
  return v;
}

}  // namespace

ProjectionGain projection_gain(MatrixView w, int64_t head_rows, std::span<const double> moments,
                               uint64_t seed) {
  ProjectionGain gain;
  std::vector<float> drawn(static_cast<size_t>(head_rows * w.cols));
  const double sigma = deviation(w);
  Shape random;
  for (int i = 0; i < kRandomProjections; ++i) {
    Rng rng(seed + static_cast<uint64_t>(i));
    for (float& x : drawn) x = static_cast<float>(sigma * rng.normal());
    const Shape one = shape_of({drawn.data(), head_rows, w.cols}, moments);
    random.rank += one.rank / kRandomProjections;
    random.energy += one.energy / kRandomProjections;
  }
  const int64_t heads = w.rows / head_rows;
  for (int64_t h = 0; h < heads; ++h) {
    const Shape learned = shape_of(w.rows_from(h * head_rows, head_rows), moments);
    if (random.rank > 0)
      gain.compactness += (random.rank - learned.rank) / random.rank / static_cast<double>(heads);
    gain.energy += (learned.energy - random.energy) / static_cast<double>(heads);
  }
  return gain;
}

std::vector<double> lieq_scores(std::span<const LieqMeasures> layers) {
  std::vector<double> score(layers.size());
  for (const auto part :
       {&LieqMeasures::perplexity_drop, &LieqMeasures::compactness, &LieqMeasures::energy}) {
    std::vector<double> raw;
    for (const LieqMeasures& m : layers) raw.push_back(m.*part);
    raw = stretched(std::move(raw));
    for (size_t i = 0; i < score.size(); ++i) score[i] += raw[i] / 3;
  }
  return score;
}

}  // namespace planeloom
