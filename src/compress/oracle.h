// The truth that measures of sensitivity stand for: what the model loses when one linear alone is
// stored in few bits.
#pragma once
#include <array>
#include <filesystem>
#include <vector>

#include "compress/calibration.h"
#include "compress/forms.h"
#include "compress/layer_scores.h"

namespace planeloom {

struct OracleOptions {
  std::vector<Form> forms;
  /// Where finished layers are kept, so that the same question is answered at once and one that was
  /// interrupted goes on after the last finished layer; empty: nowhere.
  std::filesystem::path folder;
};

/// Mean KL(model || model with that linear in that form), nats (compress/sampled_divergence.h).
struct Oracle {
  std::vector<std::string> forms;
  std::vector<std::array<std::vector<double>, kLinears>> kl;  // (layers) by Linear: (forms)
};

/// Quantizes every linear in every form with the Hessian of `learn`, one at a time, and reads
/// `score` from its layer on. Memory: the hidden states of both texts, and of every prediction a
/// few hundred tokens. The same figures for any number of threads, and one rotation whatever a
/// file's: files of several seeds go by one measurement. An error after Ctrl-C says how to go on.
Result<Oracle> measure_oracle(const Model& model, const CalibrationText& learn,
                              const CalibrationText& score, const OracleOptions& options,
                              const Compute& compute, Progress& progress);

/// Form `form` of the oracle as a metric: of a layer the sum of its linears.
Metric oracle_metric(const Oracle& oracle, size_t form);

}  // namespace planeloom
