// Trit-planes against int8 activations with AVX2: the sibling of dot_tritplane_avx512.cc. Trits and
// tied levels are so small that the products of a step add up in sixteen bits.
#include "kernels/simd/plane_levels_avx2.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/trit_tables.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1024;  // bytes, as for bit-planes
constexpr int64_t kMostTokens = 4;                   // beyond, a tile is unpacked once for all
constexpr int kHalves = 2;
// |sum| over a step: two products of each of eight quads.
static_assert(10 * 127 * 2 * (kTritStep / 4) <= 32767);

/// What multiplies the sums of the planes of eight rows (integers; products stay below 2^24), and
/// their scale. Tied planes have only the scale.
struct Ratio {
  __m256 a1, a2, scale;
};

PL_AVX2 Ratio ratio_of_halves(const std::byte* coef, int half) {
  const std::byte* p = coef + half * kTileRows;
  __m256 c1 = coefficient(p), c2 = coefficient(p + 2 * kTileRows);
  __m256i top1 = magnitude(c1), top2 = magnitude(c2);
  if (any_odd(_mm256_max_epi32(top1, top2))) [[unlikely]] {
    c1 = finite_coefficient(p);
    c2 = finite_coefficient(p + 2 * kTileRows);
    top1 = magnitude(c1);
    top2 = magnitude(c2);
  }
  const LevelScale scale = level_scale(
      _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(top1), _mm256_castsi256_ps(top2))),
      kSevenBits);
  return {_mm256_round_ps(_mm256_mul_ps(c1, scale.inverse), _MM_FROUND_TO_NEAREST_INT),
          _mm256_round_ps(_mm256_mul_ps(c2, scale.inverse), _MM_FROUND_TO_NEAREST_INT),
          scale.scale};
}

PL_AVX2 __m256i eight_bytes(const std::byte* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
PL_AVX2 __m256i cut(__m256i v, __m256i most) {
  return _mm256_min_epi32(_mm256_max_epi32(v, _mm256_sub_epi32(_mm256_setzero_si256(), most)),
                          most);
}
PL_AVX2 Ratio ratio_of_bytes(const std::byte* coef, int half) {
  const std::byte* p = coef + half * 8;
  const __m256i most = _mm256_set1_epi32(kSevenBits.zero), a1 = cut(eight_bytes(p), most),
                a2 = cut(eight_bytes(p + kTileRows), _mm256_sub_epi32(most, _mm256_abs_epi32(a1)));
  return {_mm256_cvtepi32_ps(a1), _mm256_cvtepi32_ps(a2), byte_scales(p + 2 * kTileRows)};
}

template <Coefficients C>
PL_AVX2 Ratio ratio_of(const std::byte* coef, int half) {
  if constexpr (C == Coefficients::kByte) return ratio_of_bytes(coef, half);
  if constexpr (C == Coefficients::kHalf) return ratio_of_halves(coef, half);
  const __m256 one = _mm256_set1_ps(1.0f);
  return {one, one, finite_coefficient(coef + half * kTileRows)};
}

/// Codes of the twenty columns of two lines, eight rows.
PL_AVX2 void expand(const std::byte* line, uint8_t* codes) {
  const __m256i nine = _mm256_set1_epi16(9);
  __m256i last[2];
  for (int l = 0; l < 2; ++l) {
    __m256i rest = load32(line + l * kLineBytes);
    for (int p = 0; p < 2; ++p) {
      const __m256i even = _mm256_mulhi_epu16(rest, nine);
      rest = _mm256_mullo_epi16(rest, nine);
      const __m256i odd = _mm256_mulhi_epu16(rest, nine);
      rest = _mm256_mullo_epi16(rest, nine);
      _mm256_store_si256(reinterpret_cast<__m256i*>(codes + (2 * l + p) * kLineBytes),
                         _mm256_or_si256(even, _mm256_slli_epi16(odd, 8)));
    }
    last[l] = _mm256_mulhi_epu16(rest, nine);
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(codes + 4 * kLineBytes),
                     _mm256_or_si256(last[0], _mm256_slli_epi16(last[1], 8)));
}

PL_AVX2 __m256i sixteen_bytes(const uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

/// start + the sums of 16-bit pairs.
PL_AVX2 __m256 whole(__m256i pairs, int32_t start) {
  return _mm256_cvtepi32_ps(
      _mm256_add_epi32(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)), _mm256_set1_epi32(start)));
}

