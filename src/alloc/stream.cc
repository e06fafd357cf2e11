#include "alloc/stream.h"

#include <Eigen/Dense>
#include <array>
#include <cmath>
#include <numbers>

namespace planeloom {
namespace {

using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Wide = Eigen::MatrixXd;

/// Rows of `w` with gains of the inputs.
RowMajor gained(MatrixView w, std::span<const float> gain) {
  RowMajor m = Eigen::Map<const RowMajor>(w.data, w.rows, w.cols);
  if (!gain.empty())
    m *= Eigen::Map<const Eigen::VectorXf>(gain.data(), static_cast<Eigen::Index>(gain.size()))
             .asDiagonal();
  return m;
}

Wide gram_of(const RowMajor& rows) { return (rows * rows.transpose()).cast<double>(); }

double squares(std::span<const float> v) {
  double sum = 0;
  for (const float x : v) sum += double{x} * x;
  return sum;
}

/// A gated activation and its derivative.
struct Gated {
  double value, slope;
};
Gated silu(double x) {
  const double s = 1 / (1 + std::exp(-x));
  return {x * s, s * (1 + x * (1 - s))};
}
Gated gelu(double x) {  // the tanh form
  constexpr double kA = 0.7978845608028654, kB = 0.044715;
  const double t = std::tanh(kA * (x + kB * x * x * x));
  return {0.5 * x * (1 + t), 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kA * (1 + 3 * kB * x * x)};
}

/// Means over a standard normal z: values of z and their weights, the trapezoidal rule, which
/// converges fast on it.
struct Node {
  double z, weight;
};
constexpr size_t kNodes = 65;
std::array<Node, kNodes> normal_nodes() {
  std::array<Node, kNodes> nodes{};
  constexpr double kReach = 8, kStep = 2 * kReach / (kNodes - 1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const double z = -kReach + static_cast<double>(i) * kStep;
    nodes[i] = {z, std::exp(-z * z / 2) * kStep / std::sqrt(2 * std::numbers::pi)};
  }
  return nodes;
}

/// What rows of the head read of each column of `w`: (rows of the head, columns), such that squared
/// lengths are means over those rows.
RowMajor read_by(const RowMajor& head, const RowMajor& w) {
  return head * w / std::sqrt(static_cast<float>(head.rows()));
}

/// Of a normed output: its gains' squares.
Written of_gains(const RowMajor& head, std::span<const float> gain) {
  const RowMajor read = gained({head.data(), head.rows(), head.cols()}, gain);
  return {squares(gain), double{read.squaredNorm()} / static_cast<double>(head.rows())};
}

void add_attention(const BlockWeights& b, const RowMajor& head, BlockEnergy& out) {
  const RowMajor q = gained(b.q, b.attention_norm), k = gained(b.k, b.attention_norm),
                 v = gained(b.v, b.attention_norm), o = gained(b.o, {}), read = read_by(head, o);
  const Eigen::Index d = b.head_dim;
  for (int64_t kv = 0; kv < b.kv_heads; ++kv) {
    const Wide of_k = gram_of(k.middleRows(kv * d, d)), of_v = gram_of(v.middleRows(kv * d, d));
    for (int64_t h = kv * b.heads / b.kv_heads; h < (kv + 1) * b.heads / b.kv_heads; ++h) {
      // ||A B||^2 = sum of A^T A times B B^T, entry by entry.
      const auto energy = [&](const RowMajor& w) {
        return gram_of(w.middleCols(h * d, d).transpose()).cwiseProduct(of_v).sum() / kAttended;
      };
      out.attention.length += energy(o);
      out.attention.read += energy(read);
      out.logits +=
          gram_of(q.middleRows(h * d, d)).cwiseProduct(of_k).sum() / static_cast<double>(b.heads);
    }
  }
  if (!b.q_norm.empty()) {
    out.logits = 0;
    for (size_t i = 0; i < b.q_norm.size(); ++i)
      out.logits += std::pow(double{b.q_norm[i]} * b.k_norm[i], 2);
  }
  out.logits *= b.attention_scale * b.attention_scale;
  if (!b.post_attention_norm.empty()) out.attention = of_gains(head, b.post_attention_norm);
}

void add_feed_forward(const BlockWeights& b, const RowMajor& head, BlockEnergy& out) {
  const RowMajor gate = gained(b.gate, b.ffn_norm), up = gained(b.up, b.ffn_norm),
                 down = gained(b.down, {});
  const Eigen::VectorXf written = down.colwise().squaredNorm(),
                        read = read_by(head, down).colwise().squaredNorm();
  const auto nodes = normal_nodes();
  double passed = 0;  // of an error in the gate's input
  for (Eigen::Index j = 0; j < gate.rows(); ++j) {
    const double a = gate.row(j).norm(), u = up.row(j).norm(),
                 together = a * u > 0 ? double{gate.row(j).dot(up.row(j))} / (a * u) : 0;
    double value = 0, slope = 0;
    for (const auto& [z, weight] : nodes) {
      const Gated g = b.gelu ? gelu(a * z) : silu(a * z);
      // u given z: of mean `together` u z.
      const double square = u * u * (1 + together * together * (z * z - 1)) * weight;
      value += g.value * g.value * square;
      slope += g.slope * g.slope * square;
    }
    out.feed_forward.length += value * double{written[j]};
    out.feed_forward.read += value * double{read[j]};
    passed += a * a * slope * double{written[j]};
  }
  if (out.feed_forward.length > 0) out.gate = passed / out.feed_forward.length;
  if (!b.post_ffn_norm.empty()) out.feed_forward = of_gains(head, b.post_ffn_norm);
}

}  // namespace

Written mean_written(MatrixView rows, MatrixView head) {
  const RowMajor x = gained(rows, {}), read = x * gained(head, {}).transpose();
  const auto n = static_cast<double>(rows.rows);
  return {double{x.squaredNorm()} / n,
          double{read.squaredNorm()} / n / static_cast<double>(head.rows)};
}

BlockEnergy block_energy(const BlockWeights& block, MatrixView head) {
  const RowMajor rows = gained(head, {});
  BlockEnergy out;
  add_attention(block, rows, out);
  add_feed_forward(block, rows, out);
  return out;
}

std::vector<StreamShares> stream_shares(std::span<const BlockEnergy> layers, Written embedding) {
  double read = embedding.read;
  for (const BlockEnergy& e : layers) read += e.attention.read + e.feed_forward.read;
  std::vector<StreamShares> all;
  double stream = embedding.length;
  const auto part = [](double of, double whole) { return whole > 0 ? of / whole : 0; };
  const auto share = [&](const Written& w) {
    stream += w.length;
    return part(w.length, stream) + part(w.read, read);
  };
  for (const BlockEnergy& e : layers) {
    StreamShares& s = all.emplace_back();
    s.value_output = share(e.attention);
    s.query_key = s.value_output * e.logits / (1 + e.logits);
    s.up_down = share(e.feed_forward);
    s.gate = s.up_down * e.gate;
  }
  return all;
}

}  // namespace planeloom
