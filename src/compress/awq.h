// AWQ (arXiv 2306.00978, section 3.2): input columns that activations make important are scaled up
// before rounding, which makes their errors smaller, and what feeds them is scaled down, so that
// the model computes the same. A baseline (docs/baselines.md): rounding follows, `--method awq`.
#pragma once
#include <filesystem>
#include <span>
#include <vector>

#include "compress/calibration.h"
#include "quant/quantizer.h"

namespace planeloom {

/// What linears of one input are scaled for.
struct AwqInput {
  std::span<const double> hessian;   // (cols, cols) = 2/n sum x x^T
  std::span<const float> magnitude;  // (cols): mean |x|
  std::vector<LayerInput> linears;   // that read it
};

/// s = magnitude^a (equation 5), of the a = 0, 0.05 ... 0.95 whose rounding by `rounding` costs the
/// least output error over all linears; largest and least have the geometric mean 1. (cols)
Result<std::vector<float>> awq_scales(const AwqInput& input, const QuantOptions& rounding,
                                      ThreadPool& pool);

/// Writes the model to `out` with scaled linears, in F16, and what feeds them scaled by the
/// inverse: the norm's gains for q, k, v and for gate and up, rows of up for down, rows of v for o
/// where every query head has a value head of its own. Activations are those of the unquantized
/// model. Errors: a model that holds planes or codes already, no calibration text; Ctrl-C leaves
/// nothing.
Status write_awq_scaled(const Model& model, const std::filesystem::path& out,
                        const CalibrationOptions& calibration, const QuantOptions& rounding,
                        const Compute& compute, Progress& progress);

}  // namespace planeloom
