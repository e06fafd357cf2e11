// Trit-planes against int8 activations with AVX-512 VBMI: a look-up of 256 entries turns a byte of
// five trits into four fields of two bits; comparing gives the first trit. The levels of both
// planes are looked up as in dot_bitplane_avx512.cc and added.
#include <array>

#include "codecs/planes.h"
#include "kernels/simd/plane_levels_avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072, kCoefAhead = 1024;  // bytes, as for bit-planes
constexpr int64_t kStep = 32;                        // columns per activation scale
constexpr int64_t kMostTokens = 4;                   // beyond, a tile is unpacked once for all
constexpr int kFields = kTritColumns / 4;            // of a line

/// Digits 1 ... 4 of a byte (codecs/planes.h), digit f in bits 2 f - 2 and 2 f - 1.
constexpr std::array<uint8_t, 256> make_digits() {
  std::array<uint8_t, 256> digits{};
  for (size_t byte = 0; byte < 256; ++byte) {
    size_t rest = byte * 3 % 256, fields = 0;
    for (int f = 1; f < kFields; ++f, rest = rest * 3 % 256)
      fields |= rest * 3 / 256 << (2 * f - 2);
    digits[byte] = static_cast<uint8_t>(fields);
  }
  return digits;
}
alignas(64) constexpr std::array<uint8_t, 256> kDigits = make_digits();
constexpr uint8_t kOne = 86, kTwo = 171;  // the first bytes whose digit 0 is 1, is 2

struct DigitTable {
  __m512i quarter[4];
  PL_VBMI static DigitTable load() {
    DigitTable t;
    for (int i = 0; i < 4; ++i) t.quarter[i] = _mm512_load_si512(kDigits.data() + 64 * i);
    return t;
  }
  PL_VBMI __m512i operator()(__m512i v) const {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v),
                                  _mm512_permutex2var_epi8(quarter[0], v, quarter[1]),
                                  _mm512_permutex2var_epi8(quarter[2], v, quarter[3]));
  }
};

struct Levels {
  LevelTable a, b;
  __m512 scale;
};

PL_AVX512 Levels levels_of(const std::byte* coef) {
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
      _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(top1), _mm512_castsi512_ps(top2))));
  const __m512 zero = _mm512_setzero_ps();
  const __m512 a[4] = {_mm512_sub_ps(zero, c1), zero, c1, zero},
               b[4] = {_mm512_sub_ps(zero, c2), zero, c2, zero};
  return {level_table(a, scale.inverse), level_table(b, scale.inverse), scale.scale};
}

/// Levels of the 20 columns of a line, four columns each.
PL_VBMI void of_digits(const FieldPlaces& places, const DigitTable& digits, const LevelTable& t,
                       __m512i v, __m512i level[kFields]) {
  const __m512i one = _mm512_set1_epi8(1);
  __m512i index = _mm512_mask_add_epi8(
      places.four_r, _mm512_cmpge_epu8_mask(v, _mm512_set1_epi8(static_cast<char>(kOne))),
      places.four_r, one);
  index = _mm512_mask_add_epi8(
      index, _mm512_cmpge_epu8_mask(v, _mm512_set1_epi8(static_cast<char>(kTwo))), index, one);
  const __m512i fields = digits(v), shifted = _mm512_srli_epi16(fields, 4);
  level[0] = _mm512_shuffle_epi8(t.by_row, index);
  level[1] = first_field(places, t, fields);
  level[2] = second_field(places, t, fields);
  level[3] = first_field(places, t, shifted);
  level[4] = second_field(places, t, shifted);
}

/// Steps and groups begin anywhere in a line, at a multiple of four columns. A line that a group
/// begins in is looked up twice.
template <int T>
PL_VBMI_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                             int64_t y_stride) {
  constexpr int64_t kCoefBytes = 2 * 2 * kTileRows;
  const int64_t group = w.codec->layout().group, block = first / kTileRows,
                lines = (w.cols + kTritColumns - 1) / kTritColumns;
  const std::byte* coef = w.coef.data() + block * (w.cols / group) * kCoefBytes;
  const std::byte* line = w.codes.data() + block * lines * 2 * kLineBytes;
  const FieldPlaces places = field_places();
  const DigitTable digits = DigitTable::load();
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  __m512 acc[T], sum[T];
  __m512i exact[T], code[kFields];
  for (int t = 0; t < T; ++t) {
    acc[t] = _mm512_loadu_ps(y + t * y_stride);
    exact[t] = _mm512_set1_epi32(start[t]);
  }
  int field = 0;  // the next one of the line
  Levels next = levels_of(coef);
  for (int64_t g = 0; g < w.cols; g += group) {
    _mm_prefetch(coef + kCoefAhead, _MM_HINT_NTA);
    const Levels levels = next;
    if (g + group < w.cols) coef += kCoefBytes;
    next = levels_of(coef);
    for (int t = 0; t < T; ++t) sum[t] = _mm512_setzero_ps();
    int64_t left = group / 4, in_step = kStep / 4;
    while (left > 0) {
      __m512i second[kFields];
      of_digits(places, digits, levels.a, _mm512_loadu_si512(line), code);
      of_digits(places, digits, levels.b, _mm512_loadu_si512(line + kLineBytes), second);
      for (int f = 0; f < kFields; ++f) code[f] = to_code(_mm512_adds_epi8(code[f], second[f]));
      _mm_prefetch(line + kAhead, _MM_HINT_NTA);
      _mm_prefetch(line + kAhead + kLineBytes, _MM_HINT_NTA);
#pragma GCC unroll 5
      for (int f = 0; f < kFields; ++f) {
        if (f < field || left == 0) continue;
        for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], code[f], x_code + 4 * t);
        x_code += 4 * T;
        --left;
        field = f + 1;
        if (--in_step > 0) continue;
        in_step = kStep / 4;
        for (int t = 0; t < T; ++t)
          sum[t] =
              _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]), _mm512_set1_ps(x_scale[t]), sum[t]);
        x_scale += T;
        start += T;
        if (left > 0 || g + group < w.cols)
          for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
      }
      if (field == kFields) {
        field = 0;
        line += 2 * kLineBytes;
      }
    }
    for (int t = 0; t < T; ++t) acc[t] = _mm512_fmadd_ps(sum[t], levels.scale, acc[t]);
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<1>) kTokens[kMostTokens] = {tokens_of<1>, tokens_of<2>,
                                                            tokens_of<3>, tokens_of<4>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_tritplane_avx512(const Codec&, int64_t tokens) {
  static const bool has_vbmi = __builtin_cpu_supports("avx512vbmi");
  return has_vbmi && tokens <= kMostTokens ? few_tokens : nullptr;
}

}  // namespace planeloom::simd
