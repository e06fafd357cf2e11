#include "alloc/nsds.h"

#include <algorithm>
#include <cmath>

#include "alloc/combine.h"
#include "base/progress.h"

namespace planeloom {
namespace {

constexpr double kEnergy = 0.99;  // of a spectrum that counts

/// A matrix with gains folded in.
struct Folded {
  std::vector<float> data;
  int64_t rows = 0, cols = 0;
  MatrixView view() const { return {data.data(), rows, cols}; }
};

/// Gain of the input columns; of output rows, those of a head over and over.
Folded fold(MatrixView w, std::span<const float> input, std::span<const float> output) {
  Folded f{std::vector<float>(w.data, w.data + w.rows * w.cols), w.rows, w.cols};
  for (int64_t r = 0; r < w.rows; ++r) {
    float* row = f.data.data() + r * w.cols;
    const auto of_row = output.empty() ? 1.0f : output[static_cast<size_t>(r) % output.size()];
    for (int64_t c = 0; c < w.cols; ++c)
      row[c] *= of_row * (input.empty() ? 1.0f : input[static_cast<size_t>(c)]);
  }
  return f;
}

/// Columns first ... of w as rows: (count, rows).
Folded turned_columns(MatrixView w, int64_t first, int64_t count) {
  Folded f{std::vector<float>(static_cast<size_t>(count * w.rows)), count, w.rows};
  for (int64_t r = 0; r < w.rows; ++r)
    for (int64_t c = 0; c < count; ++c)
      f.data[static_cast<size_t>(c * w.rows + r)] = w.data[r * w.cols + first + c];
  return f;
}

double kurtosis_of(std::span<const double> v) {
  Moments m;
  m.add(v);
  return m.kurtosis();
}

std::span<const double> vector_of(const std::vector<double>& vectors, int64_t i, size_t n) {
  return std::span(vectors).subspan(static_cast<size_t>(i) * n, n);
}

/// Strength and directions of the singular values that hold the energy, each times its beta.
template <class Beta>
void express(const Spectrum& s, Beta beta, RoleMeasures& out) {
  std::vector<double> weighted;
  for (int64_t i = 0; i < s.covering(kEnergy); ++i)
    weighted.push_back(s.value[static_cast<size_t>(i)] * beta(i));
  out.strength = 0;
  for (const double w : weighted) out.strength += w;
  out.directions = effective_count(weighted);
}

/// log(1 + relu(kurtosis)) of input directions: a peaky one detects something in particular.
void express_detector(const Spectrum& s, size_t width, RoleMeasures& out) {
  express(
      s,
      [&](int64_t i) {
        return std::log1p(std::max(0.0, kurtosis_of(vector_of(s.right, i, width))));
      },
      out);
}

/// How much of an output direction lies in the vocabulary's.
void express_writer(const Blas& blas, const Spectrum& s, std::span<const double> vectors,
                    size_t width, std::span<const double> vocabulary, RoleMeasures& out) {
  const std::vector<double> density =
      lengths_within(blas, vectors.first(static_cast<size_t>(s.covering(kEnergy)) * width),
                     vocabulary, static_cast<int64_t>(width));
  express(s, [&](int64_t i) { return density[static_cast<size_t>(i)]; }, out);
}

RoleMeasures mean(const std::vector<RoleMeasures>& heads) {
  RoleMeasures m;
  const auto n = static_cast<double>(heads.size());
  for (const RoleMeasures& h : heads) {
    m.vulnerability += h.vulnerability / n;
    m.strength += h.strength / n;
    m.directions += h.directions / n;
  }
  return m;
}

/// Measures of every head: `measure(head, kv head)`.
template <class Measure>
RoleMeasures over_heads(const BlockWeights& block, ThreadPool& pool, Measure measure) {
  std::vector<RoleMeasures> heads(static_cast<size_t>(block.heads));
  pool.parallel_for(block.heads, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t h = begin; h < end; ++h)
      heads[static_cast<size_t>(h)] = measure(h, h / (block.heads / block.kv_heads));
  });
  return mean(heads);
}

RoleMeasures measure_qk(const Blas& blas, const BlockWeights& b, ThreadPool& pool) {
  const Folded q = fold(b.q, b.attention_norm, b.q_norm), k = fold(b.k, b.attention_norm, b.k_norm);
  return over_heads(b, pool, [&](int64_t h, int64_t kv) {
    const MatrixView left = q.view().rows_from(h * b.head_dim, b.head_dim),
                     right = k.view().rows_from(kv * b.head_dim, b.head_dim);
    const Spectrum s = spectrum_of_product(left, right);
    const auto width = static_cast<size_t>(left.cols);
    RoleMeasures m;
    m.vulnerability = kurtosis_of_product(blas, left, right);
    express(
        s,
        [&](int64_t i) {
          return std::log1p(std::max(0.0, kurtosis_of(vector_of(s.left, i, width))) *
                            std::max(0.0, kurtosis_of(vector_of(s.right, i, width))));
        },
        m);
    return m;
  });
}

