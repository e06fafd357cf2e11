// `quantize --allocate`: bits where a measure says that they matter.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "base/report.h"
#include "compress/allocation.h"
#include "compress/quantize_model.h"
#include "sensitivity.h"

namespace planeloom {

struct AllocateOptions {
  std::string metric;  // empty: not asked for
  std::string grain = "tensor";
  std::vector<std::string> forms = kDefaultForms;
};

/// --allocate and, of no use without it, --choices and --grain.
void add_allocate_options(CLI::App* command, AllocateOptions& o);

/// Measures what the metric needs, on the calibration text where it reads one, allocates
/// `bits_per_weight` of the linears, every scale counted, and gives every linear its form; what was
/// read is not read again.
Result<Allocation> allocate_bits(const Model& model, const AllocateOptions& o,
                                 const std::vector<Form>& forms, double bits_per_weight,
                                 const Compute& compute, Progress& progress,
                                 QuantizeOptions& quantize);

/// Where the bits went, and what each step to a larger form bought.
Table allocation_table(const Allocation& allocation);
nlohmann::ordered_json allocation_json(const Allocation& allocation);
Plot allocation_plot(const Allocation& allocation);

}  // namespace planeloom
