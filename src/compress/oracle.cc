#include "compress/oracle.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "codecs/planes.h"
#include "compress/decode_rows.h"
#include "compress/sampled_divergence.h"
#include "compress/statistics.h"
#include "compress/text_pass.h"
#include "compress/workspace.h"

namespace planeloom {
namespace {

/// Share of a window that is not scored. The first predictions know little of their text; they lose
/// most, and most by early layers, which a text that goes on for long never feels
/// (docs/allocation.md).
constexpr double kUnscored = 0.25;

/// Another rotation moves what is measured by noise alone, and measuring takes an hour.
constexpr uint32_t kRotationSeed = 1;

/// Of linears that read the same, the first.
constexpr Linear reads_as(Linear linear) {
  switch (linear) {
    case Linear::kK:
    case Linear::kV:
      return Linear::kQ;
    case Linear::kUp:
      return Linear::kGate;
    default:
      return linear;
  }
}

/// Second moments of what a layer's linears read, rotated.
class LayerMoments final : public Hooks {
 public:
  LayerMoments(const Compute& compute, const Config& config) : compute_(compute), config_(config) {}

  Status prepare() {
    for (const Linear linear : kBlockLinears) {
      const int64_t cols = linear_shape(config_, linear).cols;
      if (!rotations_.contains(cols)) {
        PL_TRY(rotations_[cols], Rotation::make(cols, kRotationSeed));
      }
      if (reads_as(linear) == linear) moments_.emplace(linear, cols);
    }
    return {};
  }
  Flow before_linear(int64_t, Linear linear, Rows x) override {
    if (const auto found = moments_.find(linear); found != moments_.end())
      found->second.add(compute_, rotated_rows(compute_, *rotations_.at(x.cols), x, room_));
    return Flow::kContinue;
  }
  std::vector<double> hessian(Linear linear) const {
    return moments_.at(reads_as(linear)).hessian();
  }
  std::shared_ptr<const Rotation> rotation(int64_t cols) const { return rotations_.at(cols); }

 private:
  const Compute& compute_;
  const Config& config_;
  std::map<int64_t, std::shared_ptr<const Rotation>> rotations_;
  std::map<Linear, SecondMoments> moments_;
  std::vector<float> room_;
};

std::string fingerprint(const Model& model, const CalibrationText& learn,
                        const CalibrationText& score, const OracleOptions& o) {
  Sha256 hash;
  const auto add = [&](std::string_view text) { hash.update(std::as_bytes(std::span(text))); };
  add(fmt::format("oracle 6 {} seed {} learn {} x {} score {} x {}\n", model_hash(model),
                  kRotationSeed, learn.windows(), learn.context, score.windows(), score.context));
  for (const CalibrationText* text : {&learn, &score})
    hash.update(std::as_bytes(std::span(text->tokens)));
  for (const Form& form : o.forms) add(form.name + "\n");
  return hash.hex();
}

/// A mean divergence: not below 0 but for rounding, nor beyond what logits of floats can give.
bool possible(double kl) { return kl > -1e-3 && kl < 1e6; }

/// Layers that are measured, in a file that is written anew after each: {"kl": (layers, linears,
/// forms), "seal": FNV-1a of those as JSON}.
class Kept {
 public:
  Kept(const OracleOptions& o, const std::string& fingerprint) {
    if (!o.folder.empty()) path_ = o.folder / (fingerprint + ".json");
  }
  /// What the file holds, as far as it is whole.
  void read(Oracle& oracle, size_t layers) const {
    const auto text = path_.empty() ? Result<std::string>(fail("none")) : read_file(path_);
    if (!text) return;
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object() || !json.contains("kl") ||
        json.value("seal", nlohmann::json()) != seal(json["kl"]))
      return;
    if (!json["kl"].is_array() || json["kl"].size() > layers) return;
    for (const auto& layer : json["kl"]) {
      if (!layer.is_array() || layer.size() != kLinears) return;
      std::array<std::vector<double>, kLinears> linears;
      for (size_t i = 0; i < kLinears; ++i) {
        if (!layer[i].is_array() || layer[i].size() != oracle.forms.size()) return;
        for (const auto& kl : layer[i]) {
          if (!kl.is_number() || !possible(kl.get<double>())) return;
          linears[i].push_back(kl.get<double>());
        }
      }
      oracle.kl.push_back(std::move(linears));
    }
  }
  Status write(const Oracle& oracle) const {
    if (path_.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    const nlohmann::json kl = oracle.kl;
    const Status written =
        error ? fail("cannot create {}: {}", path_.parent_path().string(), error.message())
              : write_file_atomically(path_, nlohmann::json{{"kl", kl}, {"seal", seal(kl)}}.dump());
    if (written) return {};
    return fail(
        "[oracle] what is measured cannot be kept: {}; PLANELOOM_CACHE names another folder",
        written.error().message);
  }

 private:
  static nlohmann::json seal(const nlohmann::json& kl) {
    const std::string text = kl.dump();
    return fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(text))));
  }
  std::filesystem::path path_;
};

class Run {
 public:
  Run(const Model& model, const OracleOptions& options, const Compute& compute, Progress& progress)
      : model_(model),
        options_(options),
        compute_(compute),
        progress_(progress),
        reference_(model_) {
    for (Form& form : options_.forms) form.quant.isa = compute.kernels->isa;
  }

