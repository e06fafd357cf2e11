#include "compress/memory.h"

#include <algorithm>

#include "compress/upstream.h"

namespace planeloom {
namespace {

constexpr double kFloat = sizeof(float), kDouble = sizeof(double);
constexpr double kProcess = 32e6;  // code, threads, what is too small to list

/// A session's buffers and its cache (models/session.h), floats.
double session_bytes(const Config& c, double tokens) {
  const double buffers = 3.0 * static_cast<double>(c.width) +
                         2.0 * static_cast<double>(c.q_width()) +
                         2.0 * static_cast<double>(c.kv_width()) + 2.0 * static_cast<double>(c.ffn);
  return tokens * kFloat * buffers +
         static_cast<double>(cache_bytes(c, static_cast<int64_t>(tokens), DType::kF32));
}

/// Second moments of a linear's inputs and what is made of them (compress/layer_inputs.h,
/// upstream.h, quant/hessian.h), or its weights while they are quantized: whichever is more.
double stage_bytes(const Config& c, const QuantizeOptions& o, double rows, double cols) {
  const double tokens = static_cast<double>(o.calibration.context), square = cols * cols,
               width = static_cast<double>(c.width);
  const bool upstream = o.upstream > 0;
  const double kept = o.quant.refine > 0 ? kFloat : 0;  // the Hessian itself, for the descent
  const double panels = tokens * cols * kFloat * (upstream ? 6 : 2);
  const double lack = upstream ? width * cols * kFloat : 0;  // of the residual stream
  const double weights = rows * cols * kFloat, held = upstream ? 2 * weights : 0;  // of a stage
  const double watching = square * (kFloat + kDouble + (upstream ? kFloat : 0)) + lack + panels;
  // Rows of W as a product reads them, and what it gives (UpstreamTarget::apply).
  const double aiming =
      upstream
          ? square * (2 * kDouble + kFloat) + lack + held + 2 * weights +
                std::min(rows, static_cast<double>(UpstreamTarget::kSolvedRows)) * cols * kDouble
          : 0;
  const double preparing = square * (2 * kDouble + kFloat + kept) + held;
  const double quantizing = square * (kFloat + kept) + held + 3 * weights;
  return std::max({watching, aiming, preparing, quantizing});
}

}  // namespace

uint64_t quantize_memory(const Model& model, const QuantizeOptions& o) {
  const Config& c = model.config;
  const double streams = o.upstream > 0 ? 2 : 1,
               context = static_cast<double>(o.calibration.context);
  const bool reads = reads_text(o);
  double text = 0, stage = 0, layer = 0;
  if (reads)
    text = streams * (static_cast<double>(o.calibration.windows) * context *
                          static_cast<double>(c.width) * kFloat +
                      session_bytes(c, context));
  const auto add = [&](const PackedMatrix& w, bool statistics) {
    const auto rows = static_cast<double>(w.rows), cols = static_cast<double>(w.cols);
    stage = std::max(stage, statistics ? stage_bytes(c, o, rows, cols) : 3 * rows * cols * kFloat);
    layer += rows * cols / 2;  // encoded, at most four bits a weight and its scales
  };
  for (const PackedMatrix& w : model.layers[0].linears) add(w, reads);
  if (o.embedding_bits > 0) add(model.head, reads);
  const bool guided = o.guide_windows > 0;
  const double outputs = guided ? static_cast<double>(OutputMoments::bytes(model)) : 0,
               learning = guided ? static_cast<double>(o.learn_bytes) : 0;
  return static_cast<uint64_t>(kProcess + outputs + std::max(learning, text + stage + layer));
}

Result<int64_t> windows_within(const Model& model, QuantizeOptions o, uint64_t bytes) {
  const int64_t wanted = o.calibration.windows,
                least = std::min(wanted, static_cast<int64_t>(o.calibration.sources.size()));
  o.calibration.windows = least;
  const uint64_t smallest = quantize_memory(model, o);
  if (smallest > bytes)
    return fail(
        "[quantize] about {:.1f} MB are needed even for a text of {} tokens; allowed are {:.1f} MB",
        static_cast<double>(smallest) / 1e6, least * o.calibration.context,
        static_cast<double>(bytes) / 1e6);
  int64_t most = wanted, windows = least;
  while (windows < most) {  // the memory grows with the windows
    const int64_t middle = windows + (most - windows + 1) / 2;
    o.calibration.windows = middle;
    if (quantize_memory(model, o) <= bytes)
      windows = middle;
    else
      most = middle - 1;
  }
  return windows;
}

}  // namespace planeloom
