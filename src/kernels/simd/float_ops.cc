// Float operations in Highway, compiled once per ISA.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/float_ops.cc"
#include "kernels/simd/targets.h"

#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/exp_constants.h"
#include "kernels/simd/float_panels.h"
#include "kernels/simd/rotate.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sixteen_floats-inl.h"
#include "kernels/simd/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
/// Sixteen weights as floats.
HWY_INLINE V16 load_weights(const float* w) { return load16(w); }
template <class W16>
HWY_INLINE V16 load_weights(const W16* w) {
  const hn::Rebind<W16, D> d16;
  V16 v;
  for (int p = 0; p < kParts; ++p) v.part[p] = hn::PromoteTo(d, hn::LoadU(d16, w + p * kWidth));
  return v;
}
/// The first n < 16, zeros after.
HWY_INLINE V16 first_weights(const float* w, int64_t n) { return load_first(w, n); }
template <class W16>
HWY_INLINE V16 first_weights(const W16* w, int64_t n) {
  HWY_ALIGN W16 all[kLanes];
  memset(all, 0, sizeof all);
  memcpy(all, w, static_cast<size_t>(n) * sizeof(W16));
  return load_weights(all);
}

// Weights. R rows side by side are R streams, which the CPU's own prefetchers do not follow.
constexpr int64_t kWeightsAhead = 2048;

template <int R, int T, class W>
HWY_INLINE void dot_tile(const W* HWY_RESTRICT w, int64_t w_stride, const float* HWY_RESTRICT x,
                         int64_t x_stride, int64_t n, float* out, int64_t out_stride) {
  V16 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) acc[r][t] = zero16();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V16 wv[R];
    for (int r = 0; r < R; ++r) wv[r] = load_weights(w + r * w_stride + i);
    if (sizeof(W) == 2 && T == 1 && R > 1)  // the next rows, line by line, to the second cache
      for (int b = 0; b < R * kLanes; b += 32)
        __builtin_prefetch(w + R * (w_stride + i) + b + kWeightsAhead, 0, 2);
    for (int t = 0; t < T; ++t) {
      const V16 xv = load16(x + t * x_stride + i);
      for (int r = 0; r < R; ++r) fma16(acc[r][t], wv[r], xv);
    }
  }
  if (i < n) {
    for (int t = 0; t < T; ++t) {
      const V16 xv = load_first(x + t * x_stride + i, n - i);
      for (int r = 0; r < R; ++r) fma16(acc[r][t], first_weights(w + r * w_stride + i, n - i), xv);
    }
  }
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) out[t * out_stride + r] = fold(acc[r][t]);
}

// 16 accumulators leave room for the operands in 32 registers (AVX-512, NEON); AVX2 has 16
// registers of half the width.
constexpr int kTileRows = kParts == 1 ? 4 : 2, kTileTokens = kParts == 1 ? 4 : 2;

template <int T, class W>
void dot_rows(const W* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
              int64_t n, float* out, int64_t out_stride) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows)
    dot_tile<kTileRows, T>(w + r * w_stride, w_stride, x, x_stride, n, out + r, out_stride);
  for (; r < rows; ++r)
    dot_tile<1, T>(w + r * w_stride, w_stride, x, x_stride, n, out + r, out_stride);
}

template <class W>
HWY_INLINE void dot(const W* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
                    int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  int64_t t = 0;
  for (; t + kTileTokens <= tokens; t += kTileTokens)
    dot_rows<kTileTokens>(w, w_stride, rows, x + t * x_stride, x_stride, n, out + t * out_stride,
                          out_stride);
  for (; t < tokens; ++t)
    dot_rows<1>(w, w_stride, rows, x + t * x_stride, x_stride, n, out + t * out_stride, out_stride);
}

