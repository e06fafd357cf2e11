#include "base/cpu.h"

#include <cstdlib>
#include <fstream>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace planeloom {
namespace {

#if defined(__x86_64__)
/// AMX's tiles of int8. The 8 KiB of tile data are state that Linux saves only for a process that
/// asked (Documentation/arch/x86/xstate.rst); all its threads may then use them.
bool amx_int8_granted() {
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25;  // CPUID 7.0, EDX
  constexpr long kRequest = 0x1023, kTileData = 18;       // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kTile) || !(d & kInt8)) return false;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

}  // namespace

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
    case Isa::kAmx:
      return "amx";
  }
  return "?";
}

Result<Isa> parse_isa(std::string_view name) {
  for (Isa isa : {Isa::kScalar, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (name == isa_name(isa)) return isa;
  return fail("[isa] unknown name '{}'; known: scalar, neon, avx2, avx512, amx", name);
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
        __builtin_cpu_supports("avx512vnni")) {
      isas.push_back(Isa::kAvx512);
      if (amx_int8_granted()) isas.push_back(Isa::kAmx);
    }
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
