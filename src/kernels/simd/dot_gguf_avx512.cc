// Rows of GGUF types against one or two tokens with AVX-512 VNNI, without unpacking them to a tile:
// 128 columns of sixteen rows at a time. The packed bytes of four rows are transposed, so that a
// dword holds the same four columns of another row, before they are expanded to codes; dots then
// add up per row. Beyond two tokens a tile is cheaper.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/simd/avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kMostTokens = 2;
constexpr int64_t kStep = 16, kChunk = 128;  // columns per activation scale; columns at a time
constexpr int kSteps = kChunk / kStep;

PL_AVX512 __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

/// 16 bytes at each place.
PL_AVX512 __m512i gather16(const uint8_t* a, const uint8_t* b, const uint8_t* c, const uint8_t* d) {
  __m512i v = _mm512_castsi128_si512(load16(a));
  v = _mm512_inserti32x4(v, load16(b), 1);
  v = _mm512_inserti32x4(v, load16(c), 2);
  return _mm512_inserti32x4(v, load16(d), 3);
}

/// Dwords within each 128-bit lane: register i, dword j <-> register j, dword i.
PL_AVX512 void transpose_dwords(__m512i (&v)[4]) {
  const __m512i ab0 = _mm512_unpacklo_epi32(v[0], v[1]), ab1 = _mm512_unpackhi_epi32(v[0], v[1]),
                cd0 = _mm512_unpacklo_epi32(v[2], v[3]), cd1 = _mm512_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm512_unpacklo_epi64(ab0, cd0);
  v[1] = _mm512_unpackhi_epi64(ab0, cd0);
  v[2] = _mm512_unpacklo_epi64(ab1, cd1);
  v[3] = _mm512_unpackhi_epi64(ab1, cd1);
}

