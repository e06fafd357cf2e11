// What the methods share inside the room. quantize_layer has checked every argument before a method
// is called.
#pragma once
#include <vector>

#include "quant/lanes.h"
#include "quant/quantizer.h"

namespace planeloom {

/// fp16 holds no more; a coefficient beyond is clamped, a weight beyond is an error.
inline constexpr float kLargestHalf = 65504.0f;

/// Rounds to fp16, clamped to its finite range. Returns the bits.
uint16_t round_to_half(double value);

/// What a method is given: checked input, its Hessian (null for rtn, hqq and ptqtp without one),
/// where to run.
struct MethodContext {
  const LayerInput& input;
  const QuantOptions& options;
  const PreparedHessian* hessian;
  Isa isa;
  const lanes::LaneKernels& kernels;
  ThreadPool& pool;
  int64_t groups() const { return input.cols / options.group; }
  int64_t blocks() const { return (input.rows + lanes::kLanes - 1) / lanes::kLanes; }
};

/// Rows 16 `block` ... of column `col`; zero past the last row.
lanes::Lanes load_column(const LayerInput& input, int64_t block, int64_t col);

Result<QuantResult> quantize_rtn(const MethodContext& context);
Result<QuantResult> quantize_gptq(const MethodContext& context);
Result<QuantResult> quantize_hqq(const MethodContext& context);
Result<QuantResult> quantize_bpdq(const MethodContext& context);
Result<QuantResult> quantize_ptqtp(const MethodContext& context);
/// Trit-planes fitted as BPDQ fits bit-planes: with refine passes, for which the Hessian is there.
Result<QuantResult> refine_ptqtp(const MethodContext& context);
Result<QuantResult> quantize_trellis(const MethodContext& context);

/// Fills weight_error, output_error and bits_per_weight from the encoded weights as a reader
/// decodes them.
void measure_error(const MethodContext& context, QuantResult& result);

}  // namespace planeloom
