#include "train/distill.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <numbers>
#include <numeric>

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "codecs/encode_simple.h"
#include "codecs/scale_rows.h"
#include "compress/workspace.h"
#include "formats/gguf.h"
#include "formats/planes_pair.h"
#include "text/tokenizer.h"
#include "train/gradient.h"

namespace planeloom {
namespace {

using Clock = std::chrono::steady_clock;

// Adam (arXiv 1412.6980) with its usual decay rates; the second is shorter, as the steps are few.
constexpr double kDecay1 = 0.9, kDecay2 = 0.98, kTiny = 1e-8;
constexpr int64_t kWarmup = 10;
/// rate_for: 0.005 is right at a KL of 0.35, 0.001 at 0.066 where 0.005 harms (docs/distill.md).
constexpr double kRateOfKl = 0.015, kLeastRate = 2e-4, kMostRate = 0.005;
/// Steps from one saved state to the next.
constexpr int64_t kSaveEvery = 8;
/// Windows that are held out: one of so many, and how many at most.
constexpr int64_t kHoldOneOf = 16, kMostHeld = 8;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Where a run stands.
struct State {
  int64_t steps = 0, done = 0;  // planned, 0 when not yet known; done
  double seconds = 0;           // that these took
  std::vector<float> factor, moment1, moment2;
  std::vector<double> kl;  // (done)

  std::string sealed() const {
    std::string bytes;
    const auto add = [&](const auto& values) {
      bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
    };
    add(std::array{steps, done}), add(std::array{seconds});
    add(factor), add(moment1), add(moment2), add(kl);
    const uint64_t hash = fnv1a(std::as_bytes(std::span(bytes)));
    return bytes + std::string(reinterpret_cast<const char*>(&hash), sizeof hash);
  }
  /// False when the bytes are no state of so many scalars.
  bool read(const std::string& bytes) {
    const size_t fixed = sizeof steps + sizeof done + sizeof seconds +
                         3 * factor.size() * sizeof(float) + sizeof(uint64_t);
    uint64_t hash = 0;
    if (bytes.size() < fixed) return false;
    const size_t body = bytes.size() - sizeof hash;
    std::memcpy(&hash, bytes.data() + body, sizeof hash);
    if (hash != fnv1a(std::as_bytes(std::span(bytes)).first(body))) return false;
    const char* at = bytes.data();
    const auto take = [&](void* to, size_t size) {
      std::memcpy(to, at, size);
      at += size;
    };
    take(&steps, sizeof steps);
    take(&done, sizeof done);
    take(&seconds, sizeof seconds);
    if (done < 0 || bytes.size() != fixed + static_cast<size_t>(done) * sizeof(double))
      return false;
    for (auto* values : {&factor, &moment1, &moment2})
      take(values->data(), values->size() * sizeof(float));
    kl.resize(static_cast<size_t>(done));
    take(kl.data(), kl.size() * sizeof(double));
    return true;
  }
};

/// What the output depends on. The minutes are not in it: a run that is started again may be given
/// more of them.
Result<std::string> fingerprint(const Model& original, const Model& quantized,
                                const DistillOptions& o) {
  PL_TRY(const std::string text, calibration_fingerprint(o.text));
  return fmt::format("planeloom distill 4\n{} {}\nsteps {} windows {} rate {}\n{}",
                     model_hash(original), model_hash(quantized), o.steps, o.windows, o.rate, text);
}

Status check(const Model& original, const Model& quantized, const DistillOptions& o) {
  if (o.steps < 1 && !(o.minutes > 0 && o.minutes <= kMostDistillMinutes))
    return fail(
        "[distill] {} minutes and {} steps; wanted steps, or minutes above 0 and at most {}",
        o.minutes, o.steps, kMostDistillMinutes);
  if (o.windows < 1 || !(o.rate >= 0) || !std::isfinite(o.rate))
    return fail("[distill] {} windows a step, rate {}: wanted 1 or more, and 0 or more", o.windows,
                o.rate);
  if (original.vocab() != quantized.vocab() || original.config.layers != quantized.config.layers ||
      original.config.width != quantized.config.width)
    return fail(
        "[distill] the models have vocabularies {} and {}, layers {} and {}, widths {} and {}",
        original.vocab(), quantized.vocab(), original.config.layers, quantized.config.layers,
        original.config.width, quantized.config.width);
  for (const LayerWeights& layer : quantized.layers)
    for (const PackedMatrix& w : layer.linears)
      if (!rows_can_be_scaled(*w.codec))
        return fail(
            "[distill] {}: no fp16 scales of rows to distill; quantize with --method trellis, or "
            "with --coefficients half",
            w.codec->name());
  return {};
}

class Run {
 public:
  Run(const Model& original, const Model& quantized, const DistillOptions& options,
      const Compute& compute, Progress& progress, Workspace workspace)
      : original_(original),
        quantized_(quantized),
        options_(options),
        compute_(compute),
        progress_(progress),
        workspace_(std::move(workspace)),
        factors_(quantized, 1.0f),
        gradient_(quantized, 0.0f) {}

