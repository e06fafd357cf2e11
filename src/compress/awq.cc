#include "compress/awq.h"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "codecs/encode_simple.h"
#include "codecs/planes.h"
#include "compress/statistics.h"
#include "formats/gguf.h"
#include "models/norms.h"
#include "text/tokenizer.h"

namespace planeloom {
namespace {

constexpr int kTries = 20;
constexpr float kLeastScale = 1e-4f;  // as the published code has it

using DoubleRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatRows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// tr(W H W^T)
double energy(const LayerInput& in, std::span<const double> hessian) {
  const Eigen::Map<const FloatRows> w(in.weights.data(), in.rows, in.cols);
  const Eigen::Map<const DoubleRows> h(hessian.data(), in.cols, in.cols);
  const DoubleRows wide = w.cast<double>();
  return (wide * h).cwiseProduct(wide).sum();
}

std::vector<float> scales_of(std::span<const float> magnitude, double exponent) {
  std::vector<float> s;
  for (const float m : magnitude)
    s.push_back(
        std::max(kLeastScale, static_cast<float>(std::pow(static_cast<double>(m), exponent))));
  const auto [low, high] = std::ranges::minmax_element(s);
  const float middle = std::sqrt(*low * *high);
  for (float& v : s) v /= middle;
  return s;
}

/// The four inputs of a block, in the order of the pass.
struct Input {
  Linear first;
  std::vector<Linear> linears;
};
const Input kInputs[] = {{Linear::kQ, {Linear::kQ, Linear::kK, Linear::kV}},
                         {Linear::kO, {Linear::kO}},
                         {Linear::kGate, {Linear::kGate, Linear::kUp}},
                         {Linear::kDown, {Linear::kDown}}};

/// Sums what every input of a block gives, one pass.
class BlockStatistics : public Hooks {
 public:
  BlockStatistics(const Compute& compute, const Model& model, int64_t layer)
      : compute_(compute), layer_(layer) {
    for (const Input& input : kInputs) {
      const int64_t cols = linear_shape(model.config, input.first).cols;
      moments_.emplace(input.first, cols);
      magnitude_[input.first].resize(static_cast<size_t>(cols));
    }
  }
  Flow before_linear(int64_t layer, Linear linear, Rows x) override {
    const auto found = moments_.find(linear);
    if (layer != layer_ || found == moments_.end()) return Flow::kContinue;
    found->second.add(compute_, x);
    std::vector<double>& sum = magnitude_[linear];
    for (int64_t i = 0; i < x.rows * x.cols; ++i)
      sum[static_cast<size_t>(i % x.cols)] += std::abs(static_cast<double>(x.data[i]));
    return Flow::kContinue;
  }
  std::vector<double> hessian(Linear linear) const { return moments_.at(linear).hessian(); }
  std::vector<float> magnitude(Linear linear) const {
    const auto tokens = static_cast<double>(moments_.at(linear).tokens());
    std::vector<float> mean;
    for (const double sum : magnitude_.at(linear)) mean.push_back(static_cast<float>(sum / tokens));
    return mean;
  }

 private:
  const Compute& compute_;
  int64_t layer_;
  std::map<Linear, SecondMoments> moments_;
  std::map<Linear, std::vector<double>> magnitude_;
};

std::vector<float> decoded(const PackedMatrix& w) {
  std::vector<float> out(static_cast<size_t>(w.rows * w.cols));
  for (int64_t r = 0; r < w.rows; ++r) w.codec->decode_row(w, r, out.data() + r * w.cols);
  return out;
}

/// By the inputs' first linear; inputs that nothing can be scaled for are left out.
using BlockScales = std::map<Linear, std::vector<float>>;

class Scaling {
 public:
  Scaling(const Model& model, const Compute& compute, Progress& progress)
      : model_(model), compute_(compute), progress_(progress) {}

