// Float matrices by panels in Highway, compiled once per ISA: sixteen rows lie across the lanes of
// a register and a token's value is broadcast, so nothing is added across lanes. The sixteen
// partial sums of a dot (kernels.h) are made one after another and folded as soon as their partner
// is there.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/float_panels.cc"
#include "kernels/simd/targets.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/simd/float_panels.h"
#include "kernels/simd/sixteen_floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
// Tokens at a time: their sums, the weights and a broadcast fill the registers (16 or 32 of them).
constexpr int kTokensAtATime = kParts == 1 ? 8 : kParts == 2 ? 6 : 4;
constexpr int kFoldings = 4;  // 16 -> 8 -> 4 -> 2 -> 1

/// Partial sums that wait for their partner, of the tokens of a panel.
struct Held {
  HWY_ALIGN float sum[kFoldings][kPanelRows][kPanelRows];  // (folding, token, row)
};

/// One lane's sums of T tokens. w, x: (steps, 16).
template <int T>
HWY_INLINE void lane_sums(const float* HWY_RESTRICT w, const float* HWY_RESTRICT x, int64_t steps,
                          V16 (&acc)[T]) {
  for (int t = 0; t < T; ++t) acc[t] = zero16();
  for (int64_t s = 0; s < steps; ++s, w += kPanelRows, x += kPanelRows) {
    const V16 rows = load16(w);
    for (int t = 0; t < T; ++t) {
      const auto value = hn::Set(d, x[t]);
      for (int p = 0; p < kParts; ++p)
        acc[t].part[p] = hn::MulAdd(rows.part[p], value, acc[t].part[p]);
    }
  }
}

/// A lane's sums of T tokens from `first` on, added to those of kFolds foldings that wait for it;
/// the last lane writes y: (token, y_stride).
template <int T, int kFolds>
void add_lane(const float* w, const float* x, int64_t steps, int first, Held& held, int64_t rows,
              float* y, int64_t y_stride) {
  V16 acc[T];
  lane_sums<T>(w, x + first, steps, acc);
  for (int f = 0; f < kFolds; ++f)
    for (int t = 0; t < T; ++t) acc[t] = add16(load16(held.sum[f][first + t]), acc[t]);
  for (int t = 0; t < T; ++t) {
    if (kFolds < kFoldings)
      store16(acc[t], held.sum[kFolds % kFoldings][first + t]);
    else if (rows == kPanelRows)
      store16(acc[t], y + (first + t) * y_stride);
    else
      store_first(acc[t], y + (first + t) * y_stride, rows);
  }
}

/// [tokens - 1][foldings]
template <int... T>
constexpr auto add_lane_of(std::integer_sequence<int, T...>) {
  return std::array{std::array{&add_lane<T + 1, 0>, &add_lane<T + 1, 1>, &add_lane<T + 1, 2>,
                               &add_lane<T + 1, 3>, &add_lane<T + 1, 4>}...};
}
constexpr auto kAddLane = add_lane_of(std::make_integer_sequence<int, kTokensAtATime>());

/// Nearly equal shares of a panel's tokens, none larger than fits.
int share(int tokens) {
  const int shares = (tokens + kTokensAtATime - 1) / kTokensAtATime;
  return (tokens + shares - 1) / shares;
}

void dot_panels(const float* w, int64_t steps, const float* x, int64_t tokens, int64_t rows,
                float* y, int64_t y_stride) {
  const int64_t lane = steps * kPanelRows;
  Held held;
  for (int64_t t = 0; t < tokens; t += kPanelRows, x += kPanelRows * lane) {
    const auto count = static_cast<int>(std::min<int64_t>(kPanelRows, tokens - t));
    for (int k = 0; k < kPanelRows; ++k)  // folded as a binary counter carries
      for (int first = 0, n; first < count; first += n) {
        n = share(count - first);
        kAddLane[static_cast<size_t>(n - 1)][static_cast<size_t>(std::countr_one(unsigned(k)))](
            w + k * lane, x + k * lane, steps, first, held, rows, y + t * y_stride, y_stride);
      }
  }
}

/// Four rows' columns i ... i + 3 become four columns' rows.
HWY_INLINE void turn_four(const float* const from[4], int64_t i, float* const to[4]) {
  const hn::FixedTag<float, 4> d4;
  const hn::FixedTag<double, 2> d2;
  const auto a = hn::LoadU(d4, from[0] + i), b = hn::LoadU(d4, from[1] + i),
             c = hn::LoadU(d4, from[2] + i), e = hn::LoadU(d4, from[3] + i);
  const auto ab0 = hn::BitCast(d2, hn::InterleaveLower(d4, a, b)),
             ab1 = hn::BitCast(d2, hn::InterleaveUpper(d4, a, b)),
             ce0 = hn::BitCast(d2, hn::InterleaveLower(d4, c, e)),
             ce1 = hn::BitCast(d2, hn::InterleaveUpper(d4, c, e));
  hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab0, ce0)), d4, to[0]);
  hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab0, ce0)), d4, to[1]);
  hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab1, ce1)), d4, to[2]);
  hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab1, ce1)), d4, to[3]);
}

void pack_panel(const float* rows, int64_t stride, int64_t count, int64_t cols, float* panel) {
  const int64_t steps = panel_steps(cols), whole = cols / 4 * 4;
  if (count < kPanelRows || cols % kPanelRows != 0) std::fill_n(panel, panel_size(cols), 0.0f);
  for (int64_t i = 0; i < whole; i += 4) {
    float* to[4];
    for (int k = 0; k < 4; ++k) to[k] = panel + panel_at(i + k, 0, steps);
    int64_t r = 0;
    for (; r + 4 <= count; r += 4) {
      const float* from[4];
      for (int k = 0; k < 4; ++k) from[k] = rows + (r + k) * stride;
      turn_four(from, i, to);
      for (float*& p : to) p += 4;
    }
    for (; r < count; ++r)
      for (int k = 0; k < 4; ++k) *to[k]++ = rows[r * stride + i + k];
  }
  for (int64_t i = whole; i < cols; ++i)
    for (int64_t r = 0; r < count; ++r) panel[panel_at(i, r, steps)] = rows[r * stride + i];
}

void set_float_panels(Kernels& k) {
  k.pack_panel = pack_panel;
  k.dot_panels = dot_panels;
}
#endif  // AVX2, AVX3 or NEON

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace planeloom::simd {

#if HWY_ARCH_X86
void set_float_panels_avx2(Kernels& k) { N_AVX2::set_float_panels(k); }
void set_float_panels_avx512(Kernels& k) { N_AVX3::set_float_panels(k); }
#else
void set_float_panels_neon(Kernels& k) { N_NEON::set_float_panels(k); }
#endif

}  // namespace planeloom::simd
#endif
