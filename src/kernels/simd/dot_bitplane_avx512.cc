// Bit-planes against int8 activations without a tile in between: levels are looked up in a register
// and multiplied at once. One block of sixteen rows is one stream of codes, fetched ahead: without
// that, arithmetic fills the reorder window and too few cache misses are in flight. The levels of a
// group are made while the group before it is multiplied.
#include "codecs/planes.h"
#include "kernels/simd/plane_levels_avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1536;  // bytes; docs/decisions/0006
constexpr int64_t kStep = 32;                        // columns per activation scale
constexpr int64_t kMostTokens = 8;                   // beyond, a tile is unpacked once for all

/// Levels of planes 0 and 1, and of planes 2 and 3, which are added.
struct Levels {
  LevelTable a, b;
  __m512 scale;
};

/// What a group of K planes chooses from; c: c_0 ... c_(K-1), bias.
template <int K>
PL_AVX512 void choices(const __m512 c[], __m512 a[4], __m512 b[4]) {
  const __m512 zero = _mm512_setzero_ps();
  a[0] = c[K];
  a[1] = _mm512_add_ps(c[K], c[0]);
  a[2] = K > 1 ? _mm512_add_ps(c[K], c[1]) : zero;
  a[3] = K > 1 ? _mm512_add_ps(a[1], c[1]) : zero;
  b[0] = zero;
  b[1] = K > 2 ? c[2] : zero;
  b[2] = K > 3 ? c[3] : zero;
  b[3] = K > 3 ? _mm512_add_ps(c[2], c[3]) : zero;
}

PL_AVX512 __m512i largest(const __m512 v[4]) {
  return _mm512_max_epi32(_mm512_max_epi32(magnitude(v[0]), magnitude(v[1])),
                          _mm512_max_epi32(magnitude(v[2]), magnitude(v[3])));
}

template <int K>
PL_AVX512 Levels half_levels(const std::byte* coef) {
  __m512 c[K + 1], a[4], b[4];
  for (int p = 0; p <= K; ++p) c[p] = coefficient(coef + p * 2 * kTileRows);
  choices<K>(c, a, b);
  __m512i top = largest(a), top_b = K > 2 ? largest(b) : _mm512_setzero_si512();
  const __m512i infinity = _mm512_set1_epi32(kExponentMask);  // sums of finite halves are finite
  if (_mm512_cmpge_epi32_mask(_mm512_max_epi32(top, top_b), infinity)) [[unlikely]] {
    for (int p = 0; p <= K; ++p) c[p] = finite_coefficient(coef + p * 2 * kTileRows);
    choices<K>(c, a, b);
    top = largest(a);
    top_b = largest(b);
  }
  if (K > 2)
    top = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(top), _mm512_castsi512_ps(top_b)));
  const LevelScale scale = level_scale(top, bitplane_depth(K, Coefficients::kHalf));
  Levels out{level_table(a, scale.inverse), {}, scale.scale};
  if constexpr (K > 2) out.b = level_table(b, scale.inverse);
  return out;
}

template <int K>
PL_AVX512 Levels byte_levels(const std::byte* coef) {
  __m512i c[K + 1];
  for (int p = 0; p <= K; ++p) c[p] = byte_coefficient(coef + p * kTileRows);
  Levels out;
  __m512i a = placed(c[K], kEveryLevel);
  a = _mm512_adds_epi8(a, placed(c[0], kLevelsOfPlane[0]));
  if constexpr (K > 1) a = _mm512_adds_epi8(a, placed(c[1], kLevelsOfPlane[1]));
  if constexpr (K <= 2) {
    a = _mm512_min_epi8(_mm512_max_epi8(a, _mm512_set1_epi8(-kSevenBits.zero)),
                        _mm512_set1_epi8(kSevenBits.zero));
  } else {
    __m512i b = placed(c[2], kLevelsOfPlane[0]);
    if constexpr (K > 3) b = _mm512_adds_epi8(b, placed(c[3], kLevelsOfPlane[1]));
    out.b = both_orders(b);
  }
  out.a = both_orders(a);
  out.scale = byte_scales(coef + (K + 1) * kTileRows);
  return out;
}

