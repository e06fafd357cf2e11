// Rows of GGUF types against one or two tokens with AVX-512 VNNI, without unpacking them to a tile:
// the dots of a row stay in eight lanes, and sixteen rows are transposed and added at once. Beyond
// two tokens that costs more than a tile.
#include <algorithm>

#include "kernels/simd/avx512.h"
#include "kernels/simd/gguf_formats.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

using namespace gguf;

constexpr int64_t kMostTokens = 2;
constexpr int64_t kStep = 16;    // columns per activation scale
constexpr int64_t kChunk = 512;  // columns whose scales are gathered at a time

/// Four registers of four 128-bit lanes; lane l of the result holds the sums of lane l of each.
PL_AVX512 __m512i add_across(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/// Sums of 16 columns for sixteen rows: the first and the second half of 32 columns.
struct Halves {
  __m512i first, second;
};

/// pair[p] holds the dots of rows r and r + 4, eight lanes each: r = p for p < 4, p + 4 from there.
PL_AVX512 Halves gather_rows(const __m512i pair[8]) {
  const __m512i top = add_across(pair[0], pair[1], pair[2], pair[3]),
                bottom = add_across(pair[4], pair[5], pair[6], pair[7]);
  return {_mm512_shuffle_i32x4(top, bottom, 0x88), _mm512_shuffle_i32x4(top, bottom, 0xdd)};
}

/// Scales (and offsets) of sixteen rows from column `col` on, transposed to (group, row).
template <class Format>
PL_AVX512 void gather_scales(const uint8_t* const row[], int64_t rows, int64_t col, int64_t cols,
                             float* scale, float* offset) {
  constexpr int kGroups = Format::kBlock / Format::kGroup;
  for (int64_t r = 0; r < kTileRows; ++r)
    for (int64_t c = 0; c < cols; c += Format::kBlock) {
      float s[kGroups] = {}, o[kGroups] = {};
      if (r < rows) Format::scales(row[r] + (col + c) / Format::kBlock * Format::kBytes, s, o);
      for (int64_t g = 0; g < kGroups; ++g) {
        scale[(c / Format::kGroup + g) * kTileRows + r] = s[g];
        if (Format::kAffine) offset[(c / Format::kGroup + g) * kTileRows + r] = o[g];
      }
    }
}

/// acc + (start + dots) * scale of x, of one step.
PL_AVX512 __m512 scaled(__m512i dots, int32_t start, float x_scale, __m512 acc) {
  const __m512i exact = _mm512_add_epi32(dots, _mm512_set1_epi32(start));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact), _mm512_set1_ps(x_scale), acc);
}

/// 32 codes of each token, twice: for two rows.
template <int T>
PL_AVX512 void load_codes(const int8_t* code, __m512i (&twice)[T]) {
  if constexpr (T == 1) {
    twice[0] = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(code)));
  } else {  // the tokens take turns every four columns
    const __m512i both = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15),
        _mm512_loadu_si512(code));
    twice[0] = _mm512_shuffle_i64x2(both, both, 0x44);
    twice[1] = _mm512_shuffle_i64x2(both, both, 0xee);
  }
}

template <class Format, int T>
PL_AVX512_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                               int64_t y_stride) {
  constexpr int64_t kGroups = 32 / Format::kGroup;  // within 32 columns: 1 or 2
  const int64_t row_bytes = w.cols / Format::kBlock * Format::kBytes,
                rows = std::min<int64_t>(kTileRows, w.rows - first);
  const auto* begin = reinterpret_cast<const uint8_t*>(w.codes.data()) + first * row_bytes;
  const uint8_t* row[kTileRows];  // past the end the last row again, with scale 0
  for (int64_t r = 0; r < kTileRows; ++r) row[r] = begin + std::min(r, rows - 1) * row_bytes;
  const uint8_t* ahead = begin + kTileRows * row_bytes;  // the next sixteen rows, line by line
  alignas(64) float scale[kChunk / Format::kGroup * kTileRows],
      offset[kChunk / Format::kGroup * kTileRows];
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  for (int64_t chunk = 0; chunk < w.cols; chunk += kChunk) {
    const int64_t cols = std::min(kChunk, w.cols - chunk);
    gather_scales<Format>(row, rows, chunk, cols, scale, offset);
    for (int64_t c = 0; c < cols; c += 32) {
      const int64_t col = chunk + c, at = col / Format::kBlock * Format::kBytes;
      const auto part = static_cast<int>(col % Format::kBlock / 32);
      for (int64_t b = 0; b < kTileRows * Format::kBytes * 32 / Format::kBlock; b += 64)
        _mm_prefetch(ahead + b, _MM_HINT_T1);
      ahead += kTileRows * Format::kBytes * 32 / Format::kBlock;
      __m512i pair[T][8], x_code[T];
      load_codes<T>(x.code + col * T, x_code);
      for (int p = 0; p < 8; ++p) {
        const int r = p < 4 ? p : p + 4;
        const __m512i code =
            _mm512_inserti64x4(_mm512_castsi256_si512(Format::codes(row[r] + at, part)),
                               Format::codes(row[r + 4] + at, part), 1);
        for (int t = 0; t < T; ++t)
          pair[t][p] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), code, x_code[t]);
      }
      for (int t = 0; t < T; ++t) {
        const Halves halves = gather_rows(pair[t]);
        const int32_t* start = x.start + col / kStep * T + t;
        const float* x_scale = x.scale + col / kStep * T + t;
        const __m512 first_sum = scaled(halves.first, start[0], x_scale[0], _mm512_setzero_ps());
        const __m512 sum[2] = {scaled(halves.second, start[T], x_scale[T],
                                      kGroups == 1 ? first_sum : _mm512_setzero_ps()),
                               first_sum};
        for (int64_t h = 0; h < kGroups; ++h) {
          const int64_t g = (c / Format::kGroup + h) * kTileRows;
          acc[t] =
              _mm512_fmadd_ps(sum[h + 1 == kGroups ? 0 : 1], _mm512_load_ps(scale + g), acc[t]);
          if (Format::kAffine)
            acc[t] = _mm512_fmadd_ps(_mm512_set1_ps(x.weight[(col / Format::kGroup + h) * T + t]),
                                     _mm512_load_ps(offset + g), acc[t]);
        }
      }
    }
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

template <class Format>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  x.tokens == 1 ? tokens_of<Format, 1>(w, first, x, y, y_stride)
                : tokens_of<Format, 2>(w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_gguf_avx512(const Codec& codec, int64_t tokens) {
  if (tokens > kMostTokens) return nullptr;
  switch (codec.layout().type) {
    case DType::kQ4_0:
      return few_tokens<Q4_0>;
    case DType::kQ4_1:
      return few_tokens<Q4_1>;
    case DType::kQ5_0:
      return few_tokens<Q5_0>;
    case DType::kQ5_1:
      return few_tokens<Q5_1>;
    case DType::kQ8_0:
      return few_tokens<Q8_0>;
    case DType::kQ4_K:
      return few_tokens<Q4_K>;
    case DType::kQ6_K:
      return few_tokens<Q6_K>;
    default:
      return nullptr;
  }
}

}  // namespace planeloom::simd
