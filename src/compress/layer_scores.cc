#include "compress/layer_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "codecs/planes.h"
#include "compress/decode_rows.h"
#include "compress/statistics.h"
#include "compress/text_pass.h"
#include "eval/perplexity.h"
#include "quant/quantizer.h"

namespace planeloom {
namespace {

Status check_stop(const char* before, int64_t layer) {
  return interrupted() ? fail("[scores] interrupted before {} of layer {}", before, layer)
                       : Status{};
}

Status check_finite(std::span<const float> values, std::string_view what) {
  const auto finite = [](float x) { return std::isfinite(x); };
  if (std::ranges::all_of(values, finite)) return {};
  return fail("[scores] {}: weights that are no numbers", what);
}

/// The Gram matrix of the head's rows, gains of the output norm folded in; after Ctrl-C of some of
/// them: whoever asked looks, too.
Result<std::vector<double>> head_gram(const Model& model, const Compute& compute) {
  constexpr int64_t kRows = 512;
  const PackedMatrix& w = model.head;
  const std::vector<float>& gain = model.output_norm;
  SecondMoments moments(w.cols);
  std::vector<float> rows;
  for (int64_t r = 0; r < w.rows && !interrupted(); r += kRows) {
    const int64_t count = std::min(kRows, w.rows - r);
    decode_rows(compute, w, r, count, nullptr, rows);
    PL_CHECK(check_finite(rows, "the head"));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] *= gain[i % gain.size()];
    moments.add(compute, {rows.data(), count, w.cols});
  }
  return moments.hessian();
}

/// Up to 512 rows, evenly spread, as floats, (rows, width); `half` a step further on or not, so
/// that rows of a shared embedding do not meet themselves in the head.
std::vector<float> spread_rows(const PackedMatrix& w, bool half, const Compute& compute) {
  const int64_t count = std::clamp<int64_t>(w.rows / 2, 1, 512);
  std::vector<float> rows, row;
  for (int64_t i = 0; i < count; ++i) {
    decode_rows(compute, w, (2 * i + half) * w.rows / (2 * count), 1, nullptr, row);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

/// Of the head as block_energy() takes it.
std::vector<float> centred_head(const Model& model, const Compute& compute) {
  std::vector<float> rows = spread_rows(model.head, false, compute);
  const std::vector<float>& gain = model.output_norm;
  const size_t width = gain.size(), count = rows.size() / width;
  for (size_t c = 0; c < width; ++c) {
    double mean = 0;
    for (size_t r = 0; r < count; ++r) mean += double{rows[r * width + c]};
    mean /= static_cast<double>(count);
    for (size_t r = 0; r < count; ++r) {
      float& x = rows[r * width + c];
      x = static_cast<float>((double{x} - mean) * double{gain[c]});
    }
  }
  return rows;
}

double share_beyond(MatrixView w) {
  double sum = 0, squares = 0, beyond = 0;
  const int64_t n = w.rows * w.cols;
  for (int64_t i = 0; i < n; ++i) {
    sum += w.data[i];
    squares += double{w.data[i]} * w.data[i];
  }
  const double mean = sum / static_cast<double>(n),
               deviation = std::sqrt(std::max(0.0, squares / static_cast<double>(n) - mean * mean));
  for (int64_t i = 0; i < n; ++i) beyond += std::abs(w.data[i] - mean) > deviation;
  return beyond / static_cast<double>(n);
}

Result<MatrixMeasures> measure_matrix(MatrixView w, const Compute& compute) {
  QuantOptions rtn;
  rtn.method = "rtn";
  rtn.group = fitting_group(rtn.group, w.cols);
  rtn.isa = compute.kernels->isa;
  if (rtn.group == 0) return MatrixMeasures{kurtosis(w), share_beyond(w), NAN};
  double squares = 0;
  for (int64_t i = 0; i < w.rows * w.cols; ++i) squares += double{w.data[i]} * w.data[i];
  const auto n = static_cast<double>(w.rows * w.cols);
  PL_TRY(const QuantResult rounded,
         quantize_layer({{w.data, static_cast<size_t>(w.rows * w.cols)}, w.rows, w.cols}, rtn,
                        *compute.pool));
  const double error = rounded.report.weight_error;
  return MatrixMeasures{kurtosis(w), share_beyond(w), error * error * squares / n};
}

/// Decodes a layer and says where its matrices and gains are; an error where weights are none.
Result<BlockWeights> block_weights(const Model& model, int64_t layer, const Compute& compute,
                                   std::array<std::vector<float>, kLinears>& room) {
  const LayerWeights& w = model.layers[static_cast<size_t>(layer)];
  const auto view = [&](Linear linear) {
    const PackedMatrix& m = w.at(linear);
    auto& out = room[static_cast<size_t>(linear)];
    decode_rows(compute, m, 0, m.rows, nullptr, out);
    return MatrixView{out.data(), m.rows, m.cols};
  };
  BlockWeights b;
  b.heads = model.config.heads;
  b.kv_heads = model.config.kv_heads;
  b.head_dim = model.config.head_dim;
  b.q = view(Linear::kQ);
  b.k = view(Linear::kK);
  b.v = view(Linear::kV);
  b.o = view(Linear::kO);
  b.gate = view(Linear::kGate);
  b.up = view(Linear::kUp);
  b.down = view(Linear::kDown);
  b.attention_norm = w.attention_norm;
  b.ffn_norm = w.ffn_norm;
  b.post_attention_norm = w.post_attention_norm;
  b.post_ffn_norm = w.post_ffn_norm;
  b.q_norm = w.q_norm;
  b.k_norm = w.k_norm;
  b.attention_scale = double{model.config.attention_scale};
  b.gelu = model.config.gate == Gate::kGeluTanh;
  for (const Linear linear : kBlockLinears)
    PL_CHECK(check_finite(room[static_cast<size_t>(linear)], linear_name(layer, linear)));
  for (const std::span<const float> gain :
       {b.attention_norm, b.ffn_norm, b.post_attention_norm, b.post_ffn_norm, b.q_norm, b.k_norm})
    PL_CHECK(check_finite(gain, fmt::format("norms of layer {}", layer)));
  return b;
}

/// A measure of matrices, their mean over a layer.
Metric of_matrices(std::string name, const WeightMeasures& m, double MatrixMeasures::* part,
                   double sign) {
  Metric metric{std::move(name), {}, {}};
  for (const auto& matrices : m.matrices) {
    auto& linear = metric.linear.emplace_back();
    double sum = 0;
    for (size_t i = 0; i < kLinears; ++i) sum += linear[i] = sign * matrices[i].*part;
    metric.layer.push_back(sum / kLinears);
  }
  return metric;
}

/// Twice the kurtosis of layers that differ from the one before by more than two deviations of
/// such differences.
std::vector<double> kurtosis_boosted(std::vector<double> kurtosis) {
  std::vector<double> difference;
  double mean = 0, squares = 0;
  for (size_t l = 1; l < kurtosis.size(); ++l) difference.push_back(kurtosis[l] - kurtosis[l - 1]);
  const auto n = static_cast<double>(difference.size());
  for (const double d : difference) mean += d / n;
  for (const double d : difference) squares += (d - mean) * (d - mean) / n;
  for (size_t l = 1; l < kurtosis.size(); ++l)
    if (std::abs(difference[l - 1] - mean) > 2 * std::sqrt(squares))
      kurtosis[l] += std::abs(kurtosis[l]);
  return kurtosis;
}

/// Steps of the golden ratio around a circle: whichever layers are the highest, they lie apart.
double evenly(size_t l) {
  const double turns = static_cast<double>(l) * 0.6180339887498949;
  return turns - std::floor(turns);
}

constexpr Role kRoleOf[kLinears] = {Role::kQk,   Role::kQk, Role::kOv,  Role::kOv,
                                    Role::kGate, Role::kUp, Role::kDown};

Metric nsds_metric(std::string name, const WeightMeasures& m, Expressiveness form) {
  NsdsScores scores = nsds_scores(m.roles, form);
  Metric metric{std::move(name), std::move(scores.score), {}};
  for (const auto& role : scores.role) {
    auto& linear = metric.linear.emplace_back();
    for (size_t i = 0; i < kLinears; ++i) linear[i] = role[static_cast<size_t>(kRoleOf[i])];
  }
  return metric;
}

Metric stream_metric(const WeightMeasures& m) {
  Metric metric{"stream", {}, {}, true};
  for (const StreamShares& s : stream_shares(m.energies, m.embedding)) {
    auto& linear = metric.linear.emplace_back();
    const auto give = [&](Linear which, double x) { linear[static_cast<size_t>(which)] = x; };
    for (const Linear l : {Linear::kQ, Linear::kK}) give(l, s.query_key);
    for (const Linear l : {Linear::kV, Linear::kO}) give(l, s.value_output);
    for (const Linear l : {Linear::kUp, Linear::kDown}) give(l, s.up_down);
    give(Linear::kGate, s.gate);
    metric.layer.push_back(std::accumulate(linear.begin(), linear.end(), 0.0));
  }
  return metric;
}

/// What linears of a kind lose (nats a relative squared error of one) where their share of the
/// stream is one, and how much of a share's logarithm to believe: least squares of the logarithms
/// of what SmolLM2-135M's oracle says of each linear, over two, three and four bits the mean
/// (tools/studies/kinds_fit.py).
constexpr double kKindLoss[kLinears] = {0.026, 0.036, 0.12, 0.044, 0.085, 0.12, 0.13};
constexpr double kBelief = 0.35;

Metric kinds_metric(const Metric& stream) {
  Metric metric = stream;
  metric.name = "kinds";
  for (size_t l = 0; l < metric.layer.size(); ++l) {
    metric.layer[l] = 0;
    for (size_t i = 0; i < kLinears; ++i) {
      double& cost = metric.linear[l][i];
      metric.layer[l] += cost = kKindLoss[i] * std::pow(cost, kBelief);
    }
  }
  return metric;
}

/// Adds up second moments of what q, k and v read.
class NormedInput final : public Hooks {
 public:
  NormedInput(const Compute& compute, int64_t width) : moments(width), compute_(compute) {}
  Flow before_linear(int64_t, Linear linear, Rows x) override {
    if (linear == Linear::kQ) moments.add(compute_, x);
    return Flow::kContinue;
  }
  SecondMoments moments;

 private:
  const Compute& compute_;
};

/// -cos between rows of two (n, width) matrices, mean.
double turned(std::span<const float> a, std::span<const float> b, int64_t width) {
  double sum = 0;
  const int64_t n = static_cast<int64_t>(a.size()) / width;
  for (int64_t t = 0; t < n; ++t) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = t * width; i < (t + 1) * width; ++i) {
      const double x = a[static_cast<size_t>(i)], y = b[static_cast<size_t>(i)];
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    if (aa > 0 && bb > 0) sum -= ab / std::sqrt(aa * bb);
  }
  return sum / static_cast<double>(n);
}

Result<double> perplexity_from(TextPass& pass, int64_t first, const Compute& compute) {
  const auto loss = [&](int64_t, std::span<const float> logits, int32_t next,
                        std::vector<float>& scratch) {
    return negative_log_likelihood(*compute.kernels, logits, next, scratch);
  };
  PL_TRY(const double mean, pass.mean_loss(first, TextPass::End::kLogits, loss));
  if (!std::isfinite(std::exp(mean)))
    return fail(
        "[scores] the model reads the text from layer {} on with a perplexity of {}: its weights "
        "are damaged",
        first, std::exp(mean));
  return std::exp(mean);
}

/// Compactness and energy of a layer's projections: of heads, then of q, k and v the mean.
void add_geometry(const Model& model, int64_t layer, std::span<const double> moments, uint64_t seed,
                  const Compute& compute, LieqMeasures& out) {
  constexpr Linear kProjections[] = {Linear::kQ, Linear::kK, Linear::kV};
  std::vector<float> w[3];
  for (size_t i = 0; i < 3; ++i) {
    const PackedMatrix& m = model.layers[static_cast<size_t>(layer)].at(kProjections[i]);
    decode_rows(compute, m, 0, m.rows, nullptr, w[i]);
  }
  ProjectionGain gain[3];
  compute.pool->parallel_for(3, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t cols = model.config.width;
      gain[i] = projection_gain({w[i].data(), static_cast<int64_t>(w[i].size()) / cols, cols},
                                model.config.head_dim, moments, seed);
    }
  });
  for (const ProjectionGain& g : gain) {
    out.compactness += g.compactness / 3;
    out.energy += g.energy / 3;
  }
}

}  // namespace

