#include "compress/layer_inputs.h"

namespace planeloom {
namespace {

bool in_ffn(Linear linear) {
  return linear == Linear::kGate || linear == Linear::kUp || linear == Linear::kDown;
}

}  // namespace

Result<std::unique_ptr<LayerInputs>> LayerInputs::create(const Model& model, CalibrationText text,
                                                         const Rotations& rotations,
                                                         std::optional<double> upstream_damping,
                                                         const Compute& compute) {
  std::unique_ptr<LayerInputs> in(new LayerInputs(model, std::move(text), rotations, compute));
  SessionOptions options;
  options.context = in->text_.context;
  // What the quantized model will be served with; the original reads alike, so that what is seen of
  // its drift is not the rounding of activations.
  options.activations = ActivationMode::kInt8;
  options.cache = DType::kF32;
  PL_TRY(in->now_.session, Session::create(model, compute, options));
  in->now_.hidden.resize(
      static_cast<size_t>(in->text_.windows() * in->text_.context * model.config.width));
  for (int64_t i = 0; i < in->text_.windows(); ++i)
    PL_CHECK(in->now_.session->embed(in->text_.window(i), in->window(in->now_, i)));
  if (upstream_damping) {
    in->damping_ = upstream_damping;
    in->original_ = model;
    PL_TRY(in->before_.session, Session::create(*in->original_, compute, options));
    in->before_.hidden = in->now_.hidden;
  }
  return in;
}

const Rotation* LayerInputs::rotation(Linear linear) const {
  const int64_t cols =
      linear == Linear::kHead ? model_.config.width : linear_shape(model_.config, linear).cols;
  const auto found = rotations_.find(cols);
  return found == rotations_.end() ? nullptr : found->second.get();
}

/// Where a linear's output is added to the residual stream as it is.
bool LayerInputs::writes_residual(Linear linear) const {
  return (linear == Linear::kO || linear == Linear::kDown) && !model_.config.post_norms;
}

/// Runs a window of the text up to a linear.
void LayerInputs::watch(Stream& stream, int64_t layer, Linear linear, int64_t i,
                        InputHook::Take take) {
  InputHook hook(compute_, layer, linear, rotation(linear), take);
  stream.session->set_hooks(&hook);
  if (in_ffn(linear))
    stream.session->run_ffn(layer, window(stream, i), text_.context);
  else
    stream.session->run_attention(layer, window(stream, i), text_.context, 0);
  stream.session->set_hooks(nullptr);
}

/// x: what the quantized model feeds the linear in this window.
void LayerInputs::add_drift(int64_t layer, Linear linear, int64_t i, Rows x, Drift& drift) {
  const auto subtract = [&](const float* from, const float* what, int64_t n) {
    drift.difference.resize(static_cast<size_t>(n));
    for (int64_t k = 0; k < n; ++k) drift.difference[static_cast<size_t>(k)] = from[k] - what[k];
    return drift.difference.data();
  };
  watch(before_, layer, linear, i, [&](Rows original) {
    const float* d = subtract(original.data, x.data, x.rows * x.cols);
    drift.inputs.add(compute_, x, {d, x.rows, x.cols});
  });
  if (!drift.lack) return;
  const float* r = subtract(window(before_, i), window(now_, i), x.rows * model_.config.width);
  drift.lack->add(compute_, {r, x.rows, model_.config.width}, x);
}

Result<LayerInputs::Seen> LayerInputs::before(int64_t layer, Linear linear) {
  if (in_ffn(linear)) pass_attention(layer);
  const int64_t cols = linear_shape(model_.config, linear).cols;
  std::optional<SecondMoments> moments(cols);
  std::optional<Drift> drift;
  if (original_) drift.emplace(cols, writes_residual(linear) ? model_.config.width : 0);
  for (int64_t i = 0; i < text_.windows(); ++i)
    watch(now_, layer, linear, i, [&](Rows x) {
      moments->add(compute_, x);
      if (drift) add_drift(layer, linear, i, x, *drift);
    });
  Seen seen{moments->hessian(), {}};
  moments.reset();
  if (drift) {
    PL_TRY(seen.target,
           UpstreamTarget::make(compute_, seen.hessian, cols, std::move(drift->inputs).mean(),
                                drift->lack ? std::move(*drift->lack).mean() : std::vector<float>{},
                                *damping_));
  }
  return seen;
}

std::vector<double> LayerInputs::before_head() {
  SecondMoments moments(model_.config.width);
  const auto take = [&](Rows x) { moments.add(compute_, x); };
  InputHook hook(compute_, model_.config.layers, Linear::kHead, rotation(Linear::kHead), take);
  now_.session->set_hooks(&hook);
  for (int64_t i = 0; i < text_.windows(); ++i)
    now_.session->logits(window(now_, i), text_.context, nullptr);
  now_.session->set_hooks(nullptr);
  return moments.hessian();
}

void LayerInputs::pass_attention(int64_t layer) {
  if (attended_ == layer) return;
  attended_ = layer;
  for (int64_t i = 0; i < text_.windows(); ++i) {
    now_.session->run_attention(layer, window(now_, i), text_.context, 0);
    if (original_) before_.session->run_attention(layer, window(before_, i), text_.context, 0);
  }
}

void LayerInputs::pass(int64_t layer) {
  pass_attention(layer);
  for (int64_t i = 0; i < text_.windows(); ++i) {
    now_.session->run_ffn(layer, window(now_, i), text_.context);
    if (original_) before_.session->run_ffn(layer, window(before_, i), text_.context);
  }
}

}  // namespace planeloom
