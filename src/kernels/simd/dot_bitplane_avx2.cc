// Bit-planes against int8 activations with AVX2, without a tile in between (the sibling of
// dot_bitplane_avx512.cc): eight rows a register, so a line of sixteen rows is two. Levels of seven
// bits become codes, which vpmaddubsw takes as they are; those of eight give their sign to the
// activations.
#include "codecs/planes.h"
#include "kernels/simd/plane_levels_avx2.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1536;  // bytes; docs/decisions/0006
constexpr int64_t kStep = 32;                        // columns per activation scale
constexpr int64_t kMostTokens = 8;                   // beyond, a tile is unpacked once for all
constexpr int kHalves = 2, kTokensAtATime = 4;

template <int K, Coefficients C>
inline constexpr bool kCodes = bitplane_depth(K, C).zero == kSevenBits.zero;

struct Levels {
  LevelTable a, b;
  __m256 scale;
};

/// What a group of K planes chooses from; c: c_0 ... c_(K-1), bias.
template <int K>
PL_AVX2 void choices(const __m256 c[], __m256 a[4], __m256 b[4]) {
  const __m256 zero = _mm256_setzero_ps();
  a[0] = c[K];
  a[1] = _mm256_add_ps(c[K], c[0]);
  a[2] = K > 1 ? _mm256_add_ps(c[K], c[1]) : zero;
  a[3] = K > 1 ? _mm256_add_ps(a[1], c[1]) : zero;
  b[0] = zero;
  b[1] = K > 2 ? c[2] : zero;
  b[2] = K > 3 ? c[3] : zero;
  b[3] = K > 3 ? _mm256_add_ps(c[2], c[3]) : zero;
}

PL_AVX2 __m256i largest(const __m256 v[4]) {
  return _mm256_max_epi32(_mm256_max_epi32(magnitude(v[0]), magnitude(v[1])),
                          _mm256_max_epi32(magnitude(v[2]), magnitude(v[3])));
}

template <int K>
PL_AVX2 Levels half_levels(const std::byte* coef, int half) {
  __m256 c[K + 1], a[4], b[4];
  const std::byte* p = coef + half * kTileRows;
  for (int i = 0; i <= K; ++i) c[i] = coefficient(p + i * 2 * kTileRows);
  choices<K>(c, a, b);
  __m256i top = largest(a), top_b = K > 2 ? largest(b) : _mm256_setzero_si256();
  if (any_odd(_mm256_max_epi32(top, top_b))) [[unlikely]] {
    for (int i = 0; i <= K; ++i) c[i] = finite_coefficient(p + i * 2 * kTileRows);
    choices<K>(c, a, b);
    top = largest(a);
    top_b = largest(b);
  }
  if (K > 2)
    top = _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(top), _mm256_castsi256_ps(top_b)));
  const LevelScale scale = level_scale(top, bitplane_depth(K, Coefficients::kHalf));
  Levels out{level_table(a, scale.inverse), {}, scale.scale};
  if constexpr (K > 2) out.b = level_table(b, scale.inverse);
  return out;
}

template <int K>
PL_AVX2 Levels byte_levels(const std::byte* coef, int half) {
  __m256i c[K + 1];
  for (int i = 0; i <= K; ++i) c[i] = byte_coefficient(coef + i * kTileRows);
  Levels out{};
  __m256i a = placed(c[K], kEveryLevel, half);
  a = _mm256_adds_epi8(a, placed(c[0], kLevelsOfPlane[0], half));
  if constexpr (K > 1) a = _mm256_adds_epi8(a, placed(c[1], kLevelsOfPlane[1], half));
  if constexpr (K <= 2) {
    a = _mm256_min_epi8(_mm256_max_epi8(a, _mm256_set1_epi8(-kSevenBits.zero)),
                        _mm256_set1_epi8(kSevenBits.zero));
  } else {
    __m256i b = placed(c[2], kLevelsOfPlane[0], half);
    if constexpr (K > 3) b = _mm256_adds_epi8(b, placed(c[3], kLevelsOfPlane[1], half));
    out.b = both_orders(b);
  }
  out.a = both_orders(a);
  out.scale = byte_scales(coef + (K + 1) * kTileRows + half * 8);
  return out;
}