  Status find(const CalibrationOptions& calibration, const QuantOptions& rounding) {
    PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model_.file->metadata()));
    PL_TRY(const CalibrationText text,
           calibration_text(model_, *tokenizer, compute_, calibration, nullptr, progress_));
    SessionOptions options;
    options.context = text.context;
    options.cache = DType::kF32;
    PL_TRY(const auto session, Session::create(model_, compute_, options));
    const int64_t window = text.context * model_.config.width;
    std::vector<float> hidden(static_cast<size_t>(text.windows() * window));
    for (int64_t w = 0; w < text.windows(); ++w)
      PL_CHECK(session->embed(text.window(w), hidden.data() + w * window));
    for (int64_t l = 0; l < model_.config.layers; ++l) {
      if (interrupted()) return fail("[awq] interrupted; nothing was written");
      progress_.update("awq", static_cast<uint64_t>(l),
                       static_cast<uint64_t>(model_.config.layers));
      BlockStatistics seen(compute_, model_, l);
      session->set_hooks(&seen);
      for (int64_t w = 0; w < text.windows(); ++w)
        session->run_layer(l, hidden.data() + w * window, text.context, 0);
      session->set_hooks(nullptr);
      PL_TRY(scales_.emplace_back(), block(l, seen, rounding));
    }
    return {};
  }

  Status write(const std::filesystem::path& out) const {
    const ModelFile& file = *model_.file;
    std::vector<TensorSpec> specs;
    for (const StoredTensor& t : file.tensors()) {
      const bool scaled = linears_.contains(t.name);
      specs.push_back(
          {t.name, scaled ? DType::kF16 : t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
    }
    Metadata metadata;
    for (const auto& [key, value] : file.metadata().entries()) metadata.set(key, value);
    metadata.set("planeloom.awq", std::string("columns scaled by their activations"));
    PL_TRY(GgufWriter writer, GgufWriter::create(out, metadata, specs));
    for (const StoredTensor& t : file.tensors()) {
      if (const auto found = linears_.find(t.name); found != linears_.end()) {
        PL_CHECK(write_linear(writer, found->second.first, found->second.second));
      } else if (const auto norm = norms_.find(t.name); norm != norms_.end()) {
        PL_CHECK(write_norm(writer, t, norm->second.first, norm->second.second));
      } else {
        PL_CHECK(writer.write_tensor(t.data));
      }
    }
    return writer.commit();
  }

  /// An error where a linear is not a tensor of its own.
  Status index() {
    for (int64_t l = 0; l < model_.config.layers; ++l) {
      for (const Linear linear : kBlockLinears) {
        const std::string name = linear_name(l, linear);
        if (!model_.file->find(name))
          return fail("[awq] {} holds codes already; awq scales a model as it came", name);
        linears_[name] = {l, linear};
      }
      norms_[norm_name(l, Norm::kAttention)] = {l, Linear::kQ};
      norms_[norm_name(l, Norm::kFfn)] = {l, Linear::kGate};
    }
    return {};
  }

 private:
  /// o reads what attention makes of v: its columns are rows of v only where heads are not shared.
  bool can_scale(Linear first) const {
    return first != Linear::kO || model_.config.q_width() == model_.config.kv_width();
  }

  Result<BlockScales> block(int64_t layer, const BlockStatistics& seen,
                            const QuantOptions& rounding) const {
    BlockScales out;
    for (const Input& input : kInputs) {
      if (!can_scale(input.first)) continue;
      const std::vector<double> hessian = seen.hessian(input.first);
      const std::vector<float> magnitude = seen.magnitude(input.first);
      std::vector<std::vector<float>> weights;
      AwqInput one{hessian, magnitude, {}};
      for (const Linear linear : input.linears) {
        const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear);
        weights.push_back(decoded(w));
        one.linears.push_back({weights.back(), w.rows, w.cols});
      }
      QuantOptions fitting = rounding;
      fitting.group = fitting_group(rounding.group, one.linears[0].cols);
      PL_TRY(out[input.first], awq_scales(one, fitting, *compute_.pool));
    }
    return out;
  }

  const std::vector<float>* scales(int64_t layer, Linear first) const {
    const BlockScales& block = scales_[static_cast<size_t>(layer)];
    const auto found = block.find(first);
    return found == block.end() ? nullptr : &found->second;
  }

  Status write_linear(GgufWriter& writer, int64_t layer, Linear linear) const {
    const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear);
    const auto* input = std::ranges::find_if(kInputs, [&](const Input& i) {
      return std::ranges::find(i.linears, linear) != i.linears.end();
    });
    const std::vector<float>* in = scales(layer, input->first);
    const std::vector<float>* out = linear == Linear::kV    ? scales(layer, Linear::kO)
                                    : linear == Linear::kUp ? scales(layer, Linear::kDown)
                                                            : nullptr;
    std::vector<float> row(static_cast<size_t>(w.cols));
    std::vector<std::byte> bytes(2 * row.size());
    for (int64_t r = 0; r < w.rows; ++r) {
      w.codec->decode_row(w, r, row.data());
      for (size_t c = 0; c < row.size(); ++c)
        row[c] *= (in ? (*in)[c] : 1.0f) / (out ? (*out)[static_cast<size_t>(r)] : 1.0f);
      PL_CHECK(encode_simple(DType::kF16, row, bytes));
      PL_CHECK(writer.write(bytes));
    }
    return {};
  }

