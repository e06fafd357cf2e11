// Sixteen floats, the logical vector of every float sum: one register on AVX-512, two on AVX2, four
// on NEON (kParts), so that the order of sums is the reference's. Included once per ISA.
#if defined(PLANELOOM_SIXTEEN_FLOATS) == defined(HWY_TARGET_TOGGLE)
#ifdef PLANELOOM_SIXTEEN_FLOATS
#undef PLANELOOM_SIXTEEN_FLOATS
#else
#define PLANELOOM_SIXTEEN_FLOATS
#endif
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kLanes = 16;
using D = hn::CappedTag<float, kLanes>;
constexpr D d;
constexpr int kWidth = static_cast<int>(hn::MaxLanes(D()));
constexpr int kParts = kLanes / kWidth;
using V = hn::Vec<D>;

/// Sixteen floats.
struct V16 {
  V part[kParts];
  HWY_INLINE V16() {}  // GCC would compile an implicit one for no target, where NEON's V has none
};

HWY_INLINE V16 zero16() {
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = hn::Zero(d);
  return v;
}
HWY_INLINE V16 load16(const float* x) {
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = hn::LoadU(d, x + p * kWidth);
  return v;
}
/// The first n < 16 floats, zeros after.
HWY_INLINE V16 load_first(const float* x, int64_t n) {
#if HWY_MEM_OPS_MIGHT_FAULT  // a masked load reads what it masks
  HWY_ALIGN float all[kLanes] = {};
  memcpy(all, x, static_cast<size_t>(n) * sizeof(float));
  return load16(all);
#else
  V16 v;
  for (int p = 0; p < kParts; ++p) {
    const int64_t left = n - p * kWidth;
    v.part[p] = left <= 0 ? hn::Zero(d)
                          : hn::MaskedLoad(
                                hn::FirstN(d, static_cast<size_t>(left < kWidth ? left : kWidth)),
                                d, x + p * kWidth);
  }
  return v;
#endif
}
HWY_INLINE void store_first(V16 v, float* x, int64_t n) {
  HWY_ALIGN float all[kLanes];
  for (int p = 0; p < kParts; ++p) hn::Store(v.part[p], d, all + p * kWidth);
  for (int64_t i = 0; i < n; ++i) x[i] = all[i];
}
HWY_INLINE void store16(V16 v, float* x) {
  for (int p = 0; p < kParts; ++p) hn::StoreU(v.part[p], d, x + p * kWidth);
}
HWY_INLINE V16 add16(V16 a, V16 b) {
  for (int p = 0; p < kParts; ++p) a.part[p] = hn::Add(a.part[p], b.part[p]);
  return a;
}
HWY_INLINE void fma16(V16& acc, V16 a, V16 b) {
  for (int p = 0; p < kParts; ++p) acc.part[p] = hn::MulAdd(a.part[p], b.part[p], acc.part[p]);
}

/// A register to four lanes, lane j with lane j + half.
template <class DN>
HWY_INLINE auto fold_to_four(DN dn, hn::Vec<DN> v) {
  if constexpr (hn::MaxLanes(DN()) == 4) {
    return v;
  } else {
    const hn::Half<DN> half;
    return fold_to_four(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
/// 16 -> 8 -> 4 -> 2 -> 1, lane j with lane j + half.
HWY_INLINE float fold(V16 v) {
  for (int half = kParts / 2; half >= 1; half /= 2)
    for (int p = 0; p < half; ++p) v.part[p] = hn::Add(v.part[p], v.part[p + half]);
  const auto four = fold_to_four(d, v.part[0]);
  const auto two = hn::Add(four, hn::Shuffle1032(four));
  return hn::GetLane(hn::Add(two, hn::Shuffle2301(two)));
}
#endif  // AVX2, AVX3 or NEON

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();
#endif