Result<WeightMeasures> measure_weights(const Model& model, WeightParts parts,
                                       const Compute& compute, Progress& progress) {
  WeightMeasures out;
  const Blas* blas = nullptr;
  std::vector<double> vocabulary;
  PL_CHECK(check_finite(model.output_norm, "the output norm"));
  if (parts.roles) {
    if (model.config.width > kMostEigenvalues)
      return fail("[scores] nsds is for widths of at most {}, not {}", kMostEigenvalues,
                  model.config.width);
    PL_TRY(blas, load_blas());
    PL_TRY(const std::vector<double> gram, head_gram(model, compute));
    PL_CHECK(check_stop("the weights", 0));
    vocabulary = vocabulary_directions(*blas, gram, model.config.width);
  }
  std::vector<float> head_rows;
  MatrixView head;
  if (parts.energies) {
    head_rows = centred_head(model, compute);
    PL_CHECK(check_finite(head_rows, "the head"));
    head = {head_rows.data(), static_cast<int64_t>(head_rows.size()) / model.config.width,
            model.config.width};
    const std::vector<float> rows = spread_rows(model.embedding, true, compute);
    PL_CHECK(check_finite(rows, "the embedding"));
    out.embedding =
        mean_written({rows.data(), static_cast<int64_t>(rows.size()) / head.cols, head.cols}, head);
    const double scale = std::pow(double{model.config.embedding_scale}, 2);
    out.embedding.length *= scale;
    out.embedding.read *= scale;
  }
  std::array<std::vector<float>, kLinears> room;
  for (int64_t l = 0; l < model.config.layers; ++l) {
    PL_CHECK(check_stop("the weights", l));
    progress.update("weights", static_cast<uint64_t>(l),
                    static_cast<uint64_t>(model.config.layers));
    PL_TRY(const BlockWeights block, block_weights(model, l, compute, room));
    if (parts.roles) out.roles.push_back(measure_block(*blas, block, vocabulary, *compute.pool));
    PL_CHECK(check_stop("the end", l));
    if (parts.energies) {
      const BlockEnergy e = out.energies.emplace_back(block_energy(block, head));
      for (const double x : {e.attention.length, e.attention.read, e.feed_forward.length,
                             e.feed_forward.read, e.logits, e.gate})
        if (!std::isfinite(x)) return fail("[scores] layer {}: weights too large to add up", l);
    }
    if (!parts.matrices) continue;
    auto& matrices = out.matrices.emplace_back();
    const MatrixView views[kLinears] = {block.q,    block.k,  block.v,   block.o,
                                        block.gate, block.up, block.down};
    for (size_t i = 0; i < kLinears; ++i) {
      auto measured = measure_matrix(views[i], compute);
      if (!measured)
        return fail("[scores] {}: {}", linear_name(l, kBlockLinears[i]), measured.error().message);
      matrices[i] = *measured;
    }
  }
  progress.update("weights", 1, 1);
  return out;
}