  Result<DistillSummary> run(const std::filesystem::path& out) {
    const auto start = Clock::now();
    PL_TRY(const auto tokenizer, Tokenizer::from_metadata(original_.file->metadata()));
    PL_TRY(text_, calibration_text(original_, *tokenizer, compute_, options_.text, &workspace_,
                                   progress_));
    SessionOptions session;
    session.context = text_.context;
    PL_TRY(teacher_, Session::create(original_, compute_, session));
    PL_TRY(Gradient gradient, Gradient::make(quantized_, compute_, ActivationMode::kInt8));
    const size_t size = factors_.all().size();
    state_.factor.assign(size, 1.0f);
    state_.moment1.assign(size, 0.0f);
    state_.moment2.assign(size, 0.0f);
    state_.steps = options_.steps;
    if (const auto saved = read_file(workspace_.path("state.bin"), size_t{1} << 32)) {
      State read = state_;
      if (read.read(*saved)) state_ = std::move(read);
    }
    DistillSummary summary;
    summary.resumed_steps = state_.done;
    PL_CHECK(steps(gradient));
    PL_TRY(summary.held_out, choose(gradient));
    PL_CHECK(write(out));
    summary.steps = state_.done;
    summary.rate = rate();
    summary.tokens = state_.done * options_.windows * text_.context;
    summary.text = text_.description;
    summary.kl = state_.kl;
    summary.seconds = seconds_since(start);
    return summary;
  }

  void leave() const { workspace_.remove_unless_used(); }

 private:
  Status save() const {
    return write_file_atomically(workspace_.path("state.bin"), state_.sealed());
  }

  /// The last windows, in which every source has its turn.
  int64_t held() const { return std::min(kMostHeld, text_.windows() / kHoldOneOf); }

  /// The window that is read n-th: every epoch in a shuffled order of its own.
  std::span<const int32_t> window(int64_t n) {
    const int64_t count = text_.windows() - held(), epoch = n / count;
    if (epoch != epoch_) {
      epoch_ = epoch;
      order_.resize(static_cast<size_t>(count));
      std::iota(order_.begin(), order_.end(), int64_t{0});
      Rng rng(options_.text.seed + static_cast<uint64_t>(epoch) * 0x9E3779B97F4A7C15ull);
      for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
    }
    return text_.window(order_[static_cast<size_t>(n % count)]);
  }

  Status steps(Gradient& gradient) {
    while (state_.steps == 0 || state_.done < state_.steps) {
      if (interrupted()) {
        PL_CHECK(save());
        return fail(
            "[distill] interrupted after {} of {} steps; run the same command again to go "
            "on",
            state_.done, state_.steps);
      }
      PL_CHECK(step(gradient));
      progress_.update("distill", static_cast<uint64_t>(state_.done),
                       static_cast<uint64_t>(state_.steps));
      if (state_.done % kSaveEvery == 0) PL_CHECK(save());
    }
    return {};
  }

