#include "base/cpu.h"

#include <cstdlib>
#include <fstream>

namespace planeloom {

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kNeon:
      return "neon";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "?";
}

Result<Isa> parse_isa(std::string_view name) {
  for (Isa isa : {Isa::kScalar, Isa::kNeon, Isa::kAvx2, Isa::kAvx512})
    if (name == isa_name(isa)) return isa;
  return fail("[isa] unknown name '{}'; known: scalar, neon, avx2, avx512", name);
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas{Isa::kScalar};
#if defined(__aarch64__)
  isas.push_back(Isa::kNeon);  // part of every 64-bit ARM processor
#elif defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    isas.push_back(Isa::kAvx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
      isas.push_back(Isa::kAvx512);
  }
#endif
  return isas;
}

Result<Isa> default_isa() {
  const auto isas = supported_isas();
  const char* wanted = std::getenv("PLANELOOM_ISA");
  if (!wanted || !*wanted) return isas.back();
  PL_TRY(const Isa isa, parse_isa(wanted));
  for (Isa have : isas)
    if (have == isa) return isa;
  return fail("[isa] PLANELOOM_ISA={} is not supported by this CPU", wanted);
}

std::string cpu_description() {
  std::string model = "unknown CPU", line;
  std::ifstream info("/proc/cpuinfo");
  while (std::getline(info, line))
    if (line.rfind("model name", 0) == 0) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  std::string isas;
  for (Isa isa : supported_isas()) isas += (isas.empty() ? "" : " ") + std::string(isa_name(isa));
  return fmt::format("{} ({})", model, isas);
}

}  // namespace planeloom
