// Tiles of integer codes against int8 activations with AVX2: eight rows per register.
#include "kernels/simd/avx2.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int kMostTokens = 4;  // at a time: their sums and a line of codes fit sixteen registers

/// vpmaddubsw adds two products of code and activation in sixteen bits, where 2 * 127 * 128 is the
/// most; smaller codes leave room for the sums of several quads of columns before they are widened:
/// kRun of them. 0: codes of eight bits, whose zero is taken off and whose sign goes to the
/// activations.
constexpr int run_of(int top) { return top > 128 ? 0 : top > 63 ? 1 : top > 31 ? 2 : 4; }
static_assert(128 * 127 * 2 <= 32767 && 63 * 127 * 2 * 2 <= 32767 && 31 * 127 * 2 * 4 <= 32767);

constexpr int kHalves = 2;  // of a line: eight rows each

/// Sums of products in sixteen bits: one quad of columns of eight rows and a token.
template <int kRun>
PL_AVX2 __m256i products(__m256i code, __m256i xs) {
  return kRun > 0 ? _mm256_maddubs_epi16(code, xs)
                  : _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(xs, code));
}

/// Exact sums of a step's columns for T of the block's tokens.
template <int kRun, int T>
PL_AVX2 void step_sums(const uint8_t* line, const int8_t* x, int64_t x_stride, int64_t quads,
                       const int32_t* start, __m256i zero, __m256i exact[kHalves][T]) {
  constexpr int kQuads = kRun == 0 ? 1 : kRun;
  const __m256i ones = _mm256_set1_epi16(1);
  for (int h = 0; h < kHalves; ++h)
    for (int t = 0; t < T; ++t)
      exact[h][t] = kRun == 0 ? _mm256_setzero_si256() : _mm256_set1_epi32(start[t]);
  for (int64_t q = 0; q < quads; q += kQuads) {
    __m256i pairs[kHalves][T];
#pragma GCC unroll 4
    for (int k = 0; k < kQuads; ++k, line += kTileRows * 4, x += x_stride) {
      __m256i code[kHalves] = {load32(line), load32(line + 32)};
      if (kRun == 0)
        for (__m256i& c : code) c = _mm256_sub_epi8(c, zero);
      for (int t = 0; t < T; ++t) {
        const __m256i xs = four(x + 4 * t);
        for (int h = 0; h < kHalves; ++h) {
          const __m256i p = products<kRun>(code[h], xs);
          pairs[h][t] = k == 0 ? p : _mm256_add_epi16(pairs[h][t], p);
          if (k + 1 < kQuads) {
            asm("" : "+x"(pairs[h][t]));  // one by one: a tree of sums would not fit the registers
            continue;
          }
          exact[h][t] = _mm256_add_epi32(exact[h][t], _mm256_madd_epi16(pairs[h][t], ones));
          asm("" : "+x"(exact[h][t]));
        }
      }
    }
  }
}

template <int kRun, int T>
PL_AVX2_ENTRY void tokens_of(const TileView& w, const Int8Block& x, int64_t first, float* y,
                             int64_t y_stride) {
  const int64_t groups = w.cols / w.form.group, steps = w.form.group / w.form.step,
                width = x.tokens, quads = w.form.step / 4;
  const __m256i zero = _mm256_set1_epi8(static_cast<char>(w.form.zero));
  const uint8_t* line = w.code;
  const int8_t* code = x.code + 4 * first;
  const float *x_scale = x.scale + first, *scale = w.scale, *offset = w.offset;
  const int32_t* start = x.start + first;
  y += first * y_stride;
  for (int64_t g = 0; g < groups; ++g, scale += kTileRows) {
    __m256 sum[kHalves][T];
    for (int h = 0; h < kHalves; ++h)
      for (int t = 0; t < T; ++t) sum[h][t] = _mm256_setzero_ps();
    for (int64_t s = 0; s < steps; ++s, x_scale += width, start += width) {
      __m256i exact[kHalves][T];
      step_sums<kRun, T>(line, code, 4 * width, quads, start, zero, exact);
      line += quads * kTileRows * 4;
      code += quads * 4 * width;
      for (int t = 0; t < T; ++t)
        for (int h = 0; h < kHalves; ++h)
          sum[h][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact[h][t]), _mm256_set1_ps(x_scale[t]),
                                      sum[h][t]);
    }
    for (int h = 0; h < kHalves; ++h)
      for (int t = 0; t < T; ++t) {
        float* out = y + t * y_stride + 8 * h;
        __m256 acc =
            _mm256_fmadd_ps(sum[h][t], _mm256_loadu_ps(scale + 8 * h), _mm256_loadu_ps(out));
        if (w.form.affine)
          acc = _mm256_fmadd_ps(_mm256_set1_ps(x.weight[g * width + first + t]),
                                _mm256_loadu_ps(offset + g * kTileRows + 8 * h), acc);
        _mm256_storeu_ps(out, acc);
      }
  }
}

template <int kRun>
void tile(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  constexpr decltype(&tokens_of<kRun, 1>) kTokens[kMostTokens] = {
      tokens_of<kRun, 1>, tokens_of<kRun, 2>, tokens_of<kRun, 3>, tokens_of<kRun, 4>};
  for (int64_t t = 0; t < x.tokens;) {
    const int64_t left = x.tokens - t, width = left < kMostTokens ? left : kMostTokens;
    kTokens[width - 1](w, x, t, y, y_stride);
    t += width;
  }
}

}  // namespace

void dot_tile_avx2(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  switch (run_of(w.form.top)) {
    case 4:
      return tile<4>(w, x, y, y_stride);
    case 2:
      return tile<2>(w, x, y, y_stride);
    case 1:
      return tile<1>(w, x, y, y_stride);
    default:
      return tile<0>(w, x, y, y_stride);
  }
}

}  // namespace planeloom::simd
