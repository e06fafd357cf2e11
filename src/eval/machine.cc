#include "eval/machine.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace planeloom {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kPasses = 5;

/// The best rate of `work` units over kPasses runs of `body`.
template <class Body>
double best_rate(double work, Body&& body) {
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto begin = Clock::now();
    body();
    best = std::max(best, work / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

/// Four chains of 16-byte adds: enough to wait for memory only.
void read_all(const std::byte* p, int64_t bytes, std::byte* sink) {
  typedef uint64_t V __attribute__((vector_size(16), may_alias));
  V sum[4] = {};
  for (int64_t i = 0; i < bytes; i += 64)
    for (int k = 0; k < 4; ++k) sum[k] += *reinterpret_cast<const V*>(p + i + 16 * k);
  *reinterpret_cast<V*>(sink) = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

#if defined(__x86_64__)

constexpr int kChains = 12;
constexpr int64_t kRounds = 20'000'000 / kChains;

__attribute__((target("avx512f,avx512vnni"))) void dots_avx512() {
  for (int64_t i = 0; i < kRounds; ++i)
    asm volatile(
        "vpdpbusd %%zmm16, %%zmm17, %%zmm0\n vpdpbusd %%zmm16, %%zmm17, %%zmm1\n"
        "vpdpbusd %%zmm16, %%zmm17, %%zmm2\n vpdpbusd %%zmm16, %%zmm17, %%zmm3\n"
        "vpdpbusd %%zmm16, %%zmm17, %%zmm4\n vpdpbusd %%zmm16, %%zmm17, %%zmm5\n"
        "vpdpbusd %%zmm16, %%zmm17, %%zmm6\n vpdpbusd %%zmm16, %%zmm17, %%zmm7\n"
        "vpdpbusd %%zmm16, %%zmm17, %%zmm8\n vpdpbusd %%zmm16, %%zmm17, %%zmm9\n"
        "vpdpbusd %%zmm16, %%zmm17, %%zmm10\n vpdpbusd %%zmm16, %%zmm17, %%zmm11\n" ::
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11");
}

/// vpmaddubsw, vpmaddwd and an add are AVX2's dot.
__attribute__((target("avx2"))) void dots_avx2() {
  __m256i sum[kChains] = {};
  __m256i code = _mm256_set1_epi8(3), x = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < kRounds; ++i)
    for (int k = 0; k < kChains; ++k) {
      asm("" : "+x"(code), "+x"(x));  // not a constant, so nothing is folded
      sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(_mm256_maddubs_epi16(code, x), ones));
    }
  for (int k = 0; k < kChains; ++k) asm volatile("" ::"x"(sum[k]));
}

constexpr int kTileDots = 8;

/// Four chains of tile products, each sixteen rows of four int8 by sixteen lines of 64.
__attribute__((target("amx-tile,amx-int8"))) void dots_amx() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;  // Intel's manual, volume 1, 18.3
  asm volatile("ldtilecfg %0" ::"m"(config));
  for (int64_t i = 0; i < kRounds / kTileDots; ++i)
    asm volatile(
        "tdpbssd %tmm4, %tmm5, %tmm0\n tdpbssd %tmm4, %tmm6, %tmm1\n"
        "tdpbssd %tmm4, %tmm5, %tmm2\n tdpbssd %tmm4, %tmm6, %tmm3\n"
        "tdpbssd %tmm4, %tmm5, %tmm0\n tdpbssd %tmm4, %tmm6, %tmm1\n"
        "tdpbssd %tmm4, %tmm5, %tmm2\n tdpbssd %tmm4, %tmm6, %tmm3\n");
  asm volatile("tilerelease");
}

/// One pass of an ISA: its loop and the multiply-adds of it.
struct Dots {
  void (*run)();
  int64_t work;
};
Dots dots_of(Isa isa) {
  if (isa == Isa::kAmx) return {dots_amx, kRounds / kTileDots * kTileDots * 16 * 16 * 64};
  if (isa == Isa::kAvx512) return {dots_avx512, kRounds * kChains * 64};
  return {dots_avx2, kRounds * kChains * 32};
}
#endif

}  // namespace

double read_bandwidth(ThreadPool& pool) {
  constexpr int64_t kBytes = int64_t{1} << 30, kChunk = int64_t{16} << 20;
  std::vector<std::byte> buffer(static_cast<size_t>(kBytes) + 64, std::byte{1});
  auto* aligned = buffer.data() + (64 - reinterpret_cast<uintptr_t>(buffer.data()) % 64) % 64;
  std::vector<std::byte> sinks(static_cast<size_t>(pool.size()) * 64 + 64);
  auto* sink = sinks.data() + (64 - reinterpret_cast<uintptr_t>(sinks.data()) % 64) % 64;
  return best_rate(static_cast<double>(kBytes), [&] {
    pool.parallel_for(kBytes, kChunk, [&](int64_t begin, int64_t end, int worker) {
      read_all(aligned + begin, end - begin, sink + 64 * worker);
    });
  });
}

#if defined(__x86_64__)
double int8_peak(ThreadPool& pool, Isa isa) {
  if (isa == Isa::kScalar) return 0;
  const Dots dots = dots_of(isa);
  return best_rate(static_cast<double>(dots.work) * pool.size(), [&] {
    pool.parallel_for(pool.size(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) dots.run();
    });
  });
}
#else
double int8_peak(ThreadPool&, Isa) { return 0; }
#endif

}  // namespace planeloom