template <int K, Coefficients C>
PL_AVX512 Levels levels_of(const std::byte* coef) {
  Levels out;
  if constexpr (C == Coefficients::kByte)
    out = byte_levels<K>(coef);
  else
    out = half_levels<K>(coef);
  if constexpr (K <= 2)  // nothing is added: codes at once
    out.a = both_orders(to_code(out.a.by_level, bitplane_depth(K, C)));
  return out;
}

/// Levels of 16 columns in fields of two bits, four columns each.
PL_AVX512 void of_fields(const FieldPlaces& places, const LevelTable& t, __m512i v,
                         __m512i level[4]) {
  const __m512i shifted = _mm512_srli_epi16(v, 4);
  level[0] = first_field(places, t, v);
  level[1] = second_field(places, t, v);
  level[2] = first_field(places, t, shifted);
  level[3] = second_field(places, t, shifted);
}

/// Levels of 32 columns in single bits: bit j of every byte is column 4 j + b.
PL_AVX512 void of_bits(const FieldPlaces& places, const LevelTable& t, __m512i v,
                       __m512i level[8]) {
  for (int j = 0; j < 8; ++j) {
    const __m512i moved = _mm512_srli_epi16(v, static_cast<unsigned>(j / 4 * 4 + j % 2));
    level[j] = j % 4 < 2 ? _mm512_shuffle_epi8(t.by_row, pick(places.four_r, moved, 1))
                         : _mm512_shuffle_epi8(t.by_level, pick(places.r, moved, 4));
  }
}

/// Codes of 32 columns, from K lines.
template <int K>
PL_AVX512 void codes_of(const FieldPlaces& places, const Levels& levels, const std::byte* line,
                        __m512i code[8]) {
  if constexpr (K == 1) {
    of_bits(places, levels.a, _mm512_loadu_si512(line), code);
  } else {
    for (int half = 0; half < 2; ++half)
      of_fields(places, levels.a, _mm512_loadu_si512(line + half * kLineBytes), code + 4 * half);
  }
  if constexpr (K > 2) {
    __m512i second[8];
    const std::byte* upper = line + 2 * kLineBytes;
    if constexpr (K == 3) {
      of_bits(places, levels.b, _mm512_loadu_si512(upper), second);
    } else {
      for (int half = 0; half < 2; ++half)
        of_fields(places, levels.b, _mm512_loadu_si512(upper + half * kLineBytes),
                  second + 4 * half);
    }
    for (int i = 0; i < 8; ++i) code[i] = to_code(_mm512_adds_epi8(code[i], second[i]), kEightBits);
  }
}

template <int K, Coefficients C, int T>
PL_AVX512_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                               int64_t y_stride) {
  constexpr int64_t kCoefBytes = kBitCoefBytes<K, C>;
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  const std::byte* coef = w.coef.data() + block * (w.cols / group) * kCoefBytes;
  const std::byte* line = w.codes.data() + block * (w.cols / kStep) * K * kLineBytes;
  const FieldPlaces places = field_places();
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  Levels next = levels_of<K, C>(coef);
  for (int64_t g = 0; g < w.cols; g += group) {
    for (int64_t b = 0; b < kCoefBytes; b += 64) _mm_prefetch(coef + kCoefAhead + b, _MM_HINT_NTA);
    const Levels levels = next;
    if (g + group < w.cols) coef += kCoefBytes;
    next = levels_of<K, C>(coef);
    __m512 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
    for (int64_t c = 0; c < group; c += kStep, x_scale += T, start += T, x_code += kStep * T) {
      __m512i exact[T], code[8];
      for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
      for (int l = 0; l < K; ++l) _mm_prefetch(line + kAhead + l * kLineBytes, _MM_HINT_NTA);
      codes_of<K>(places, levels, line, code);
      line += K * kLineBytes;
      for (int i = 0; i < 8; ++i)
        for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], code[i], x_code + (i * T + t) * 4);
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]), _mm512_set1_ps(x_scale[t]), sum[t]);
    }
    for (int t = 0; t < T; ++t) acc[t] = _mm512_fmadd_ps(sum[t], levels.scale, acc[t]);
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
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

DotPacked find_dot_bitplane_avx512(const Codec& codec, int64_t tokens) {
  const CodecLayout layout = codec.layout();
  if (tokens > kMostTokens) return nullptr;
  return layout.coefficients == Coefficients::kByte
             ? kPlanes<Coefficients::kByte>[layout.planes - 1]
             : kPlanes<Coefficients::kHalf>[layout.planes - 1];
}

}  // namespace planeloom::simd