std::vector<Metric> weight_metrics(const WeightMeasures& m) {
  std::vector<Metric> all;
  if (!m.roles.empty()) {
    all.push_back(nsds_metric("nsds", m, Expressiveness::kRatio));
    all.push_back(nsds_metric("nsds-product", m, Expressiveness::kProduct));
  }
  if (!m.energies.empty()) {
    const Metric stream = stream_metric(m);
    all.push_back(kinds_metric(stream));
    all.push_back(stream);
  }
  if (!m.matrices.empty()) {
    const Metric kurtosis = of_matrices("kurtosis", m, &MatrixMeasures::kurtosis, 1);
    all.push_back(kurtosis);
    all.push_back({"kurtboost", kurtosis_boosted(kurtosis.layer), {}});
    all.push_back(of_matrices("zd", m, &MatrixMeasures::beyond, -1));
    all.push_back(of_matrices("mse", m, &MatrixMeasures::mse, 1));
  }
  return all;
}

std::vector<Metric> plain_metrics(const Config& config) {
  constexpr double kApart = 1e-3;  // among equals, far below what one bit more is worth
  Metric uniform{"uniform", {}, {}, true}, alike{"alike", {}, {}, true}, index{"index", {}, {}};
  for (int64_t l = 0; l < config.layers; ++l) {
    std::array<double, kLinears> weights{}, ones{};
    double sum = 0;
    for (const Linear linear : kBlockLinears) {
      const LinearShape shape = linear_shape(config, linear);
      sum += weights[static_cast<size_t>(linear)] = static_cast<double>(shape.rows * shape.cols);
    }
    for (size_t i = 0; i < kLinears; ++i) {
      const double turn = evenly(static_cast<size_t>(l) * kLinears + i);
      // Of those that cost the same the larger: no bytes are left over.
      ones[i] = 1 + kApart * (weights[i] / sum + kApart * turn);
      weights[i] *= 1 + kApart * turn;
    }
    const double in_turn = 1 + kApart * evenly(static_cast<size_t>(l));
    uniform.layer.push_back(sum * in_turn);
    uniform.linear.push_back(weights);
    alike.layer.push_back(kLinears * in_turn);
    alike.linear.push_back(ones);
    index.layer.push_back(static_cast<double>(config.layers - 1 - l));
  }
  return {std::move(uniform), std::move(alike), std::move(index)};
}

