// How distillation is told about, by `distill` and by `quantize --distill`.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "base/svg_plot.h"
#include "train/distill.h"

namespace planeloom {

/// The loss step by step.
Plot distill_plot(const DistillSummary& summary);
nlohmann::ordered_json distill_results(const DistillSummary& summary);
/// "KL 0.412 -> 0.301 nats on its text, 200 steps, 204800 tokens, 310 s"
std::string distill_sentence(const DistillSummary& summary);

}  // namespace planeloom