/// 128-bit lanes: register i, lane j <-> register j, lane i.
PL_AVX512 void transpose_lanes(__m512i (&v)[4]) {
  const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44),
                b = _mm512_shuffle_i32x4(v[0], v[1], 0xee),
                c = _mm512_shuffle_i32x4(v[2], v[3], 0x44),
                d = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
  v[0] = _mm512_shuffle_i32x4(a, c, 0x88);
  v[1] = _mm512_shuffle_i32x4(a, c, 0xdd);
  v[2] = _mm512_shuffle_i32x4(b, d, 0x88);
  v[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

PL_AVX512 __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
PL_AVX512 __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

/// Codes of four rows and 128 columns. Dword 4 l + r of code[k][q] is row r, columns 4 q .. 4 q + 3
/// of the step that the format gives to half k and lane l.
struct RowQuads {
  __m512i code[2][4];
};

/// Sixteen dwords of nibbles from each of four rows: the low ones are half 0, the high ones half 1.
PL_AVX512 void split_nibbles(__m512i (&row)[4], RowQuads& out) {
  transpose_dwords(row);
  for (int q = 0; q < 4; ++q) {
    out.code[0][q] = low_nibbles(row[q]);
    out.code[1][q] = high_nibbles(row[q]);
  }
}

/// Coefficients of sixteen rows for the groups of 128 columns.
struct Scales {
  __m512 scale[kSteps], offset[kSteps];  // as many as there are groups
};

// A Format has kBlock, kBytes (of a block), kGroup, kAffine;
// step(half, lane): which step of 128 columns;
// quads(rows, at, part, blocks, out): codes of four rows, `at` the offset of the chunk's first
//   block, `part` the number of the chunk within it, `blocks` how many 32 columns of the chunk
//   there are;
// scales(rows, count, at, part, blocks, out): coefficients; rows from `count` on weigh zero.

/// Blocks of 32 columns: a half scale, a half offset when affine, and codes kCodesAt bytes in.
template <int kBytesOf, int kCodesAt, bool kAffineOf>
struct Block32 {
  static constexpr int kBlock = 32, kBytes = kBytesOf, kGroup = 32;
  static constexpr bool kAffine = kAffineOf;

  /// Four blocks of a row; those past the end are the last one again.
  struct Places {
    int64_t at[4];
    explicit Places(int64_t blocks) {
      for (int64_t b = 0; b < 4; ++b) at[b] = std::min(b, blocks - 1) * kBytes;
    }
  };

  PL_AVX512 static __m512i codes_of(const uint8_t* block, const Places& p) {
    block += kCodesAt;
    return gather16(block + p.at[0], block + p.at[1], block + p.at[2], block + p.at[3]);
  }

  PL_AVX512 static void scales(const uint8_t* const rows[], int64_t count, int64_t at, int,
                               int64_t blocks, Scales& out) {
    // First the kHalves coefficients of a row side by side: those of one kind, then of the other.
    constexpr int kHalves = kAffine ? 8 : 4, kRowsOfOne = 32 / kHalves;
    const __m512i places = _mm512_load_si512(kPlaces.data());
    __m512i packed[kTileRows / kRowsOfOne];
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      __m512i to = r % kRowsOfOne == 0 ? _mm512_setzero_si512() : packed[r / kRowsOfOne];
      for (int b = 0; b < 4; b += kPerLoad) {
        const __mmask32 of_blocks = ((1u << kPerLoad) - 1) << b, kinds = kAffine ? 0x11 : 1;
        to = _mm512_mask_permutexvar_epi16(
            to, (of_blocks * kinds) << (kHalves * (r % kRowsOfOne)), places,
            load_halves(rows[r] + at + b * kBytes, (blocks - b) * (kBytes / 2)));
      }
      packed[r / kRowsOfOne] = to;
    }
    const auto present = static_cast<__mmask16>((1u << count) - 1);
    if constexpr (kAffine) {
      __m512i kind[4];  // of eight rows: scales, offsets; of the other eight: the same
      for (int k = 0; k < 4; ++k)
        kind[k] = _mm512_permutex2var_epi16(
            packed[k / 2 * 2], columns(k % 2 == 0 ? kScales : kOffsets), packed[k / 2 * 2 + 1]);
      for (int b = 0; b < 2; ++b) {
        floats(_mm512_permutex2var_epi16(kind[0], columns(kPair[b]), kind[2]), present,
               out.scale + 2 * b);
        floats(_mm512_permutex2var_epi16(kind[1], columns(kPair[b]), kind[3]), present,
               out.offset + 2 * b);
      }
    } else {
      for (int b = 0; b < 2; ++b)
        floats(_mm512_permutex2var_epi16(packed[0], columns(kPairOfFour[b]), packed[1]), present,
               out.scale + 2 * b);
    }
  }

 private:
  /// Blocks whose coefficients one register of 32 halves holds.
  static constexpr int kPerLoad = 3 * (kBytesOf / 2) + (kAffineOf ? 1 : 0) < 32 ? 4 : 2;

  PL_AVX512 static __m512i load_halves(const uint8_t* p, int64_t count) {
    const uint32_t all = ~0u;
    return _mm512_maskz_loadu_epi16(count >= 32 ? all : count > 0 ? ~(all << count) : 0, p);
  }
  using Words = std::array<uint16_t, 32>;
  PL_AVX512 static __m512i columns(const Words& words) { return _mm512_load_si512(words.data()); }

  /// Word 4 i + j: where the coefficient of block j stands, the second kind from word 4 on.
  static constexpr Words make_places() {
    Words words{};
    for (size_t i = 0; i < 32; ++i)
      words[i] = static_cast<uint16_t>(i % 4 % kPerLoad * (kBytes / 2) + (kAffine && i % 8 >= 4));
    return words;
  }
  /// `rows` rows of `width` words in each of two registers: columns first, first + 1, ... of them.
  static constexpr Words make_columns(size_t width, size_t first, size_t rows) {
    Words words{};
    for (size_t i = 0; i < 32; ++i) {
      const size_t column = first + i / (2 * rows), row = i % (2 * rows);
      words[i] = static_cast<uint16_t>(row / rows * 32 + row % rows * width + column);
    }
    return words;
  }
  /// Columns of eight rows in each of two registers: sixteen rows of blocks first and first + 1.
  static constexpr Words make_pair(size_t first) {
    Words words{};
    for (size_t i = 0; i < 32; ++i)
      words[i] = static_cast<uint16_t>(i % 16 / 8 * 32 + (first + i / 16) * 8 + i % 8);
    return words;
  }
  alignas(64) static constexpr Words kPlaces = make_places();
  alignas(64) static constexpr Words kScales = make_columns(8, 0, 4);
  alignas(64) static constexpr Words kOffsets = make_columns(8, 4, 4);
  alignas(64) static constexpr Words kPair[2] = {make_pair(0), make_pair(2)};
  alignas(64) static constexpr Words kPairOfFour[2] = {make_columns(4, 0, 8),
                                                       make_columns(4, 2, 8)};

  PL_AVX512 static void floats(__m512i halves, __mmask16 present, __m512* two) {
    two[0] = _mm512_maskz_cvtph_ps(present, _mm512_castsi512_si256(halves));
    two[1] = _mm512_maskz_cvtph_ps(present, _mm512_extracti64x4_epi64(halves, 1));
  }
};

