// Tiles of GGUF formats with AVX2 and F16C (gguf_formats.h).
#include <algorithm>

#include "kernels/simd/gguf_formats.h"
#include "kernels/simd/unpack.h"

namespace planeloom::simd {
namespace {

using namespace gguf;

/// Four rows of 32 codes -> their places in a tile: (8, 16 rows, 4), `to` at the first of the rows.
PL_AVX2 void store_four_rows(const __m256i row[4], uint8_t* to) {
  const __m256i ab0 = _mm256_unpacklo_epi32(row[0], row[1]),
                ab1 = _mm256_unpackhi_epi32(row[0], row[1]),
                cd0 = _mm256_unpacklo_epi32(row[2], row[3]),
                cd1 = _mm256_unpackhi_epi32(row[2], row[3]);
  const __m256i quad[4] = {_mm256_unpacklo_epi64(ab0, cd0), _mm256_unpackhi_epi64(ab0, cd0),
                           _mm256_unpacklo_epi64(ab1, cd1), _mm256_unpackhi_epi64(ab1, cd1)};
  for (int i = 0; i < 4; ++i) {  // the low halves are columns 0..15, the high ones 16..31
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 64 * i), _mm256_castsi256_si128(quad[i]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 64 * (i + 4)),
                     _mm256_extracti128_si256(quad[i], 1));
  }
}

template <class Format>
PL_AVX2_ENTRY void unpack(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols,
                          CodeTile out) {
  constexpr int kGroups = Format::kBlock / Format::kGroup;
  const int64_t row_bytes = w.cols / Format::kBlock * Format::kBytes;
  const auto* bytes =
      reinterpret_cast<const uint8_t*>(w.codes.data()) + col / Format::kBlock * Format::kBytes;
  for (int64_t r = 0; r < kTileRows; r += 4) {
    for (int64_t c = 0; c < cols; c += Format::kBlock) {
      const uint8_t* block[4];
      for (int64_t j = 0; j < 4; ++j)  // a row past the end reads the last one, with scale 0
        block[j] = bytes + std::min(first + r + j, w.rows - 1) * row_bytes +
                   c / Format::kBlock * Format::kBytes;
      for (int i = 0; i < Format::kBlock / 32; ++i) {
        __m256i row[4];
        for (int64_t j = 0; j < 4; ++j)
          row[j] = first + r + j < w.rows ? Format::codes(block[j], i) : _mm256_setzero_si256();
        store_four_rows(row, out.code + (c + 32 * i) * kTileRows + 4 * r);
      }
      for (int64_t j = 0; j < 4; ++j) {
        float scale[kGroups] = {}, offset[kGroups] = {};
        if (first + r + j < w.rows) Format::scales(block[j], scale, offset);
        for (int64_t g = 0; g < kGroups; ++g) {
          const int64_t at = (c / Format::kGroup + g) * kTileRows + r + j;
          out.scale[at] = scale[g];
          if (Format::kAffine) out.offset[at] = offset[g];
        }
      }
    }
  }
}

}  // namespace

UnpackTile find_unpack_gguf(const Codec& codec) {
  const CodecLayout layout = codec.layout();
  if (layout.kind != CodecLayout::Kind::kGguf) return nullptr;
  switch (layout.type) {
    case DType::kQ4_0:
      return unpack<Q4_0>;
    case DType::kQ4_1:
      return unpack<Q4_1>;
    case DType::kQ5_0:
      return unpack<Q5_0>;
    case DType::kQ5_1:
      return unpack<Q5_1>;
    case DType::kQ8_0:
      return unpack<Q8_0>;
    case DType::kQ2_K:
      return unpack<Q2_K>;
    case DType::kQ3_K:
      return unpack<Q3_K>;
    case DType::kQ4_K:
      return unpack<Q4_K>;
    case DType::kQ5_K:
      return unpack<Q5_K>;
    case DType::kQ6_K:
      return unpack<Q6_K>;
    case DType::kIQ4_NL:
      return unpack<IQ4_NL>;
    case DType::kIQ4_XS:
      return unpack<IQ4_XS>;
    case DType::kTQ2_0:
      return unpack<TQ2_0>;
    default:
      return nullptr;
  }
}

}  // namespace planeloom::simd
