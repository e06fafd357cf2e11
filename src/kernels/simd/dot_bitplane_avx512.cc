// Two bit-planes against int8 activations without a tile in between: levels are looked up in a
// register and multiplied at once. One block of sixteen rows is one stream of codes, fetched ahead:
// without that, arithmetic fills the reorder window and too few cache misses are in flight. The
// levels of a group are made while the group before it is multiplied.
#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "kernels/simd/avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1536;  // bytes; docs/decisions/0006
constexpr int64_t kStep = 32;                        // columns per activation scale
constexpr int64_t kMostTokens = 8;                   // beyond, a tile is unpacked once for all

PL_AVX512 __m512 coefficient(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

/// The same, what is not finite being 0.
PL_AVX512 __m512 finite_coefficient(const std::byte* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i exponent = _mm256_set1_epi16(0x7c00);
  const __mmask16 finite = _mm256_cmpneq_epu16_mask(_mm256_and_si256(bits, exponent), exponent);
  return _mm512_maskz_cvtph_ps(finite, bits);
}

PL_AVX512 __m512i magnitude(__m512 v) {
  return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

/// The levels of sixteen rows as codes (quantize_levels plus 128), in two orders within each
/// 16-byte lane of four rows: by_row has byte 4 r + k = level k of row r, by_level byte 4 k + r.
struct Levels {
  __m512i by_row, by_level;
  __m512 scale;
};

/// The four levels of sixteen rows, and the largest magnitude of each row as integer bits.
struct FloatLevels {
  __m512 level[4];
  __m512i top;
};

PL_AVX512 FloatLevels float_levels(__m512 c0, __m512 c1, __m512 bias) {
  const __m512 both = _mm512_add_ps(bias, c0);
  FloatLevels f{{bias, both, _mm512_add_ps(bias, c1), _mm512_add_ps(both, c1)}, {}};
  f.top = _mm512_max_epi32(_mm512_max_epi32(magnitude(f.level[0]), magnitude(f.level[1])),
                           _mm512_max_epi32(magnitude(f.level[2]), magnitude(f.level[3])));
  return f;
}

PL_AVX512 Levels levels_of(const std::byte* coef) {
  FloatLevels f = float_levels(coefficient(coef), coefficient(coef + 32), coefficient(coef + 64));
  const __m512i infinity = _mm512_set1_epi32(kExponentMask);
  if (_mm512_cmpge_epi32_mask(f.top, infinity)) [[unlikely]]  // sums of finite halves are finite
    f = float_levels(finite_coefficient(coef), finite_coefficient(coef + 32),
                     finite_coefficient(coef + 64));
  const __m512i exponent =
      _mm512_max_epi32(_mm512_and_si512(f.top, infinity), _mm512_set1_epi32(kSmallestExponent));
  const __m512i power = _mm512_sub_epi32(exponent, _mm512_set1_epi32(kLevelShift));
  const __m512 inverse =
      _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(kInverseBase), power));
  __m512i q[4];
  for (int k = 0; k < 4; ++k) q[k] = _mm512_cvtps_epi32(_mm512_mul_ps(f.level[k], inverse));
  const __m512i by_level =
      _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
  const __m512i codes = _mm512_xor_si512(by_level, _mm512_set1_epi8(-128));
  const __m512i turn =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return {_mm512_shuffle_epi8(codes, turn), codes, _mm512_castsi512_ps(power)};
}

/// v & mask | base in every byte.
PL_AVX512 __m512i pick(__m512i base, __m512i v, __m512i mask) {
  return _mm512_ternarylogic_epi32(base, v, mask, 0xf8);
}

template <int T>
PL_AVX512_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                               int64_t y_stride) {
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  const std::byte* coef = w.coef.data() + block * (w.cols / group) * 96;
  const std::byte* line = w.codes.data() + block * (w.cols / 16) * kLineBytes;
  // A field in bits 0-1 of a nibble looks up by_row at 4 r + field; one in bits 2-3 is 4 * field
  // already and looks up by_level at 4 * field + r. So one shift serves four fields.
  const __m512i four_r =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m512i r =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
  const __m512i low = _mm512_set1_epi8(3), high = _mm512_set1_epi8(12);
  const int8_t* code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  Levels next = levels_of(coef);
  for (int64_t g = 0; g < w.cols; g += group) {
    _mm_prefetch(coef + kCoefAhead, _MM_HINT_NTA);
    _mm_prefetch(coef + kCoefAhead + 64, _MM_HINT_NTA);
    const Levels level = next;
    if (g + group < w.cols) coef += 96;
    next = levels_of(coef);
    __m512 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
    for (int64_t c = g; c < g + group; c += kStep, x_scale += T, start += T) {
      __m512i exact[T];
      for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
      for (int half = 0; half < 2; ++half, line += kLineBytes, code += 16 * T) {
        const __m512i v = _mm512_loadu_si512(line), shifted = _mm512_srli_epi16(v, 4);
        _mm_prefetch(line + kAhead, _MM_HINT_NTA);
        const __m512i level_code[4] = {
            _mm512_shuffle_epi8(level.by_row, pick(four_r, v, low)),
            _mm512_shuffle_epi8(level.by_level, pick(r, v, high)),
            _mm512_shuffle_epi8(level.by_row, pick(four_r, shifted, low)),
            _mm512_shuffle_epi8(level.by_level, pick(r, shifted, high))};
        for (int f = 0; f < 4; ++f)
          for (int t = 0; t < T; ++t)
            exact[t] = dot4(exact[t], level_code[f], code + (f * T + t) * 4);
      }
      for (int t = 0; t < T; ++t)
        sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]), _mm512_set1_ps(x_scale[t]), sum[t]);
    }
    for (int t = 0; t < T; ++t) acc[t] = _mm512_fmadd_ps(sum[t], level.scale, acc[t]);
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

void bitplane2(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
               int64_t y_stride) {
  constexpr decltype(&tokens_of<1>) kTokens[kMostTokens] = {
      tokens_of<1>, tokens_of<2>, tokens_of<3>, tokens_of<4>,
      tokens_of<5>, tokens_of<6>, tokens_of<7>, tokens_of<8>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_avx512(const Codec& codec, int64_t tokens) {
  const CodecLayout layout = codec.layout();
  if (layout.kind == CodecLayout::Kind::kGguf) return find_dot_gguf_avx512(codec, tokens);
  const bool two = layout.kind == CodecLayout::Kind::kBitplane && layout.planes == 2;
  return two && tokens <= kMostTokens ? bitplane2 : nullptr;
}

}  // namespace planeloom::simd