/// Sixteen bytes of nibbles, the low ones the first half of the block.
template <int kBytesOf, int kCodesAt, bool kAffineOf>
struct Nibbles : Block32<kBytesOf, kCodesAt, kAffineOf> {
  using Base = Block32<kBytesOf, kCodesAt, kAffineOf>;
  static constexpr int step(int half, int lane) { return 2 * lane + half; }

  PL_AVX512 static void quads(const uint8_t* const rows[], int64_t at, int, int64_t blocks,
                              RowQuads& out) {
    const typename Base::Places p(blocks);
    __m512i v[4];
    for (int r = 0; r < 4; ++r) v[r] = Base::codes_of(rows[r] + at, p);
    split_nibbles(v, out);
  }
};
using Q4_0 = Nibbles<18, 2, false>;
using Q4_1 = Nibbles<20, 4, true>;

/// The same with a fifth bit per code, 32 of them before the nibbles.
template <int kBytesOf, int kCodesAt, bool kAffineOf>
struct FiveBits : Nibbles<kBytesOf, kCodesAt, kAffineOf> {
  using Base = Nibbles<kBytesOf, kCodesAt, kAffineOf>;

  PL_AVX512 static void quads(const uint8_t* const rows[], int64_t at, int part, int64_t blocks,
                              RowQuads& out) {
    Base::quads(rows, at, part, blocks, out);
    const typename Base::Places p(blocks);
    alignas(64) uint32_t word[4][4];  // (block, row)
    for (int b = 0; b < 4; ++b)
      for (int r = 0; r < 4; ++r)
        std::memcpy(&word[b][r], rows[r] + at + p.at[b] + kCodesAt - 4, 4);
    const __m512i words = _mm512_load_si512(word), sixteen = _mm512_set1_epi8(16);
    for (int half = 0; half < 2; ++half)
      for (int q = 0; q < 4; ++q) {  // bit 16 half + 4 q + i -> byte i
        const __m512i byte =
            _mm512_add_epi8(_mm512_broadcast_i32x4(
                                _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
                            _mm512_set1_epi8(static_cast<char>(2 * half + q / 2)));
        const __m512i bit = _mm512_set1_epi32(q % 2 ? static_cast<int>(0x80402010) : 0x08040201);
        const __mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(words, byte), bit);
        out.code[half][q] =
            _mm512_mask_add_epi8(out.code[half][q], set, out.code[half][q], sixteen);
      }
  }
};
using Q5_0 = FiveBits<22, 6, false>;
using Q5_1 = FiveBits<24, 8, true>;

struct Q8_0 : Block32<34, 2, false> {
  static constexpr int step(int half, int lane) { return 4 * half + lane; }

