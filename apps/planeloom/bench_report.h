// What bench has measured, as JSON and as text.
#pragma once
#include <nlohmann/json.hpp>

#include "eval/speed.h"

namespace planeloom {

/// What the machine can do with a number of threads.
struct MachineLimits {
  double bytes_per_second = 0;    // read from memory
  double int8_multiply_adds = 0;  // per second, in registers; 0: not known
};

/// Prefill or decode of `tokens` beside the limits: in decode weights are read once per token, in
/// prefill what counts is multiply-adds. The profile is told when it was taken.
nlohmann::ordered_json phase_json(const PhaseSpeed& phase, int64_t tokens, bool decode,
                                  bool profiled, const MachineLimits& limits, const Model& model);

/// Of each size that has a finished round: cost of a pass, beside a pass over one token.
nlohmann::ordered_json batches_json(const std::vector<SweepSpeed>& sweep);

/// Of each context that has a finished round: speed of the next token, bytes of cache, peak memory.
nlohmann::ordered_json contexts_json(const std::vector<SweepSpeed>& sweep, const Config& config,
                                     DType cache);

/// The whole object of `bench --json`, as text.
void print_bench(const nlohmann::ordered_json& bench);

}  // namespace planeloom
