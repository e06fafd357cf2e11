// What every linear's outputs mean to the loss, from the model's own backward pass.
#pragma once
#include "compress/calibration.h"
#include "compress/output_moments.h"

namespace planeloom {

/// Second moments of Gradient::fisher's gradients over a text's windows; `seed` draws the tokens.
/// The same bits for any number of threads. Errors: a model whose backward pass is not here,
/// Ctrl-C.
Result<OutputMoments> output_gradients(const Model& model, const CalibrationText& text,
                                       uint64_t seed, const Compute& compute, Progress& progress);

/// Whether the model's backward pass is here.
bool has_output_gradients(const Model& model);

/// About how many bytes that takes beside its result, for windows of so many tokens.
uint64_t output_gradients_bytes(const Model& model, int64_t context);

}  // namespace planeloom