  PL_AVX512 static void quads(const uint8_t* const rows[], int64_t at, int, int64_t blocks,
                              RowQuads& out) {
    const Places p(blocks);
    for (int half = 0; half < 2; ++half) {
      for (int r = 0; r < 4; ++r) {
        const uint8_t *a = rows[r] + at + p.at[2 * half] + 2,
                      *b = rows[r] + at + p.at[2 * half + 1] + 2;
        out.code[half][r] =
            _mm512_xor_si512(gather16(a, a + 16, b, b + 16), _mm512_set1_epi8(-128));
      }
      transpose_dwords(out.code[half]);
    }
  }
};

/// K-quants: 256 columns a block, two chunks.
struct Q4_K {
  static constexpr int kBlock = 256, kBytes = 144, kGroup = 32;
  static constexpr bool kAffine = true;
  /// 64 columns share 32 bytes, the first 32 columns the low nibbles.
  static constexpr int step(int half, int lane) { return lane / 2 * 4 + 2 * half + lane % 2; }

  PL_AVX512 static void quads(const uint8_t* const rows[], int64_t at, int part, int64_t,
                              RowQuads& out) {
    __m512i v[4];
    for (int r = 0; r < 4; ++r) v[r] = _mm512_loadu_si512(rows[r] + at + 16 + 64 * part);
    split_nibbles(v, out);
  }

  /// Sixteen bytes: the halves d and dmin, then eight scales and eight minima of six bits.
  PL_AVX512 static void scales(const uint8_t* const rows[], int64_t count, int64_t at, int part,
                               int64_t, Scales& out) {
    __m512i head[4];
    for (int r = 0; r < 4; ++r)
      head[r] = gather16(rows[r] + at, rows[r + 4] + at, rows[r + 8] + at, rows[r + 12] + at);
    transpose_dwords(head);
    const auto present = static_cast<__mmask16>((1u << count) - 1);
    const __m512 d = _mm512_maskz_cvtph_ps(present, _mm512_cvtepi32_epi16(head[0])),
                 dmin = _mm512_maskz_cvtph_ps(
                     present, _mm512_cvtepi32_epi16(_mm512_srli_epi32(head[0], 16)));
    const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15),
                  top2 = _mm512_set1_epi8(48);
    // Bytes j: scale (minimum) of group 4 part + j.
    __m512i scale = _mm512_and_si512(head[1], low6), minimum = _mm512_and_si512(head[2], low6);
    if (part == 1) {
      scale = _mm512_or_si512(_mm512_and_si512(head[3], low4),
                              _mm512_and_si512(_mm512_srli_epi16(head[1], 2), top2));
      minimum = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(head[3], 4), low4),
                                _mm512_and_si512(_mm512_srli_epi16(head[2], 2), top2));
    }
    const __m512i byte = _mm512_set1_epi32(255);
    for (int j = 0; j < 4; ++j) {
      const __m512i s = _mm512_and_si512(_mm512_srl_epi32(scale, _mm_cvtsi32_si128(8 * j)), byte),
                    m = _mm512_and_si512(_mm512_srl_epi32(minimum, _mm_cvtsi32_si128(8 * j)), byte);
      out.scale[j] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(s));
      out.offset[j] = _mm512_castsi512_ps(
          _mm512_xor_si512(_mm512_castps_si512(_mm512_mul_ps(dmin, _mm512_cvtepi32_ps(m))),
                           _mm512_set1_epi32(static_cast<int>(0x80000000))));
    }
  }
};

struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kGroup = 16;
  static constexpr bool kAffine = false;
  static constexpr int step(int half, int lane) { return 4 * half + lane; }

  /// Per chunk 64 bytes of nibbles and, from byte 128 on, 32 of crumbs; lanes 0 and 1 take the
  /// crumbs' bits 0-1 and 4-5, lanes 2 and 3 the bits 2-3 and 6-7.
  PL_AVX512 static void quads(const uint8_t* const rows[], int64_t at, int part, int64_t,
                              RowQuads& out) {
    __m512i v[4], crumbs[4];
    for (int r = 0; r < 4; ++r) {
      v[r] = _mm512_loadu_si512(rows[r] + at + 64 * part);
      crumbs[r] = _mm512_broadcast_i64x4(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + at + 128 + 32 * part)));
    }
    transpose_dwords(v);
    transpose_dwords(crumbs);
    const __m512i second = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1),
                  bits45 = _mm512_set1_epi8(48);
    for (int q = 0; q < 4; ++q) {
      const __m512i c = _mm512_srlv_epi16(crumbs[q], second);
      out.code[0][q] =
          _mm512_or_si512(low_nibbles(v[q]), _mm512_and_si512(_mm512_slli_epi16(c, 4), bits45));
      out.code[1][q] = _mm512_or_si512(high_nibbles(v[q]), _mm512_and_si512(c, bits45));
    }
  }

  /// Sixteen int8 scales at byte 192, eight for each chunk, and the half d at 208.
  PL_AVX512 static void scales(const uint8_t* const rows[], int64_t count, int64_t at, int part,
                               int64_t, Scales& out) {
    alignas(64) uint16_t half[kTileRows] = {};
    alignas(64) uint32_t word[2][kTileRows] = {};
    for (int64_t r = 0; r < count; ++r) {
      std::memcpy(&half[r], rows[r] + at + 208, 2);
      for (int k = 0; k < 2; ++k)
        std::memcpy(&word[k][r], rows[r] + at + 192 + 8 * part + 4 * k, 4);
    }
    const __m512 d = _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(half)));
    for (int j = 0; j < kSteps; ++j) {
      const __m512i up =
          _mm512_sll_epi32(_mm512_load_si512(word[j / 4]), _mm_cvtsi32_si128(24 - 8 * (j % 4)));
      out.scale[j] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_srai_epi32(up, 24)));
    }
  }
};

/// Activations of 128 columns as the codes meet them: dword 4 l + r of code[half][q], the same for
/// the four rows r, is columns 4 q .. 4 q + 3 of step(half, l).
struct TokenChunk {
  __m512i code[2][4], start[2];
};

/// Dwords `index` .. `index` + 15 of p, zero from `count` on.
PL_AVX512 __m512i load_dwords(const void* p, int64_t index, int64_t count) {
  const int64_t left = std::clamp<int64_t>(count - index, 0, 16);
  return _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << left) - 1),
                                  static_cast<const int32_t*>(p) + index);
}

/// T tokens of a block of T, from step `first` on; `steps` of them, the rest zero.
template <class Format, int T>
PL_AVX512 void token_chunks(const Int8Block& x, int64_t first, int64_t steps,
                            TokenChunk (&out)[T]) {
  const int64_t dwords = 4 * steps * T;
  const int8_t* code = x.code + first * kStep * T;
  const __m512i start = load_dwords(x.start + first * T, 0, steps * T);
  for (int t = 0; t < T; ++t) {
    __m512i lower, upper;  // steps 0 to 3, 4 to 7
    if constexpr (T == 1) {
      lower = load_dwords(code, 0, dwords);
      upper = load_dwords(code, 16, dwords);
    } else {  // the tokens take turns every four columns
      const __m512i turn =
          _mm512_setr_epi32(t, t + 2, t + 4, t + 6, t + 8, t + 10, t + 12, t + 14, t + 16, t + 18,
                            t + 20, t + 22, t + 24, t + 26, t + 28, t + 30);
      lower = _mm512_permutex2var_epi32(load_dwords(code, 0, dwords), turn,
                                        load_dwords(code, 16, dwords));
      upper = _mm512_permutex2var_epi32(load_dwords(code, 32, dwords), turn,
                                        load_dwords(code, 48, dwords));
    }
    for (int half = 0; half < 2; ++half) {
      const int a = Format::step(half, 0), b = Format::step(half, 1), c = Format::step(half, 2),
                d = Format::step(half, 3);
      const __m512i lanes = _mm512_permutex2var_epi64(
          lower,
          _mm512_setr_epi64(2 * a, 2 * a + 1, 2 * b, 2 * b + 1, 2 * c, 2 * c + 1, 2 * d, 2 * d + 1),
          upper);
      out[t].code[half][0] = _mm512_shuffle_epi32(lanes, _MM_PERM_AAAA);
      out[t].code[half][1] = _mm512_shuffle_epi32(lanes, _MM_PERM_BBBB);
      out[t].code[half][2] = _mm512_shuffle_epi32(lanes, _MM_PERM_CCCC);
      out[t].code[half][3] = _mm512_shuffle_epi32(lanes, _MM_PERM_DDDD);
      const int i = a * T + t, j = b * T + t, k = c * T + t, l = d * T + t;
      out[t].start[half] = _mm512_permutexvar_epi32(
          _mm512_setr_epi32(i, i, i, i, j, j, j, j, k, k, k, k, l, l, l, l), start);
    }
  }
}