void dot_f32(const float* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
             int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot(w, w_stride, rows, x, x_stride, tokens, n, out, out_stride);
}
void dot_f16(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
             int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot(reinterpret_cast<const hwy::float16_t*>(w), w_stride, rows, x, x_stride, tokens, n, out,
      out_stride);
}
void dot_bf16(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
              int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot(reinterpret_cast<const hwy::bfloat16_t*>(w), w_stride, rows, x, x_stride, tokens, n, out,
      out_stride);
}

/// Same operations in the same order as ref::exp_f32.
HWY_INLINE V exp_v(V x) {
  using namespace exp_constants;
  const auto keep = hn::Or(hn::Ge(x, hn::Set(d, kMin)), hn::IsNaN(x));
  const auto clamped = hn::Min(hn::Max(x, hn::Set(d, kMin)), hn::Set(d, kMax));
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, kLog2E)));
  const auto r =
      hn::NegMulAdd(n, hn::Set(d, kLn2Low), hn::NegMulAdd(n, hn::Set(d, kLn2High), clamped));
  auto p = hn::MulAdd(r, hn::Set(d, kC7), hn::Set(d, kC6));
  p = hn::MulAdd(r, p, hn::Set(d, kC5));
  p = hn::MulAdd(r, p, hn::Set(d, kC4));
  p = hn::MulAdd(r, p, hn::Set(d, kC3));
  p = hn::MulAdd(r, p, hn::Set(d, kC2));
  p = hn::MulAdd(r, p, hn::Set(d, 1.0f));
  p = hn::MulAdd(r, p, hn::Set(d, 1.0f));
  const hn::RebindToSigned<D> di;
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const auto result = hn::Mul(p, hn::BitCast(d, power));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::IfThenElseZero(keep, result));
}

HWY_INLINE V16 silu16(V16 g, V16 u) {
  const auto one = hn::Set(d, 1.0f);
  for (int p = 0; p < kParts; ++p) {
    const auto e = exp_v(hn::Neg(g.part[p]));
    g.part[p] = hn::Mul(hn::Div(g.part[p], hn::Add(one, e)), u.part[p]);
  }
  return g;
}

HWY_INLINE V16 gelu16(V16 g, V16 u) {
  const auto one = hn::Set(d, 1.0f);
  for (int p = 0; p < kParts; ++p) {
    const auto x = g.part[p];
    const auto cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
    const auto e = exp_v(hn::Mul(cubic, hn::Set(d, -1.5957691216057308f)));
    g.part[p] = hn::Mul(hn::Div(x, hn::Add(one, e)), u.part[p]);
  }
  return g;
}

template <class F>
HWY_INLINE void gated(float* gate, const float* up, int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store16(f(load16(gate + i), load16(up + i)), gate + i);
  if (i < n)
    store_first(f(load_first(gate + i, n - i), load_first(up + i, n - i)), gate + i, n - i);
}

void silu_mul(float* gate, const float* up, int64_t n) { gated(gate, up, n, silu16); }
void gelu_mul(float* gate, const float* up, int64_t n) { gated(gate, up, n, gelu16); }

void rms_norm(const float* x, const float* gain, float eps, int64_t n, float* out) {
  V16 acc = zero16();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const V16 v = load16(x + i);
    fma16(acc, v, v);
  }
  if (i < n) {
    const V16 v = load_first(x + i, n - i);
    fma16(acc, v, v);
  }
  const float scale =
      1.0f / hn::GetLane(hn::Sqrt(hn::Set(d, fold(acc) / static_cast<float>(n) + eps)));
  for (i = 0; i < n; ++i) out[i] = x[i] * scale * gain[i];
}

/// The largest; a NaN is passed over unless it comes first, as std::max has it.
HWY_INLINE float largest(const float* x, int64_t n) {
  auto top = hn::Set(d, x[0]);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const auto v = hn::LoadU(d, x + i);
    top = hn::IfThenElse(hn::Gt(v, top), v, top);
  }
  HWY_ALIGN float lanes[kLanes];
  hn::Store(top, d, lanes);
  float biggest = lanes[0];
  for (int j = 1; j < kWidth; ++j) biggest = lanes[j] > biggest ? lanes[j] : biggest;
  for (; i < n; ++i) biggest = x[i] > biggest ? x[i] : biggest;
  return biggest;
}

