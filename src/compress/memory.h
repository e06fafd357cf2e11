#pragma once
#include <cstdint>

#include "compress/quantize_model.h"

namespace planeloom {

/// About how many bytes quantize_model takes at its largest, files that are mapped not counted: the
/// hidden states of the calibration text and the widest linear with its statistics, or what learns
/// the moments of outputs before, and those moments (docs/cli.md has what was measured beside it).
uint64_t quantize_memory(const Model& model, const QuantizeOptions& options);

/// As many windows of the calibration text as fit `bytes`, at most those of the options and at
/// least one for each source. An error that says how much these take when they do not fit.
Result<int64_t> windows_within(const Model& model, QuantizeOptions options, uint64_t bytes);

}  // namespace planeloom