/// The exact sum of level x over a step of 32 columns of eight rows, as float, for T tokens.
template <Coefficients C, int T>
PL_AVX2 void step_sums(const uint8_t* codes, const Ratio& ratio, const int8_t* x,
                       const int32_t* start, __m256 total[T]) {
  constexpr bool kTied = C == Coefficients::kTied;
  const __m256i first = sixteen_bytes(kTied ? kTiedCode : kTrit1), second = sixteen_bytes(kTrit2);
  __m256i pairs1[T], pairs2[T];
  for (int t = 0; t < T; ++t) pairs1[t] = pairs2[t] = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int q = 0; q < kTritStep / 4; ++q) {
    const __m256i d = load32(codes + q * kLineBytes), t1 = _mm256_shuffle_epi8(first, d);
    const __m256i t2 = kTied ? t1 : _mm256_shuffle_epi8(second, d);
    for (int t = 0; t < T; ++t) {
      const __m256i xs = four(x + (q * T + t) * 4);
      pairs1[t] = _mm256_add_epi16(pairs1[t], _mm256_maddubs_epi16(t1, xs));
      if (!kTied) pairs2[t] = _mm256_add_epi16(pairs2[t], _mm256_maddubs_epi16(t2, xs));
    }
  }
  for (int t = 0; t < T; ++t) {
    if constexpr (kTied) {
      total[t] = whole(pairs1[t], start[t]);
    } else {  // trits are stored as t + 1: minus the sum of x
      const int32_t minus = start[t] / kSevenBits.zero;
      total[t] = _mm256_fmadd_ps(whole(pairs2[t], minus), ratio.a2,
                                 _mm256_mul_ps(whole(pairs1[t], minus), ratio.a1));
    }
  }
}

template <Coefficients C, int T>
PL_AVX2_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
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
  __m256 acc[kHalves][T], sum[kHalves][T];
  Ratio ratio[kHalves] = {};
  for (int h = 0; h < kHalves; ++h)
    for (int t = 0; t < T; ++t) acc[h][t] = _mm256_loadu_ps(y + t * y_stride + 8 * h);
  int64_t left = 0;  // steps of the group
  for (int64_t c = 0; c < w.cols; c += kTritPanel) {
    const int64_t cols = w.cols - c < kTritPanel ? w.cols - c : kTritPanel;
    for (int64_t q = 0; q < cols / 4; q += 5, line += 2 * kLineBytes) {
      _mm_prefetch(line + kAhead, _MM_HINT_NTA);
      _mm_prefetch(line + kAhead + kLineBytes, _MM_HINT_NTA);
      for (int h = 0; h < kHalves; ++h) expand(line + 32 * h, codes + q * kLineBytes + 32 * h);
    }
    for (int64_t s = 0; s < cols / kTritStep; ++s) {
      if (left == 0) {
        left = group_steps;
        for (int h = 0; h < kHalves; ++h) {
          ratio[h] = ratio_of<C>(coef, h);
          for (int t = 0; t < T; ++t) sum[h][t] = _mm256_setzero_ps();
        }
        coef += kTritCoefBytes<C>;
        _mm_prefetch(coef + kCoefAhead, _MM_HINT_NTA);
      }
      for (int h = 0; h < kHalves; ++h) {
        __m256 total[T];
        step_sums<C, T>(codes + s * kTritStep / 4 * kLineBytes + 32 * h, ratio[h], x_code, start,
                        total);
        for (int t = 0; t < T; ++t)
          sum[h][t] = _mm256_fmadd_ps(total[t], _mm256_set1_ps(x_scale[t]), sum[h][t]);
      }
      x_code += kTritStep * T;
      x_scale += T;
      start += T;
      if (--left > 0) continue;
      for (int h = 0; h < kHalves; ++h)
        for (int t = 0; t < T; ++t)
          acc[h][t] = _mm256_fmadd_ps(sum[h][t], ratio[h].scale, acc[h][t]);
    }
  }
  for (int h = 0; h < kHalves; ++h)
    for (int t = 0; t < T; ++t) _mm256_storeu_ps(y + t * y_stride + 8 * h, acc[h][t]);
}

template <Coefficients C>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<C, 1>) kTokens[kMostTokens] = {tokens_of<C, 1>, tokens_of<C, 2>,
                                                               tokens_of<C, 3>, tokens_of<C, 4>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_tritplane_avx2(const Codec& codec, int64_t tokens) {
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