float exp_sum(float* x, int64_t n, float* biggest) {
  *biggest = largest(x, n);
  const auto top = hn::Set(d, *biggest);
  V16 acc = zero16();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int p = 0; p < kParts; ++p) {
      const auto e = exp_v(hn::Sub(hn::LoadU(d, x + i + p * kWidth), top));
      acc.part[p] = hn::Add(acc.part[p], e);
      hn::StoreU(e, d, x + i + p * kWidth);
    }
  if (i < n) {
    HWY_ALIGN float tail[kLanes] = {};
    V16 v = load_first(x + i, n - i);
    for (int p = 0; p < kParts; ++p)
      hn::Store(exp_v(hn::Sub(v.part[p], top)), d, tail + p * kWidth);
    for (int64_t j = n - i; j < kLanes; ++j) tail[j] = 0.0f;
    for (int p = 0; p < kParts; ++p)
      acc.part[p] = hn::Add(acc.part[p], hn::Load(d, tail + p * kWidth));
    for (int64_t j = 0; j < n - i; ++j) x[i + j] = tail[j];
  }
  return fold(acc);
}

void weighted_sum(const float* weight, int64_t n, const float* v, int64_t stride, int64_t dim,
                  float* out) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= dim; c += 4 * kLanes) {  // 64 outputs stay in registers over all n
    V16 acc[4];
    for (int k = 0; k < 4; ++k) acc[k] = load16(out + c + k * kLanes);
    for (int64_t i = 0; i < n; ++i) {
      const auto s = hn::Set(d, weight[i]);
      for (int k = 0; k < 4; ++k)
        for (int p = 0; p < kParts; ++p)
          acc[k].part[p] = hn::MulAdd(s, hn::LoadU(d, v + i * stride + c + k * kLanes + p * kWidth),
                                      acc[k].part[p]);
    }
    for (int k = 0; k < 4; ++k) store16(acc[k], out + c + k * kLanes);
  }
  for (; c < dim; c += kLanes) {
    const int64_t left = dim - c < kLanes ? dim - c : kLanes;
    V16 acc = load_first(out + c, left);
    for (int64_t i = 0; i < n; ++i) {
      const V16 row = load_first(v + i * stride + c, left);
      for (int p = 0; p < kParts; ++p)
        acc.part[p] = hn::MulAdd(hn::Set(d, weight[i]), row.part[p], acc.part[p]);
    }
    store_first(acc, out + c, left);
  }
}

void half_to_float(const uint16_t* in, int64_t n, float* out) {
  const hn::Rebind<hwy::float16_t, D> dh;
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(in + i))), d,
               out + i);
  if (i < n) {
    HWY_ALIGN uint16_t tail[kLanes] = {};
    HWY_ALIGN float wide[kLanes];
    for (int64_t j = 0; j < n - i; ++j) tail[j] = in[i + j];
    hn::Store(hn::PromoteTo(d, hn::Load(dh, reinterpret_cast<const hwy::float16_t*>(tail))), d,
              wide);
    for (int64_t j = 0; j < n - i; ++j) out[i + j] = wide[j];
  }
}

void q8_0_to_float(const std::byte* in, int64_t n, float* out) {
  const hn::Rebind<int8_t, D> d8;
  const hn::Rebind<int32_t, D> di;
  for (int64_t i = 0; i < n; i += 32, in += 34) {
    float scale;
    half_to_float(reinterpret_cast<const uint16_t*>(in), 1, &scale);
    const auto* code = reinterpret_cast<const int8_t*>(in + 2);
    for (int64_t j = 0; j < 32; j += kWidth) {
      const auto v = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, code + j)));
      hn::StoreU(hn::Mul(hn::Set(d, scale), v), d, out + i + j);
    }
  }
}