  Status step(Gradient& gradient) {
    std::ranges::copy(state_.factor, factors_.all().begin());
    std::ranges::fill(gradient_.all(), 0.0f);
    const auto start = Clock::now();
    double kl = 0;
    const auto reference = [&](int64_t first, int64_t rows) { return reference_rows(first, rows); };
    const float share = 1.0f / static_cast<float>(options_.windows);
    for (int64_t i = 0; i < options_.windows; ++i) {
      const std::span<const int32_t> tokens = window(state_.done * options_.windows + i);
      PL_CHECK(read_reference(tokens));
      kl += share * gradient.add(tokens, factors_, reference, share, gradient_);
    }
    if (!std::isfinite(kl))
      return fail("[distill] step {}: the loss is {}; a lower --rate may help", state_.done, kl);
    state_.seconds += seconds_since(start);
    if (options_.steps == 0) plan();
    state_.kl.push_back(kl);
    adam();
    ++state_.done;
    return {};
  }

  double rate() const { return options_.rate > 0 ? options_.rate : rate_for(state_.kl.front()); }

  /// How many steps fit the minutes, after the gradient of one more: the machine may have become
  /// busier or quieter. The rate falls to 0 over the newest plan.
  void plan() {
    const double each = state_.seconds / static_cast<double>(state_.done + 1),
                 left = 60 * options_.minutes - state_.seconds;
    state_.steps = state_.done + 1 + std::max<int64_t>(0, std::llround(left / each));
  }

  /// Sets the factors as far on their way as the held-out windows like best.
  Result<std::optional<HeldOut>> choose(Gradient& gradient) {
    if (held() == 0) {
      std::ranges::copy(state_.factor, factors_.all().begin());
      return std::optional<HeldOut>();
    }
    HeldOut found{held() * text_.context, 0, 0, 0};
    for (const double share : {0.0, 0.5, 1.0}) {
      PL_TRY(const double kl, held_out_loss(gradient, share));
      if (share == 0) found.before = found.after = kl;
      if (kl < found.after) found.after = kl, found.share = share;
    }
    go(found.share);
    return std::optional(found);
  }

  /// factors_ = 1 + share (what was found - 1).
  void go(double share) {
    for (size_t i = 0; i < state_.factor.size(); ++i)
      factors_.all()[i] = 1.0f + static_cast<float>(share) * (state_.factor[i] - 1.0f);
  }

  Result<double> held_out_loss(Gradient& gradient, double share) {
    go(share);
    const auto reference = [&](int64_t first, int64_t rows) { return reference_rows(first, rows); };
    double sum = 0;
    for (int64_t i = 0; i < held(); ++i) {
      if (interrupted()) {
        PL_CHECK(save());
        return fail(
            "[distill] interrupted after the last step; run the same command again to go on");
      }
      const std::span<const int32_t> tokens = text_.window(text_.windows() - held() + i);
      PL_CHECK(read_reference(tokens));
      sum += gradient.loss(tokens, factors_, reference);
    }
    return sum / static_cast<double>(held());
  }

  /// The unquantized model's hidden states of a window.
  Status read_reference(std::span<const int32_t> tokens) {
    hidden_.resize(tokens.size() * static_cast<size_t>(original_.config.width));
    PL_CHECK(teacher_->embed(tokens, hidden_.data()));
    for (int64_t l = 0; l < original_.config.layers; ++l)
      teacher_->run_layer(l, hidden_.data(), static_cast<int64_t>(tokens.size()), 0);
    return {};
  }

  /// Logits of them.
  const float* reference_rows(int64_t first, int64_t rows) {
    reference_logits_.resize(static_cast<size_t>(rows * original_.vocab()));
    teacher_->logits(hidden_.data() + first * original_.config.width, rows,
                     reference_logits_.data());
    return reference_logits_.data();
  }

  void adam() {
    const double step = static_cast<double>(state_.done + 1),
                 planned = static_cast<double>(state_.steps);
    const double warm = std::min(1.0, step / static_cast<double>(kWarmup)),
                 cooled = 0.5 + 0.5 * std::cos(std::numbers::pi * (step - 1) / planned);
    const double scaled = rate() * warm * cooled / (1 - std::pow(kDecay1, step)),
                 fix2 = 1 - std::pow(kDecay2, step);
    const std::span<const float> gradient = gradient_.all();
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double g = gradient[i];
      const double m = kDecay1 * state_.moment1[i] + (1 - kDecay1) * g,
                   v = kDecay2 * state_.moment2[i] + (1 - kDecay2) * g * g;
      state_.moment1[i] = static_cast<float>(m);
      state_.moment2[i] = static_cast<float>(v);
      state_.factor[i] -= static_cast<float>(scaled * m / (std::sqrt(v / fix2) + kTiny));
    }
  }

