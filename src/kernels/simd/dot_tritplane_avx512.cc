// Trit-planes against int8 activations with AVX-512 VNNI. Words of five base-9 digits are expanded
// to codes a panel at a time; a code becomes both trits by two look-ups, and every plane has its
// own exact sum: sum of level x = a1 (sum of t1 x) + a2 (sum of t2 x), with the integer a1 and a2
// of codecs/level_pairs.h. Tied planes are one look-up and one sum.
#include "kernels/simd/plane_levels_avx512.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/trit_tables.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1024;  // bytes, as for bit-planes
constexpr int64_t kMostTokens = 4;                   // beyond, a tile is unpacked once for all

/// What multiplies the sums of the planes (integers, as float: products stay below 2^24, so they
/// are exact), and their scale. Tied planes have only the scale.
struct Ratio {
  __m512 a1, a2, scale;
};

PL_AVX512 Ratio ratio_of_halves(const std::byte* coef) {
  __m512 c1 = coefficient(coef), c2 = coefficient(coef + 2 * kTileRows);
  __m512i top1 = magnitude(c1), top2 = magnitude(c2);
  if (_mm512_cmpge_epi32_mask(_mm512_max_epi32(top1, top2), _mm512_set1_epi32(kExponentMask)))
      [[unlikely]] {
    c1 = finite_coefficient(coef);
    c2 = finite_coefficient(coef + 2 * kTileRows);
    top1 = magnitude(c1);
    top2 = magnitude(c2);
  }
  const LevelScale scale = level_scale(
      _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(top1), _mm512_castsi512_ps(top2))),
      kSevenBits);
  const auto rounded = [&](__m512 c) __attribute__((target(PL_AVX512_TARGET))) {
    return _mm512_cvtepi32_ps(_mm512_cvtps_epi32(_mm512_mul_ps(c, scale.inverse)));
  };
  return {rounded(c1), rounded(c2), scale.scale};
}

PL_AVX512 Ratio ratio_of_bytes(const std::byte* coef) {
  const auto load = [](const std::byte* p) __attribute__((target(PL_AVX512_TARGET))) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  };
  const auto cut = [](__m512i v, __m512i most) __attribute__((target(PL_AVX512_TARGET))) {
    return _mm512_min_epi32(_mm512_max_epi32(v, _mm512_sub_epi32(_mm512_setzero_si512(), most)),
                            most);
  };
  const __m512i most = _mm512_set1_epi32(kSevenBits.zero), a1 = cut(load(coef), most),
                a2 = cut(load(coef + kTileRows), _mm512_sub_epi32(most, _mm512_abs_epi32(a1)));
  return {_mm512_cvtepi32_ps(a1), _mm512_cvtepi32_ps(a2), byte_scales(coef + 2 * kTileRows)};
}

template <Coefficients C>
PL_AVX512 Ratio ratio_of(const std::byte* coef) {
  if constexpr (C == Coefficients::kByte) return ratio_of_bytes(coef);
  if constexpr (C == Coefficients::kHalf) return ratio_of_halves(coef);
  const __m512 one = _mm512_set1_ps(1.0f);
  return {one, one, finite_coefficient(coef)};
}

/// Codes of the twenty columns of two lines.
PL_AVX512 void expand(const std::byte* line, uint8_t* codes) {
  const __m512i nine = _mm512_set1_epi16(9);
  __m512i digit[2][5];
  for (int l = 0; l < 2; ++l) {
    __m512i rest = _mm512_loadu_si512(line + l * kLineBytes);
    for (int f = 0; f < 5; ++f) {
      digit[l][f] = _mm512_mulhi_epu16(rest, nine);
      rest = _mm512_mullo_epi16(rest, nine);
    }
  }
  const auto store = [&](int quad, __m512i even,
                         __m512i odd) __attribute__((target(PL_AVX512_TARGET))) {
    _mm512_store_si512(codes + quad * kLineBytes, _mm512_or_si512(even, _mm512_slli_epi16(odd, 8)));
  };
  for (int l = 0; l < 2; ++l)
    for (int p = 0; p < 2; ++p) store(2 * l + p, digit[l][2 * p], digit[l][2 * p + 1]);
  store(4, digit[0][4], digit[1][4]);
}