RoleMeasures measure_ov(const Blas& blas, const BlockWeights& b, std::span<const double> vocabulary,
                        ThreadPool& pool) {
  const Folded v = fold(b.v, b.attention_norm, {}), o = fold(b.o, {}, b.post_attention_norm);
  return over_heads(b, pool, [&](int64_t h, int64_t kv) {
    const Folded out = turned_columns(o.view(), h * b.head_dim, b.head_dim);
    const MatrixView in = v.view().rows_from(kv * b.head_dim, b.head_dim);
    const Spectrum s = spectrum_of_product(out.view(), in);
    RoleMeasures m;
    m.vulnerability = kurtosis_of_product(blas, out.view(), in);
    express_writer(blas, s, s.left, static_cast<size_t>(out.cols), vocabulary, m);
    return m;
  });
}

RoleMeasures measure_feed_forward(const Blas& blas, const BlockWeights& b, Role role,
                                  std::span<const double> vocabulary) {
  RoleMeasures m;
  if (role == Role::kDown) {
    const Folded w = fold(b.down, {}, b.post_ffn_norm);
    m.vulnerability = kurtosis(w.view());
    const Spectrum s = spectrum_of_gram(blas, gram_of_rows(blas, w.view()), w.rows);
    express_writer(blas, s, s.right, static_cast<size_t>(w.rows), vocabulary, m);
  } else {
    const Folded w = fold(role == Role::kGate ? b.gate : b.up, b.ffn_norm, {});
    m.vulnerability = kurtosis(w.view());
    express_detector(spectrum_of_gram(blas, gram_of_columns(blas, w.view()), w.cols),
                     static_cast<size_t>(w.cols), m);
  }
  return m;
}

}  // namespace

std::vector<double> vocabulary_directions(const Blas& blas, std::span<const double> gram,
                                          int64_t width) {
  Spectrum s = spectrum_of_gram(blas, gram, width);
  s.right.resize(static_cast<size_t>(s.covering(kEnergy) * width));
  return std::move(s.right);
}

BlockMeasures measure_block(const Blas& blas, const BlockWeights& block,
                            std::span<const double> vocabulary, ThreadPool& pool) {
  constexpr Role kFeedForward[] = {Role::kGate, Role::kUp, Role::kDown};
  BlockMeasures m;
  m[static_cast<size_t>(Role::kQk)] = measure_qk(blas, block, pool);
  if (interrupted()) return m;
  m[static_cast<size_t>(Role::kOv)] = measure_ov(blas, block, vocabulary, pool);
  pool.parallel_for(3, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end && !interrupted(); ++i)
      m[static_cast<size_t>(kFeedForward[i])] =
          measure_feed_forward(blas, block, kFeedForward[i], vocabulary);
  });
  return m;
}

NsdsScores nsds_scores(std::span<const BlockMeasures> layers, Expressiveness form) {
  std::vector<std::vector<double>>
      z[2];                        // vulnerability, expressiveness: (roles that count, layers)
  std::vector<size_t> counted[2];  // which roles those are
  for (size_t role = 0; role < kRoles; ++role)
    for (const bool expressive : {false, true}) {
      std::vector<double> raw;
      for (const BlockMeasures& layer : layers) {
        const RoleMeasures& m = layer[role];
        raw.push_back(!expressive                        ? m.vulnerability
                      : form == Expressiveness::kProduct ? m.strength * m.directions
                      : m.directions > 0                 ? m.strength / m.directions
                                                         : 0);
      }
      if (std::ranges::all_of(raw, [](double r) { return r == 0; })) continue;
      z[expressive].push_back(unusual(raw));
      counted[expressive].push_back(role);
    }
  NsdsScores out;
  for (size_t l = 0; l < layers.size(); ++l) {
    std::vector<double> parts[2], of_role[kRoles];
    for (const bool expressive : {false, true})
      for (size_t i = 0; i < z[expressive].size(); ++i) {
        parts[expressive].push_back(z[expressive][i][l]);
        of_role[counted[expressive][i]].push_back(z[expressive][i][l]);
      }
    out.vulnerability.push_back(soft_or(parts[0]));
    out.expressiveness.push_back(soft_or(parts[1]));
    // The soft OR of two soft ORs.
    out.score.push_back((out.vulnerability.back() + out.expressiveness.back()) / 2);
    auto& roles = out.role.emplace_back();
    for (size_t role = 0; role < kRoles; ++role) roles[role] = soft_or(of_role[role]);
  }
  return out;
}

}  // namespace planeloom
