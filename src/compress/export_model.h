#pragma once
#include <filesystem>

#include "base/progress.h"
#include "kernels/compute.h"
#include "models/model.h"

namespace planeloom {

/// Writes a model as an ordinary GGUF that other engines load: the linears that a Planeloom file
/// stores as planes become `type` (F16 or Q8_0), everything else is copied as it is. Fails for
/// models that were read from a Hugging Face folder: their tokenizer and weight order are not
/// GGUF's.
Status export_model(const Model& model, DType type, const std::filesystem::path& out,
                    const Compute& compute, Progress& progress);

}  // namespace planeloom
