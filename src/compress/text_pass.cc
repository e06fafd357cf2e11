#include "compress/text_pass.h"

#include <algorithm>

#include "base/progress.h"

namespace planeloom {
namespace {

constexpr int64_t kLossRows = 4;   // that a thread takes at a time
constexpr int64_t kEndRows = 128;  // at a time: a head is unpacked for each so many

Status check_stop(int64_t layer) {
  return interrupted() ? fail("[text] interrupted in layer {}", layer) : Status{};
}

}  // namespace

Result<std::unique_ptr<TextPass>> TextPass::create(const Model& model, CalibrationText text,
                                                   const TextPassOptions& options,
                                                   const Compute& compute) {
  std::unique_ptr<TextPass> pass(new TextPass(model, std::move(text), options.unscored, compute));
  SessionOptions session;
  session.context = pass->text_.context;
  session.activations = options.activations;
  session.cache = DType::kF32;
  PL_TRY(pass->session_, Session::create(model, compute, session));
  const int64_t size = pass->text_.context * model.config.width;
  pass->hidden_.resize(static_cast<size_t>(pass->text_.windows() * size));
  pass->window_.resize(static_cast<size_t>(size));
  for (int64_t i = 0; i < pass->text_.windows(); ++i)
    PL_CHECK(pass->session_->embed(pass->text_.window(i), pass->hidden_.data() + i * size));
  return pass;
}

int64_t TextPass::scored() const { return text_.windows() * (text_.context - 1 - first_scored()); }

Status TextPass::pass(Hooks* hooks) {
  session_->set_hooks(hooks);
  for (int64_t i = 0; i < text_.windows() && !interrupted(); ++i)
    session_->run_layer(layer_, hidden_.data() + i * static_cast<int64_t>(window_.size()),
                        text_.context, 0);
  session_->set_hooks(nullptr);
  PL_CHECK(check_stop(layer_));
  ++layer_;
  return {};
}

Status TextPass::finish(int64_t first, End end, Sink sink) {
  const int64_t width = model_.config.width, last = text_.context - 1;
  const int64_t cols = end == End::kLogits ? model_.vocab() : width;
  ends_.resize(static_cast<size_t>(kEndRows * cols));
  int64_t row = 0;
  for (int64_t i = 0; i < text_.windows(); ++i) {
    PL_CHECK(check_stop(layer_));
    std::copy_n(hidden_.begin() + i * static_cast<int64_t>(window_.size()), window_.size(),
                window_.begin());
    for (int64_t l = first; l < model_.config.layers; ++l)
      session_->run_layer(l, window_.data(), text_.context, 0);
    for (int64_t t = first_scored(); t < last; t += kEndRows) {
      const int64_t rows = std::min(kEndRows, last - t);
      const float* hidden = window_.data() + t * width;
      if (end == End::kLogits)
        session_->logits(hidden, rows, ends_.data());
      else
        session_->head_input(hidden, rows, ends_.data());
      sink(row, {ends_.data(), rows, cols},
           text_.window(i).subspan(static_cast<size_t>(t + 1), static_cast<size_t>(rows)));
      row += rows;
    }
  }
  return {};
}

Result<double> TextPass::mean_loss(int64_t first, End end, Loss loss) {
  double sum = 0;
  std::vector<double> losses;
  const auto add = [&](int64_t row, Rows ends, std::span<const int32_t> next) {
    losses.resize(next.size());
    compute_.pool->parallel_for(ends.rows, kLossRows, [&](int64_t begin, int64_t stop, int) {
      std::vector<float> scratch;
      for (int64_t r = begin; r < stop; ++r)
        losses[static_cast<size_t>(r)] =
            loss(row + r, {ends.data + r * ends.cols, static_cast<size_t>(ends.cols)},
                 next[static_cast<size_t>(r)], scratch);
    });
    for (const double x : losses) sum += x;
  };
  PL_CHECK(finish(first, end, add));
  return sum / static_cast<double>(scored());
}

}  // namespace planeloom