  Status write_norm(GgufWriter& writer, const StoredTensor& t, int64_t layer, Linear first) const {
    const LayerWeights& w = model_.layers[static_cast<size_t>(layer)];
    std::vector<float> gain = first == Linear::kQ ? w.attention_norm : w.ffn_norm;
    const std::vector<float>& s = *scales(layer, first);
    for (size_t i = 0; i < gain.size(); ++i) gain[i] = gain[i] / s[i] - model_.config.norm_offset;
    std::vector<std::byte> bytes(t.data.size());
    PL_CHECK(encode_simple(t.type, gain, bytes));
    return writer.write_tensor(bytes);
  }

  const Model& model_;
  const Compute& compute_;
  Progress& progress_;
  std::vector<BlockScales> scales_;  // by layer
  std::map<std::string, std::pair<int64_t, Linear>> linears_, norms_;
};

}  // namespace

Result<std::vector<float>> awq_scales(const AwqInput& input, const QuantOptions& rounding,
                                      ThreadPool& pool) {
  // Eigen cuts its products by the caches that it finds, and sums with them: pinned, the same
  // everywhere.
  static std::once_flag pinned;
  std::call_once(pinned, [] { Eigen::setCpuCacheSizes(32 << 10, 256 << 10, 2 << 20); });
  const size_t cols = input.magnitude.size();
  std::vector<double> share;
  for (const LayerInput& in : input.linears) share.push_back(energy(in, input.hessian));
  std::vector<float> best;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTries; ++i) {
    std::vector<float> s = scales_of(input.magnitude, static_cast<double>(i) / kTries);
    std::vector<double> hessian(input.hessian.begin(), input.hessian.end());
    for (size_t r = 0; r < cols; ++r)
      for (size_t c = 0; c < cols; ++c)
        hessian[r * cols + c] /= static_cast<double>(s[r]) * static_cast<double>(s[c]);
    double loss = 0;
    for (size_t k = 0; k < input.linears.size(); ++k) {
      LayerInput scaled = input.linears[k];
      std::vector<float> weights(scaled.weights.begin(), scaled.weights.end());
      for (size_t j = 0; j < weights.size(); ++j) weights[j] *= s[j % cols];
      scaled.weights = weights;
      scaled.hessian = hessian;
      PL_TRY(const QuantResult rounded, quantize_layer(scaled, rounding, pool));
      loss += rounded.report.output_error.value_or(0) * share[k];
    }
    if (loss < least || best.empty()) {
      least = loss;
      best = std::move(s);
    }
  }
  return best;
}

Status write_awq_scaled(const Model& model, const std::filesystem::path& out,
                        const CalibrationOptions& calibration, const QuantOptions& rounding,
                        const Compute& compute, Progress& progress) {
  QuantOptions rtn = rounding;
  rtn.method = "rtn";
  rtn.clip = false;
  rtn.isa = compute.kernels->isa;
  PL_CHECK(check_options(rtn));
  if (calibration.none())
    return fail("[awq] goes by what a calibration text feeds the columns: not with '{}'",
                kNoSource);
  for (const Linear linear : kBlockLinears)
    if (const int64_t cols = linear_shape(model.config, linear).cols;
        fitting_group(rtn.group, cols) == 0)
      return fail("[awq] {} columns are no multiple of any group up to {}", cols, rtn.group);
  Scaling scaling(model, compute, progress);
  PL_CHECK(scaling.index());
  PL_CHECK(scaling.find(calibration, rtn));
  return scaling.write(out);
}

}  // namespace planeloom
