#pragma once
#include <string_view>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// The implementations of the kernels, worst first. Every one gives the same bits
/// (kernels/kernels.h).
enum class Isa {
  kScalar,
  kNeon,
  kAvx2,
  kAvx512,  // F, BW, DQ, VL and VNNI
  kAmx,     // that, and AMX-TILE and AMX-INT8 with the kernel's permission
};

std::string_view isa_name(Isa isa);
Result<Isa> parse_isa(std::string_view name);

/// What this CPU can run, worst first.
std::vector<Isa> supported_isas();

/// The best supported one, or the one named by PLANELOOM_ISA (an error when this CPU lacks it).
Result<Isa> default_isa();

/// "AMD EPYC 9R14 (avx2 avx512f ...)": for reports.
std::string cpu_description();

}  // namespace planeloom