Result<TextMeasures> measure_on_text(const Model& model, const CalibrationText& text, uint64_t seed,
                                     const Compute& compute, Progress& progress) {
  PL_TRY(const auto pass, TextPass::create(model, text, {}, compute));
  TextMeasures out;
  PL_TRY(out.perplexity, perplexity_from(*pass, 0, compute));
  for (int64_t l = 0; l < model.config.layers; ++l) {
    PL_CHECK(check_stop("the text", l));
    progress.update("text", static_cast<uint64_t>(l), static_cast<uint64_t>(model.config.layers));
    LieqMeasures& lieq = out.lieq.emplace_back();
    PL_TRY(const double without, perplexity_from(*pass, l + 1, compute));
    lieq.perplexity_drop = without - out.perplexity;
    const std::vector<float> read(pass->hidden().begin(), pass->hidden().end());
    NormedInput input(compute, model.config.width);
    PL_CHECK(pass->pass(&input));
    add_geometry(model, l, input.moments.hessian(), seed, compute, lieq);
    out.turned.push_back(turned(read, pass->hidden(), model.config.width));
  }
  progress.update("text", 1, 1);
  return out;
}

std::vector<Metric> text_metrics(const TextMeasures& m) {
  std::vector<Metric> all{{"lieq", lieq_scores(m.lieq), {}},
                          {"lieq-compactness", {}, {}},
                          {"lieq-drop", {}, {}},
                          {"lieq-energy", {}, {}},
                          {"lim", m.turned, {}}};
  for (const LieqMeasures& l : m.lieq) {
    all[1].layer.push_back(l.compactness);
    all[2].layer.push_back(l.perplexity_drop);
    all[3].layer.push_back(l.energy);
  }
  return all;
}

}  // namespace planeloom