template <class Format, int T>
PL_AVX512_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                               int64_t y_stride) {
  constexpr int kPerGroup = Format::kGroup / kStep;
  const int64_t row_bytes = w.cols / Format::kBlock * Format::kBytes,
                count = std::min<int64_t>(kTileRows, w.rows - first);
  const auto* begin = reinterpret_cast<const uint8_t*>(w.codes.data()) + first * row_bytes;
  const uint8_t* row[kTileRows];  // past the end the last row again, with scale 0
  for (int64_t r = 0; r < kTileRows; ++r) row[r] = begin + std::min(r, count - 1) * row_bytes;
  // The next sixteen rows, line by line; too far ahead for the first cache, so for the second.
  const uint8_t* ahead = begin + kTileRows * row_bytes;
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  for (int64_t col = 0; col < w.cols; col += kChunk) {
    const int64_t at = col / Format::kBlock * Format::kBytes,
                  steps = std::min(kChunk, w.cols - col) / kStep;
    const auto part = static_cast<int>(col % Format::kBlock / kChunk);
    constexpr int64_t kBytesAhead = kTileRows * Format::kBytes * kChunk / Format::kBlock;
    for (int64_t b = 0; b < kBytesAhead; b += 64) _mm_prefetch(ahead + b, _MM_HINT_T1);
    ahead += kBytesAhead;
    Scales scales;
    Format::scales(row, count, at, part, steps / 2, scales);
    TokenChunk token[T];
    token_chunks<Format, T>(x, col / kStep, steps, token);
    __m512i exact[T][2][4];
    for (int set = 0; set < 4; ++set) {
      RowQuads quads;
      Format::quads(row + 4 * set, at, part, steps / 2, quads);
      for (int t = 0; t < T; ++t)
        for (int half = 0; half < 2; ++half) {
          __m512i sum = token[t].start[half];
          for (int q = 0; q < 4; ++q)
            sum = _mm512_dpbusd_epi32(sum, quads.code[half][q], token[t].code[half][q]);
          exact[t][half][set] = sum;
        }
    }
    for (int t = 0; t < T; ++t) {
      __m512i of_step[kSteps];  // sixteen rows
      for (int half = 0; half < 2; ++half) {
        transpose_lanes(exact[t][half]);
        for (int l = 0; l < 4; ++l) of_step[Format::step(half, l)] = exact[t][half][l];
      }
      const float *x_scale = x.scale + col / kStep * T + t,
                  *weight = x.weight + col / Format::kGroup * T + t;
      for (int g = 0; g < kSteps / kPerGroup; ++g) {
        if (g * kPerGroup >= steps) break;
        __m512 sum = _mm512_setzero_ps();
        for (int s = g * kPerGroup; s < (g + 1) * kPerGroup; ++s)
          sum =
              _mm512_fmadd_ps(_mm512_cvtepi32_ps(of_step[s]), _mm512_set1_ps(x_scale[s * T]), sum);
        acc[t] = _mm512_fmadd_ps(sum, scales.scale[g], acc[t]);
        if (Format::kAffine)
          acc[t] = _mm512_fmadd_ps(_mm512_set1_ps(weight[g * T]), scales.offset[g], acc[t]);
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