template <int K, Coefficients C>
PL_AVX2 Levels levels_of(const std::byte* coef, int half) {
  Levels out;
  if constexpr (C == Coefficients::kByte)
    out = byte_levels<K>(coef, half);
  else
    out = half_levels<K>(coef, half);
  if constexpr (kCodes<K, C>)
    out.a = both_orders(_mm256_add_epi8(out.a.by_level, _mm256_set1_epi8(kSevenBits.zero)));
  return out;
}

/// A field in bits 0-1 of a nibble looks up by_row at 4 r + field; one in bits 2-3 is 4 * field
/// already and looks up by_level at 4 * field + r. Quad 0 ... 3 of a half line: the field of its
/// number; for single bits quad 0 ... 7, the bit of its number.
PL_AVX2 __m256i of_field(const LevelTable& t, __m256i v, int quad) {
  const __m256i four_r = _mm256_broadcastsi128_si256(
                    _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
                r = _mm256_broadcastsi128_si256(
                    _mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
  const __m256i nibble = quad < 2 ? v : _mm256_srli_epi16(v, 4);
  return quad % 2 == 0
             ? _mm256_shuffle_epi8(
                   t.by_row, _mm256_or_si256(_mm256_and_si256(nibble, _mm256_set1_epi8(3)), four_r))
             : _mm256_shuffle_epi8(
                   t.by_level, _mm256_or_si256(_mm256_and_si256(nibble, _mm256_set1_epi8(12)), r));
}
PL_AVX2 __m256i of_bit(const LevelTable& t, __m256i v, int quad) {
  const __m256i four_r = _mm256_broadcastsi128_si256(
                    _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
                moved = _mm256_srli_epi16(v, quad);
  return _mm256_shuffle_epi8(t.by_row,
                             _mm256_or_si256(_mm256_and_si256(moved, _mm256_set1_epi8(1)), four_r));
}

/// The level, or code, of columns 4 quad ... of a step; v: K half lines.
template <int K>
PL_AVX2 __m256i level_of(const Levels& levels, const __m256i v[K], int quad) {
  if constexpr (K == 1) return of_bit(levels.a, v[0], quad);
  const __m256i a = of_field(levels.a, v[quad / 4], quad % 4);
  if constexpr (K == 3) return _mm256_adds_epi8(a, of_bit(levels.b, v[2], quad));
  if constexpr (K == 4) return _mm256_adds_epi8(a, of_field(levels.b, v[2 + quad / 4], quad % 4));
  return a;
}

/// exact + products of four columns' levels, or codes, with activations.
template <bool kCode>
PL_AVX2 void add_dot(__m256i& exact, __m256i level, __m256i xs) {
  const __m256i pairs =
      kCode ? _mm256_maddubs_epi16(level, xs)
            : _mm256_maddubs_epi16(_mm256_abs_epi8(level), _mm256_sign_epi8(xs, level));
  exact = _mm256_add_epi32(exact, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  asm("" : "+x"(exact));  // one by one: GCC's tree of sums would not fit the registers
}

/// The levels of a step for both halves, as they are looked up or as they were put down.
template <int K>
struct LookedUp {
  const Levels* levels;
  __m256i v[kHalves][K];
  PL_AVX2 LookedUp(const Levels* l, const std::byte* line) : levels(l) {
    for (int h = 0; h < kHalves; ++h)
      for (int i = 0; i < K; ++i) v[h][i] = load32(line + i * kLineBytes + 32 * h);
  }
  PL_AVX2 __m256i operator()(int quad, int h) const { return level_of<K>(levels[h], v[h], quad); }
};
struct PutDown {
  __m256i level[kStep / 4][kHalves];
  PL_AVX2 __m256i operator()(int quad, int h) const { return level[quad][h]; }
};

/// Adds a step of 32 columns for N tokens, the first of `width`: sum = fma(exact, scale, sum).
template <bool kCode, int N, class Source>
PL_AVX2 void add_step(const Source& level, const int8_t* x, int64_t width, const int32_t* start,
                      const float* scale, __m256 (*sum)[kHalves]) {
  __m256i exact[N][kHalves];
  for (int t = 0; t < N; ++t)
    for (int h = 0; h < kHalves; ++h)
      exact[t][h] = kCode ? _mm256_set1_epi32(start[t]) : _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int quad = 0; quad < kStep / 4; ++quad, x += 4 * width) {
    const __m256i l[kHalves] = {level(quad, 0), level(quad, 1)};
    for (int t = 0; t < N; ++t) {
      const __m256i xs = four(x + 4 * t);
      for (int h = 0; h < kHalves; ++h) add_dot<kCode>(exact[t][h], l[h], xs);
    }
  }
  for (int t = 0; t < N; ++t)
    for (int h = 0; h < kHalves; ++h)
      sum[t][h] =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact[t][h]), _mm256_set1_ps(scale[t]), sum[t][h]);
}

/// All T tokens. Beyond two, levels do not stay in registers beside the sums: they are put down and
/// met by up to four tokens at a time.
template <int K, bool kCode, int T>
PL_AVX2 void add_tokens(const Levels levels[kHalves], const std::byte* line, const int8_t* x,
                        const int32_t* start, const float* scale, __m256 (*sum)[kHalves]) {
  const LookedUp<K> look_up(levels, line);
  if constexpr (T <= 2) {
    add_step<kCode, T>(look_up, x, T, start, scale, sum);
  } else {
    PutDown down;
#pragma GCC unroll 8
    for (int quad = 0; quad < kStep / 4; ++quad)
      for (int h = 0; h < kHalves; ++h) down.level[quad][h] = look_up(quad, h);
    constexpr int kFirst = T < kTokensAtATime ? T : kTokensAtATime, kRest = T - kFirst;
    add_step<kCode, kFirst>(down, x, T, start, scale, sum);
    if constexpr (kRest > 0)
      add_step<kCode, kRest>(down, x + 4 * kFirst, T, start + kFirst, scale + kFirst, sum + kFirst);
  }
}

template <int K, Coefficients C, int T>
PL_AVX2_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                             int64_t y_stride) {
  constexpr int64_t kCoefBytes = kBitCoefBytes<K, C>;
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  const std::byte* coef = w.coef.data() + block * (w.cols / group) * kCoefBytes;
  const std::byte* line = w.codes.data() + block * (w.cols / kStep) * K * kLineBytes;
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  __m256 acc[T][kHalves];
  for (int t = 0; t < T; ++t)
    for (int h = 0; h < kHalves; ++h) acc[t][h] = _mm256_loadu_ps(y + t * y_stride + 8 * h);
  for (int64_t g = 0; g < w.cols; g += group, coef += kCoefBytes) {
    for (int64_t b = 0; b < kCoefBytes; b += 64) _mm_prefetch(coef + kCoefAhead + b, _MM_HINT_NTA);
    const Levels levels[kHalves] = {levels_of<K, C>(coef, 0), levels_of<K, C>(coef, 1)};
    __m256 sum[T][kHalves];
    for (int t = 0; t < T; ++t)
      for (int h = 0; h < kHalves; ++h) sum[t][h] = _mm256_setzero_ps();
    for (int64_t c = 0; c < group; c += kStep, x_scale += T, start += T, x_code += kStep * T) {
      for (int l = 0; l < K; ++l) _mm_prefetch(line + kAhead + l * kLineBytes, _MM_HINT_NTA);
      add_tokens<K, kCodes<K, C>, T>(levels, line, x_code, start, x_scale, sum);
      line += K * kLineBytes;
    }
    for (int t = 0; t < T; ++t)
      for (int h = 0; h < kHalves; ++h)
        acc[t][h] = _mm256_fmadd_ps(sum[t][h], levels[h].scale, acc[t][h]);
  }
  for (int t = 0; t < T; ++t)
    for (int h = 0; h < kHalves; ++h) _mm256_storeu_ps(y + t * y_stride + 8 * h, acc[t][h]);
}

template <int K, Coefficients C>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<K, C, 1>) kTokens[kMostTokens] = {
      tokens_of<K, C, 1>, tokens_of<K, C, 2>, tokens_of<K, C, 3>, tokens_of<K, C, 4>,
      tokens_of<K, C, 5>, tokens_of<K, C, 6>, tokens_of<K, C, 7>, tokens_of<K, C, 8>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

template <Coefficients C>
constexpr DotPacked kPlanes[kMaxPlanes] = {few_tokens<1, C>, few_tokens<2, C>, few_tokens<3, C>,
                                           few_tokens<4, C>};

}  // namespace

DotPacked find_dot_bitplane_avx2(const Codec& codec, int64_t tokens) {
  const CodecLayout layout = codec.layout();
  if (tokens > kMostTokens) return nullptr;
  return layout.coefficients == Coefficients::kByte
             ? kPlanes<Coefficients::kByte>[layout.planes - 1]
             : kPlanes<Coefficients::kHalf>[layout.planes - 1];
}

}  // namespace planeloom::simd
