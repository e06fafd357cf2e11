// Rotations of activations (codecs/rotation.h) in Highway, compiled once per ISA.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/rotate.cc"
#include "kernels/simd/targets.h"

#include "codecs/rotation.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/simd/rotate.h"
#include "kernels/simd/sixteen_floats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
/// Lane i gets lane i ^ stride of its register.
template <int kStride>
HWY_INLINE V partner(V v) {
  if constexpr (kStride == 1) return hn::Shuffle2301(v);
  if constexpr (kStride == 2) return hn::Shuffle1032(v);
  if constexpr (kStride == 4 && kWidth > 4) return hn::SwapAdjacentBlocks(v);
  if constexpr (kStride == 8 && kWidth > 8) return hn::ConcatLowerUpper(d, v, v);
  return v;
}

/// One stage inside sixteen values: lane i and lane i + stride become their sum and difference.
template <int kStride>
HWY_INLINE void stage(V16& v) {
  if constexpr (kStride < kWidth) {
    constexpr hn::RebindToUnsigned<D> du;
    const auto upper = hn::RebindMask(d, hn::TestBit(hn::Iota(du, 0), hn::Set(du, kStride)));
    for (int p = 0; p < kParts; ++p) {
      const V other = partner<kStride>(v.part[p]);
      v.part[p] = hn::Add(other, hn::IfThenElse(upper, hn::Neg(v.part[p]), v.part[p]));
    }
  } else {
    constexpr int kApart = kStride / kWidth;
    for (int p = 0; p < kParts; ++p) {
      if (p & kApart) continue;
      const V a = v.part[p], b = v.part[p + kApart];
      v.part[p] = hn::Add(a, b);
      v.part[p + kApart] = hn::Sub(a, b);
    }
  }
}

HWY_INLINE void multiply_signs(const Rotation& r, int64_t i, V16& v) {
  const V16 sign = load16(r.sign() + i);
  for (int p = 0; p < kParts; ++p) v.part[p] = hn::Mul(v.part[p], sign.part[p]);
}

/// Signs where wanted and the stages inside sixteen values, then those between them.
template <bool kSigns>
HWY_INLINE void hadamard(const Rotation& r, const float* x, float* out) {
  const int64_t size = r.size();
  for (int64_t i = 0; i < size; i += kLanes) {
    V16 v = load16(x + i);
    if constexpr (kSigns) multiply_signs(r, i, v);
    stage<1>(v);
    stage<2>(v);
    stage<4>(v);
    stage<8>(v);
    store16(v, out + i);
  }
  for (int64_t stride = kLanes; stride < r.power(); stride *= 2)
    for (int64_t begin = 0; begin < size; begin += 2 * stride)
      for (int64_t i = begin; i < begin + stride; i += kWidth) {
        const V a = hn::LoadU(d, out + i), b = hn::LoadU(d, out + i + stride);
        hn::StoreU(hn::Add(a, b), d, out + i);
        hn::StoreU(hn::Sub(a, b), d, out + i + stride);
      }
}

/// The cosine transform across blocks or its transpose, sixteen columns of them at a time.
HWY_INLINE void across(const Rotation& r, bool transposed, float* out) {
  if (r.odd() == 1) return;
  HWY_ALIGN float column[kMostBlocks * kLanes];
  const int64_t odd = r.odd(), power = r.power();
  for (int64_t i = 0; i < power; i += kLanes) {
    for (int64_t j = 0; j < odd; ++j) store16(load16(out + j * power + i), column + j * kLanes);
    const int64_t row = transposed ? 1 : odd, next = transposed ? odd : 1;
    for (int64_t k = 0; k < odd; ++k) {
      V16 sum = zero16();
      for (int64_t j = 0; j < odd; ++j) {
        const V w = hn::Set(d, r.across()[k * row + j * next]);
        for (int p = 0; p < kParts; ++p)
          sum.part[p] = hn::MulAdd(w, hn::Load(d, column + j * kLanes + p * kWidth), sum.part[p]);
      }
      store16(sum, out + k * power + i);
    }
  }
}

void rotate(const Rotation& r, const float* x, float* out) {
  hadamard<true>(r, x, out);
  across(r, false, out);
}

void unrotate(const Rotation& r, float* x) {
  across(r, true, x);
  hadamard<false>(r, x, x);
  for (int64_t i = 0; i < r.size(); i += kLanes) {
    V16 v = load16(x + i);
    multiply_signs(r, i, v);
    store16(v, x + i);
  }
}
#endif  // AVX2, AVX3 or NEON

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace planeloom::simd {

#if HWY_ARCH_X86
void rotate_avx2(const Rotation& r, const float* x, float* out) { N_AVX2::rotate(r, x, out); }
void rotate_avx512(const Rotation& r, const float* x, float* out) { N_AVX3::rotate(r, x, out); }
void unrotate_avx2(const Rotation& r, float* x) { N_AVX2::unrotate(r, x); }
void unrotate_avx512(const Rotation& r, float* x) { N_AVX3::unrotate(r, x); }
#else
void rotate_neon(const Rotation& r, const float* x, float* out) { N_NEON::rotate(r, x, out); }
void unrotate_neon(const Rotation& r, float* x) { N_NEON::unrotate(r, x); }
#endif

}  // namespace planeloom::simd
#endif