/// The largest magnitude of a step is exact in any order, the rest is elementwise, the code sums
/// are integers.
void quantize_int8(const float* x, int64_t cols, int64_t step, int8_t* code, float* scale,
                   int32_t* sum) {
  const hn::RebindToSigned<D> di;
  const hn::Rebind<int8_t, D> d8;
  for (int64_t begin = 0; begin < cols; begin += step) {
    auto top = hn::Zero(d);
    for (int64_t i = begin; i < begin + step; i += kWidth) {
      const auto v = hn::Abs(hn::LoadU(d, x + i));
      top = hn::Max(top, hn::IfThenZeroElse(hn::IsNaN(v), v));
    }
    const float biggest = hn::GetLane(hn::MaxOfLanes(d, top));
    const float inverse = biggest > kSmallestActivation ? 127.0f / biggest : 0.0f;
    auto total = hn::Zero(di);
    for (int64_t i = begin; i < begin + step; i += kWidth) {
      const auto rounded = hn::Round(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, inverse)));
      const auto sound = hn::Le(hn::Abs(rounded), hn::Set(d, 127.0f));  // false for NaN
      const auto q = hn::ConvertTo(di, hn::IfThenElseZero(sound, rounded));
      total = hn::Add(total, q);
      hn::StoreU(hn::DemoteTo(d8, q), d8, code + i);
    }
    scale[begin / step] = biggest / 127.0f;
    sum[begin / step] = hn::GetLane(hn::SumOfLanes(di, total));
  }
}
/// The float operations of a table.
Kernels float_kernels() {
  Kernels k{};
  k.dot_f32 = dot_f32;
  k.dot_f16 = dot_f16;
  k.dot_bf16 = dot_bf16;
  k.quantize_int8 = quantize_int8;
  k.rms_norm = rms_norm;
  k.exp_sum = exp_sum;
  k.silu_mul = silu_mul;
  k.gelu_mul = gelu_mul;
  k.weighted_sum = weighted_sum;
  k.half_to_float = half_to_float;
  k.q8_0_to_float = q8_0_to_float;
  return k;
}
#endif  // AVX2, AVX3 or NEON

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace planeloom::simd {

#if HWY_ARCH_X86
const Kernels& avx2_table() {
  static const Kernels kTable = [] {
    Kernels k = N_AVX2::float_kernels();
    k.isa = Isa::kAvx2;
    set_float_panels_avx2(k);
    k.rotate = rotate_avx2;
    k.unrotate = unrotate_avx2;
    k.dot_tile = dot_tile_avx2;
    k.find_unpack = find_unpack_avx2;
    k.find_dot = find_dot_avx2;
    return k;
  }();
  return kTable;
}

const Kernels& avx512_table() {
  static const Kernels kTable = [] {
    Kernels k = N_AVX3::float_kernels();
    k.isa = Isa::kAvx512;
    set_float_panels_avx512(k);
    k.rotate = rotate_avx512;
    k.unrotate = unrotate_avx512;
    k.dot_tile = dot_tile_avx512;
    k.find_unpack = find_unpack_avx512;
    k.find_dot = find_dot_avx512;
    return k;
  }();
  return kTable;
}
#else
const Kernels& neon_table() {
  static const Kernels kTable = [] {
    Kernels k = N_NEON::float_kernels();
    k.isa = Isa::kNeon;
    set_float_panels_neon(k);
    k.rotate = rotate_neon;
    k.unrotate = unrotate_neon;
    k.dot_tile = find_dot_tile_neon();
    k.find_unpack = find_unpack_neon;
    k.find_dot = [](const Codec&, int64_t) -> DotPacked { return nullptr; };
    return k;
  }();
  return kTable;
}
#endif

}  // namespace planeloom::simd
#endif