PL_AVX512 __m512i sixteen_bytes(const uint8_t* table) {
  return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

/// The exact sum of level x over a step of 32 columns, as float, for T tokens.
template <Coefficients C, int T>
PL_AVX512 void step_sums(const uint8_t* codes, const Ratio& ratio, const int8_t* x,
                         const int32_t* start, __m512 total[T]) {
  if constexpr (C == Coefficients::kTied) {
    const __m512i table = sixteen_bytes(kTiedCode);
    __m512i exact[T];
    for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
    for (int q = 0; q < kTritStep / 4; ++q) {
      const __m512i code = _mm512_shuffle_epi8(table, _mm512_load_si512(codes + q * kLineBytes));
      for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], code, x + (q * T + t) * 4);
    }
    for (int t = 0; t < T; ++t) total[t] = _mm512_cvtepi32_ps(exact[t]);
  } else {
    const __m512i first = sixteen_bytes(kTrit1), second = sixteen_bytes(kTrit2);
    __m512i exact1[T], exact2[T];
    for (int t = 0; t < T; ++t)  // trits are stored as t + 1: minus the sum of x
      exact1[t] = exact2[t] = _mm512_set1_epi32(start[t] / kSevenBits.zero);
    for (int q = 0; q < kTritStep / 4; ++q) {
      const __m512i d = _mm512_load_si512(codes + q * kLineBytes),
                    t1 = _mm512_shuffle_epi8(first, d), t2 = _mm512_shuffle_epi8(second, d);
      for (int t = 0; t < T; ++t) {
        exact1[t] = dot4(exact1[t], t1, x + (q * T + t) * 4);
        exact2[t] = dot4(exact2[t], t2, x + (q * T + t) * 4);
      }
    }
    for (int t = 0; t < T; ++t)
      total[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact2[t]), ratio.a2,
                                 _mm512_mul_ps(_mm512_cvtepi32_ps(exact1[t]), ratio.a1));
  }
}

template <Coefficients C, int T>
PL_AVX512_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                               int64_t y_stride) {
  const int64_t group_steps = w.codec->layout().group / kTritStep, block = first / kTileRows,
                lines = (w.cols + kTritColumns - 1) / kTritColumns;
  const std::byte* coef =
      w.coef.data() + block * (w.cols / kTritStep / group_steps) * kTritCoefBytes<C>;
  const std::byte* line = w.codes.data() + block * lines * 2 * kLineBytes;
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  alignas(64) uint8_t codes[kTritPanel / 4 * kLineBytes];
  __m512 acc[T], sum[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  Ratio ratio{};
  int64_t left = 0;  // steps of the group
  for (int64_t c = 0; c < w.cols; c += kTritPanel) {
    const int64_t cols = w.cols - c < kTritPanel ? w.cols - c : kTritPanel;
    for (int64_t q = 0; q < cols / 4; q += 5, line += 2 * kLineBytes) {
      _mm_prefetch(line + kAhead, _MM_HINT_NTA);
      _mm_prefetch(line + kAhead + kLineBytes, _MM_HINT_NTA);
      expand(line, codes + q * kLineBytes);
    }
    for (int64_t s = 0; s < cols / kTritStep; ++s) {
      if (left == 0) {
        left = group_steps;
        ratio = ratio_of<C>(coef);
        coef += kTritCoefBytes<C>;
        _mm_prefetch(coef + kCoefAhead, _MM_HINT_NTA);
        for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
      }
      __m512 total[T];
      step_sums<C, T>(codes + s * kTritStep / 4 * kLineBytes, ratio, x_code, start, total);
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(total[t], _mm512_set1_ps(x_scale[t]), sum[t]);
      x_code += kTritStep * T;
      x_scale += T;
      start += T;
      if (--left > 0) continue;
      for (int t = 0; t < T; ++t) acc[t] = _mm512_fmadd_ps(sum[t], ratio.scale, acc[t]);
    }
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

template <Coefficients C>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<C, 1>) kTokens[kMostTokens] = {tokens_of<C, 1>, tokens_of<C, 2>,
                                                               tokens_of<C, 3>, tokens_of<C, 4>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_tritplane_avx512(const Codec& codec, int64_t tokens) {
  if (tokens > kMostTokens) return nullptr;
  switch (codec.layout().coefficients) {
    case Coefficients::kByte:
      return few_tokens<Coefficients::kByte>;
    case Coefficients::kTied:
      return few_tokens<Coefficients::kTied>;
    case Coefficients::kHalf:
      break;
  }
  return few_tokens<Coefficients::kHalf>;
}

}  // namespace planeloom::simd