  /// The quantized file with what has been found.
  Status write(const std::filesystem::path& out) {
    std::map<std::string, std::vector<std::byte>> changed;
    const auto gains = [&](const std::string& name, const std::vector<float>& gain,
                           std::span<const float> factor) -> Status {
      const StoredTensor* t = quantized_.file->find(name);
      if (!t) return fail("[distill] {} is not in the file", name);
      std::vector<float> values(gain);
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = values[i] * factor[i] - quantized_.config.norm_offset;
      std::vector<std::byte> bytes(t->data.size());
      PL_CHECK(encode_simple(t->type, values, bytes));
      changed[name] = std::move(bytes);
      return {};
    };
    for (int64_t l = 0; l < quantized_.config.layers; ++l) {
      const LayerWeights& layer = quantized_.layers[static_cast<size_t>(l)];
      for (const Linear linear : kBlockLinears) {
        PL_TRY(changed[coef_name(linear_name(l, linear))],
               scale_rows(layer.at(linear), factors_.rows(l, linear)));
      }
      for (const Norm norm : kBlockNorms)
        if (const auto& gain = gain_of(layer, norm); !gain.empty())
          PL_CHECK(gains(norm_name(l, norm), gain, factors_.gains(l, norm)));
    }
    PL_CHECK(gains("output_norm.weight", quantized_.output_norm, factors_.output_gains()));

    Metadata metadata;
    for (const auto& [key, value] : quantized_.file->metadata().entries()) metadata.set(key, value);
    metadata.set("planeloom.distilled",
                 fmt::format("{} steps of {} windows, rate {}, {}", state_.done, options_.windows,
                             rate(), text_.description));
    std::vector<TensorSpec> specs;
    for (const StoredTensor& t : quantized_.file->tensors())
      specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
    const std::filesystem::path partial = workspace_.path("out.gguf");
    PL_TRY(GgufWriter writer, GgufWriter::create(partial, metadata, specs));
    for (const StoredTensor& t : quantized_.file->tensors()) {
      const auto found = changed.find(t.name);
      PL_CHECK(writer.write_tensor(
          found == changed.end() ? t.data : std::span<const std::byte>(found->second)));
    }
    PL_CHECK(writer.commit());
    std::error_code error;
    std::filesystem::rename(partial, out, error);
    if (error) return fail("[distill] cannot rename to {}: {}", out.string(), error.message());
    return workspace_.remove();
  }

  const Model &original_, &quantized_;
  const DistillOptions& options_;
  const Compute& compute_;
  Progress& progress_;
  Workspace workspace_;
  CalibrationText text_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;  // of the windows in this epoch
  std::unique_ptr<Session> teacher_;
  std::vector<float> hidden_;            // (tokens, width): of the unquantized model, at its end
  std::vector<float> reference_logits_;  // (rows, vocab)
  State state_;
  Scalars factors_, gradient_;
};

}  // namespace

double rate_for(double kl) { return std::clamp(kRateOfKl * kl, kLeastRate, kMostRate); }

Result<DistillSummary> distill(const Model& original, const Model& quantized,
                               const std::filesystem::path& out, const DistillOptions& options,
                               const Compute& compute, Progress& progress) {
  PL_CHECK(check_output(out));
  PL_CHECK(check(original, quantized, options));
  PL_TRY(const std::string print, fingerprint(original, quantized, options));
  PL_TRY(Workspace workspace, Workspace::open(out.string() + ".partial", print));
  Run run(original, quantized, options, compute, progress, std::move(workspace));
  auto done = run.run(out);
  if (!done) run.leave();
  return done;
}

}  // namespace planeloom
