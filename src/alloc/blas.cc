#include "alloc/blas.h"

#include <dlfcn.h>

#include <cstdlib>

namespace planeloom {
namespace {

/// The kernels that this CPU can run: a CPU younger than the library gets such of twenty years ago
/// from it, several times as slow.
const char* core_type() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

constexpr const char* kInstall = "on Debian or Ubuntu: apt install libopenblas0-pthread";

Result<Blas> load() {
  // Read by the library as it loads; what the user has set stays.
  if (const char* core = core_type()) setenv("OPENBLAS_CORETYPE", core, 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail("[nsds] wants OpenBLAS, which is not there ({}); {}", dlerror(), kInstall);
  Blas blas;
  int (*parallel)() = nullptr;
  void (*set_threads)(int) = nullptr;
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    return function != nullptr;
  };
  if (!find("cblas_sgemm", blas.sgemm) || !find("cblas_dgemm", blas.dgemm) ||
      !find("cblas_dsyrk", blas.dsyrk) || !find("dsyevd_", blas.dsyevd) ||
      !find("openblas_get_parallel", parallel) || !find("openblas_set_num_threads", set_threads))
    return fail("[nsds] the OpenBLAS of this machine lacks CBLAS or LAPACK; {}", kInstall);
  if (parallel() == 0)  // two callers would spoil each other's figures
    return fail("[nsds] the OpenBLAS of this machine is made for one thread; {}", kInstall);
  set_threads(1);
  return blas;
}

}  // namespace

Result<const Blas*> load_blas() {
  static const Result<Blas> loaded = load();
  if (!loaded) return tl::unexpected(loaded.error());
  return &*loaded;
}

}  // namespace planeloom