  /// Reads what the model says of the text to score.
  Status prepare(const CalibrationText& learn, const CalibrationText& score) {
    PL_TRY(learn_, TextPass::create(model_, learn, {}, compute_));
    // Rounded activations would round otherwise in all later layers once one linear has changed,
    // and count as a loss of its own (docs/allocation.md).
    PL_TRY(score_, TextPass::create(model_, score, {ActivationMode::kFloat, kUnscored}, compute_));
    bool sound = true;
    PL_CHECK(score_->finish(
        0, TextPass::End::kLogits, [&](int64_t, Rows logits, std::span<const int32_t>) {
          for (int64_t r = 0; r < logits.rows; ++r)
            sound &=
                reference_.add({logits.data + r * logits.cols, static_cast<size_t>(logits.cols)},
                               *compute_.kernels);
        }));
    return sound ? Status{}
                 : fail(
                       "[oracle] what the model says of the text is no number: its weights are "
                       "damaged");
  }

  Status skip() {
    PL_CHECK(learn_->pass(nullptr));
    return score_->pass(nullptr);
  }

  Status layer(std::array<std::vector<double>, kLinears>& out) {
    const int64_t l = score_->layer();
    LayerMoments moments(compute_, model_.config);
    PL_CHECK(moments.prepare());
    PL_CHECK(learn_->pass(&moments));
    for (const Linear linear : kBlockLinears)
      PL_CHECK(linear_of(l, linear, moments, out[static_cast<size_t>(linear)]));
    return score_->pass(nullptr);
  }

 private:
  Status linear_of(int64_t l, Linear linear, const LayerMoments& moments,
                   std::vector<double>& out) {
    PackedMatrix& w = model_.layers[static_cast<size_t>(l)].at(linear);
    const PackedMatrix original = w;
    const auto rotation = moments.rotation(w.cols);
    decode_rows(compute_, w, 0, w.rows, rotation.get(), weights_);
    const std::vector<double> hessian = moments.hessian(linear);
    for (const Form& form : options_.forms) {
      const size_t done = static_cast<size_t>(l) * kLinears + static_cast<size_t>(linear);
      progress_.update("oracle", done * options_.forms.size() + out.size(),
                       model_.layers.size() * kLinears * options_.forms.size());
      QuantOptions quant = form.quant;
      quant.group = fitting_group(quant.group, w.cols);
      auto quantized = encode(hessian, original, quant);
      if (!quantized)
        return fail("[oracle] {} as {}: {}", linear_name(l, linear), form.name,
                    quantized.error().message);
      w = quantized->view();
      w.rotation = rotation;
      const Result<double> kl = divergence(l);
      w = original;
      PL_TRY(out.emplace_back(), kl);
      if (!possible(out.back()))
        return fail("[oracle] {} as {}: the divergence is {}", linear_name(l, linear), form.name,
                    out.back());
    }
    return {};
  }

  /// The matrix whose weights were decoded.
  Result<EncodedMatrix> encode(std::span<const double> hessian, const PackedMatrix& w,
                               const QuantOptions& quant) {
    PL_TRY(const PreparedHessian prepared, prepare_hessian(hessian, w.cols, quant, *compute_.pool));
    LayerInput input{weights_, w.rows, w.cols};
    input.prepared = &prepared;
    PL_TRY(QuantResult made, quantize_layer(input, quant, *compute_.pool));
    return std::move(made.matrix);
  }

  Result<double> divergence(int64_t from) {
    return score_->mean_loss(
        from, TextPass::End::kHeadInput,
        [&](int64_t row, std::span<const float> input, int32_t, std::vector<float>& scratch) {
          return reference_(row, input, *compute_.kernels, scratch);
        });
  }

  Model model_;
  OracleOptions options_;
  const Compute& compute_;
  Progress& progress_;
  std::unique_ptr<TextPass> learn_, score_;
  SampledDivergence reference_;
  std::vector<float> weights_;
};

}  // namespace

Result<Oracle> measure_oracle(const Model& model, const CalibrationText& learn,
                              const CalibrationText& score, const OracleOptions& options,
                              const Compute& compute, Progress& progress) {
  for (const Form& form : options.forms)
    for (const Linear linear : kBlockLinears) {
      const LinearShape shape = linear_shape(model.config, linear);
      PL_CHECK(stored_bytes(form, shape.rows, shape.cols));
    }
  Oracle oracle;
  for (const Form& form : options.forms) oracle.forms.push_back(form.name);
  const Kept kept(options, fingerprint(model, learn, score, options));
  kept.read(oracle, model.layers.size());
  if (oracle.kl.size() == model.layers.size()) return oracle;
  PL_CHECK(kept.write(oracle));  // told now, not after the first layer
  Run run(model, options, compute, progress);
  PL_CHECK(run.prepare(learn, score));
  for (size_t l = 0; l < model.layers.size(); ++l) {
    if (l < oracle.kl.size()) {
      PL_CHECK(run.skip());
      continue;
    }
    std::array<std::vector<double>, kLinears> layer;
    const Status done = run.layer(layer);
    if (interrupted())
      return fail("[oracle] interrupted in layer {}; the same command goes on from there", l);
    PL_CHECK(done);
    oracle.kl.push_back(std::move(layer));
    PL_CHECK(kept.write(oracle));
  }
  progress.update("oracle", 1, 1);
  return oracle;
}

Metric oracle_metric(const Oracle& oracle, size_t form) {
  Metric metric{"oracle " + oracle.forms[form], {}, {}};
  for (const auto& layer : oracle.kl) {
    auto& linear = metric.linear.emplace_back();
    double sum = 0;
    for (size_t i = 0; i < kLinears; ++i) sum += linear[i] = layer[i][form];
    metric.layer.push_back(sum);
  }
  return metric;
}

}  // namespace planeloom
