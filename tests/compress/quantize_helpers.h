// What tests of quantize_model share.
#pragma once
#include <string>

#include "compress/quantize_model.h"
#include "compress/run_helpers.h"

namespace planeloom {

/// A method on a short text of the model's own.
inline QuantizeOptions options(const std::string& method, int group = 64) {
  QuantizeOptions o;
  o.quant.method = method;
  o.quant.group = group;
  o.calibration.windows = 2;
  o.calibration.context = 32;
  return o;
}

/// The bytes of the file that it gives.
inline std::string quantized(const Model& model, const fs::path& out, const QuantizeOptions& o,
                             int threads = 1, Isa isa = Isa::kScalar) {
  ThreadPool pool(threads);
  Silent progress;
  return bytes_after(quantize_model(model, out, o, {&pool, &kernels_for(isa)}, progress), out);
}

}  // namespace planeloom
