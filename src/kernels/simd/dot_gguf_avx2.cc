// Rows of GGUF types against a few tokens with AVX2, without unpacking them to a tile: eight rows
// at a time. The packed bytes of eight rows are transposed, so that a dword holds the same four
// columns of another row, before they are expanded to codes; four int8 activations are broadcast
// and nothing is added across lanes.
#include <algorithm>
#include <utility>

#include "kernels/simd/gguf_formats.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

using gguf::word_at;

constexpr int64_t kStep = 16;  // columns per activation scale
constexpr int kRows = 8;       // one per 32-bit lane
constexpr int kSigned = 0;     // a format's kTop when its codes are signed
constexpr int64_t kTokensAtATime = 4, kMostTokens = 8;

/// Codes of eight rows: dword r of code[q] is row r, columns 4 q .. 4 q + 3 of a step.
struct Quads {
  __m256i code[4];
};

PL_AVX2 __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
PL_AVX2 __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }

/// Sixteen bytes at the same place of eight rows, transposed: dword r of code[q] is row r's dword
/// q.
PL_AVX2 Quads sixteen_bytes(const uint8_t* const rows[], int64_t at) {
  __m256i v[4];
  for (int r = 0; r < 4; ++r)
    v[r] = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(rows[r + 4] + at),
                               reinterpret_cast<const __m128i*>(rows[r] + at));
  const __m256i ab0 = _mm256_unpacklo_epi32(v[0], v[1]), ab1 = _mm256_unpackhi_epi32(v[0], v[1]),
                cd0 = _mm256_unpacklo_epi32(v[2], v[3]), cd1 = _mm256_unpackhi_epi32(v[2], v[3]);
  return {{_mm256_unpacklo_epi64(ab0, cd0), _mm256_unpackhi_epi64(ab0, cd0),
           _mm256_unpacklo_epi64(ab1, cd1), _mm256_unpackhi_epi64(ab1, cd1)}};
}

/// Four bytes of each of eight rows.
PL_AVX2 __m256i eight_words(const uint8_t* const rows[], int64_t at) {
  int32_t word[kRows];
  for (int r = 0; r < kRows; ++r) std::memcpy(word + r, rows[r] + at, 4);
  return _mm256_setr_epi32(word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]);
}

/// Two bytes of each of eight rows.
PL_AVX2 __m128i eight_halves(const uint8_t* const rows[], int64_t at) {
  int16_t half[kRows];
  for (int r = 0; r < kRows; ++r) std::memcpy(half + r, rows[r] + at, 2);
  return _mm_setr_epi16(half[0], half[1], half[2], half[3], half[4], half[5], half[6], half[7]);
}

/// The lower and the upper halves of eight words as floats.
PL_AVX2 void halves_of_words(__m256i words, __m256& lower, __m256& upper) {
  const __m256i sorted = _mm256_permute4x64_epi64(
      _mm256_shuffle_epi8(
          words, _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5,
                                  8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)),
      0xd8);
  lower = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
  upper = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}

// A Format has kBlock, kBytes (of a block), kGroup, kChunk (columns whose bytes are transposed
// together), kTop (its largest code), kHasZero, kAffine, and
// Block, open(rows, at, block): coefficients of a block at byte `at` of each row, and what its
//   chunks share;
// Chunk, load(rows, at, block, chunk): the bytes of one;
// quads(chunk, s): codes of its step s.

template <int kGroups, bool kHasOffset>
struct Coefficients {
  __m256 scale[kGroups], offset[kHasOffset ? kGroups : 1];
};

/// Blocks of 32 columns: a half scale, a half offset when affine.
template <int kBytesOf, bool kAffineOf>
struct Block32 {
  static constexpr int kBlock = 32, kBytes = kBytesOf, kGroup = 32, kChunk = 32;
  static constexpr bool kHasZero = !kAffineOf, kAffine = kAffineOf;
  using Block = Coefficients<1, kAffine>;

  PL_AVX2 static void open(const uint8_t* const rows[], int64_t at, Block& out) {
    if constexpr (kAffine)
      halves_of_words(eight_words(rows, at), out.scale[0], out.offset[0]);
    else
      out.scale[0] = _mm256_cvtph_ps(eight_halves(rows, at));
  }
};

/// Sixteen bytes of nibbles, the low ones first.
template <int kBytesOf, bool kAffineOf>
struct Nibbles : Block32<kBytesOf, kAffineOf> {
  static constexpr int kTop = 15;
  using Chunk = Quads;
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at, const typename Nibbles::Block&,
                            int) {
    return sixteen_bytes(rows, at + kBytesOf - 16);
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) {
    Quads out;
    for (int q = 0; q < 4; ++q)
      out.code[q] = s == 0 ? low_nibbles(chunk.code[q]) : high_nibbles(chunk.code[q]);
    return out;
  }
};
using Q4_0 = Nibbles<18, false>;
using Q4_1 = Nibbles<20, true>;

/// The same with a fifth bit per code, 32 of them before the nibbles.
template <int kBytesOf, bool kAffineOf>
struct FiveBits : Block32<kBytesOf, kAffineOf> {
  static constexpr int kTop = 31;
  struct Chunk {
    Quads low;
    __m256i fifth;
  };
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at,
                            const typename FiveBits::Block&, int) {
    return {sixteen_bytes(rows, at + kBytesOf - 16), eight_words(rows, at + kBytesOf - 20)};
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) {
    Quads out = Nibbles<kBytesOf, kAffineOf>::quads(chunk.low, s);
    for (int q = 0; q < 4; ++q) {  // bit 16 s + 4 q + i -> byte i
      const __m256i byte =
          _mm256_add_epi8(_mm256_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12, 0, 0,
                                           0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12),
                          _mm256_set1_epi8(static_cast<char>(2 * s + q / 2)));
      const __m256i bit = _mm256_set1_epi32(q % 2 ? static_cast<int>(0x80402010) : 0x08040201);
      const __m256i set =
          _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(chunk.fifth, byte), bit), bit);
      out.code[q] = _mm256_or_si256(out.code[q], _mm256_and_si256(set, _mm256_set1_epi8(16)));
    }
    return out;
  }
};
using Q5_0 = FiveBits<22, false>;
using Q5_1 = FiveBits<24, true>;

struct Q8_0 : Block32<34, false> {
  static constexpr int kTop = kSigned;
  static constexpr bool kHasZero = false;
  struct Chunk {
    Quads step[2];
  };
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at, const Block&, int) {
    return {{sixteen_bytes(rows, at + 2), sixteen_bytes(rows, at + 18)}};
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) { return chunk.step[s]; }
};

/// Sixteen bytes: the halves d and dmin, then eight scales and eight minima of six bits.
PL_AVX2 void scales_and_minima(const uint8_t* const rows[], int64_t at,
                               Coefficients<8, true>& out) {
  const Quads head = sixteen_bytes(rows, at);
  __m256 d, dmin;
  halves_of_words(head.code[0], d, dmin);
  dmin = _mm256_xor_ps(dmin, _mm256_set1_ps(-0.0f));
  const __m256i w0 = head.code[1], w1 = head.code[2], w2 = head.code[3],
                low6 = _mm256_set1_epi8(63), top2 = _mm256_set1_epi8(48);
  // Byte j: scale (minimum) of group j, or 4 + j.
  const __m256i scale[2] = {_mm256_and_si256(w0, low6),
                            _mm256_or_si256(low_nibbles(w2),
                                            _mm256_and_si256(_mm256_srli_epi16(w0, 2), top2))},
                minimum[2] = {_mm256_and_si256(w1, low6),
                              _mm256_or_si256(high_nibbles(w2),
                                              _mm256_and_si256(_mm256_srli_epi16(w1, 2), top2))};
  const __m256i byte = _mm256_set1_epi32(255);
  for (int g = 0; g < 8; ++g) {
    const int shift = 8 * (g % 4);
    const __m256i s = _mm256_and_si256(_mm256_srli_epi32(scale[g / 4], shift), byte),
                  m = _mm256_and_si256(_mm256_srli_epi32(minimum[g / 4], shift), byte);
    out.scale[g] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s));
    out.offset[g] = _mm256_mul_ps(dmin, _mm256_cvtepi32_ps(m));
  }
}

/// K-quants: 256 columns a block. 64 columns share 32 bytes, the first 32 columns the low nibbles.
struct Q4_K {
  static constexpr int kBlock = 256, kBytes = 144, kGroup = 32, kChunk = 64, kTop = 15;
  static constexpr bool kHasZero = false, kAffine = true;
  using Block = Coefficients<8, true>;
  PL_AVX2 static void open(const uint8_t* const rows[], int64_t at, Block& out) {
    scales_and_minima(rows, at, out);
  }
  struct Chunk {
    Quads half[2];
  };
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at, const Block&, int chunk) {
    at += 16 + 32 * chunk;
    return {{sixteen_bytes(rows, at), sixteen_bytes(rows, at + 16)}};
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) {
    return Nibbles<0, false>::quads(chunk.half[s % 2], s / 2);
  }
};

/// The same with 32 bytes of fifth bits, bit s of byte i for column 32 s + i, before the nibbles.
struct Q5_K {
  static constexpr int kBlock = 256, kBytes = 176, kGroup = 32, kChunk = 64, kTop = 31;
  static constexpr bool kHasZero = false, kAffine = true;
  struct Block : Coefficients<8, true> {
    Quads fifth[2];
  };
  PL_AVX2 static void open(const uint8_t* const rows[], int64_t at, Block& out) {
    scales_and_minima(rows, at, out);
    for (int h = 0; h < 2; ++h) out.fifth[h] = sixteen_bytes(rows, at + 16 + 16 * h);
  }
  struct Chunk {
    Q4_K::Chunk low;
    Quads fifth[2];  // bit 0 of the low nibbles, bit 1 of the high ones
  };
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at, const Block& block,
                            int chunk) {
    at += 48 + 32 * chunk;
    Chunk out{{{sixteen_bytes(rows, at), sixteen_bytes(rows, at + 16)}}, {}};
    const __m128i shift = _mm_cvtsi32_si128(2 * chunk);
    for (int h = 0; h < 2; ++h)
      for (int q = 0; q < 4; ++q)
        out.fifth[h].code[q] = _mm256_srl_epi16(block.fifth[h].code[q], shift);
    return out;
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) {
    Quads out = Q4_K::quads(chunk.low, s);
    for (int q = 0; q < 4; ++q) {
      const __m256i bits = chunk.fifth[s % 2].code[q];
      out.code[q] = _mm256_or_si256(
          out.code[q],
          _mm256_and_si256(s / 2 == 0 ? _mm256_slli_epi16(bits, 4) : _mm256_slli_epi16(bits, 3),
                           _mm256_set1_epi8(16)));
    }
    return out;
  }
};

/// 128 columns: 64 bytes of nibbles, and 32 bytes of crumbs from byte 128 on.
struct Q6_K {
  static constexpr int kBlock = 256, kBytes = 210, kGroup = 16, kChunk = 128, kTop = 63;
  static constexpr bool kHasZero = true, kAffine = false;
  using Block = Coefficients<16, false>;

  /// Sixteen int8 scales at byte 192, and the half d at 208.
  PL_AVX2 static void open(const uint8_t* const rows[], int64_t at, Block& out) {
    const __m256 d = _mm256_cvtph_ps(eight_halves(rows, at + 208));
    const Quads scales = sixteen_bytes(rows, at + 192);
    for (int g = 0; g < 16; ++g) {
      const __m256i up = _mm256_slli_epi32(scales.code[g / 4], 24 - 8 * (g % 4));
      out.scale[g] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_srai_epi32(up, 24)));
    }
  }
  struct Chunk {
    Quads low[4], crumbs[2];
  };
  PL_AVX2 static Chunk load(const uint8_t* const rows[], int64_t at, const Block&, int chunk) {
    Chunk out;
    for (int p = 0; p < 4; ++p) out.low[p] = sixteen_bytes(rows, at + 64 * chunk + 16 * p);
    for (int h = 0; h < 2; ++h) out.crumbs[h] = sixteen_bytes(rows, at + 128 + 32 * chunk + 16 * h);
    return out;
  }
  PL_AVX2 static Quads quads(const Chunk& chunk, int s) {
    Quads out = Nibbles<0, false>::quads(chunk.low[s % 4], s / 4);
    for (int q = 0; q < 4; ++q) {
      const __m256i c = chunk.crumbs[s % 2].code[q];
      const __m256i at4 = s / 2 == 0   ? _mm256_slli_epi16(c, 4)
                          : s / 2 == 1 ? _mm256_slli_epi16(c, 2)
                          : s / 2 == 2 ? c
                                       : _mm256_srli_epi16(c, 2);
      out.code[q] = _mm256_or_si256(out.code[q], _mm256_and_si256(at4, _mm256_set1_epi8(48)));
    }
    return out;
  }
};

/// Dots of four unsigned codes up to kTop, or signed ones, with four int8 activations at x.
template <int kTop>
PL_AVX2 __m256i dot4(__m256i code, const int8_t* x) {
  const __m256i xs = four(x);
  if constexpr (kTop == kSigned)
    return _mm256_maddubs_epi16(_mm256_abs_epi8(code), _mm256_sign_epi8(xs, code));
  else
    return _mm256_maddubs_epi16(code, xs);
}

/// The exact sum of a step for one of `width` tokens: as many int16 are added as cannot overflow,
/// with |x| <= 127 and signed codes of at most 128.
template <int kTop>
PL_AVX2 __m256i dot_step(const Quads& quads, const int8_t* x, int64_t width) {
  constexpr int kPair = 2 * 127 * (kTop == kSigned ? 128 : kTop);
  static_assert(kPair <= 32767);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i v[4];
  for (int q = 0; q < 4; ++q) v[q] = dot4<kTop>(quads.code[q], x + 4 * width * q);
  if constexpr (2 * kPair <= 32767) {
    const __m256i a = _mm256_add_epi16(v[0], v[1]), b = _mm256_add_epi16(v[2], v[3]);
    if constexpr (4 * kPair <= 32767) return _mm256_madd_epi16(_mm256_add_epi16(a, b), ones);
    return _mm256_add_epi32(_mm256_madd_epi16(a, ones), _mm256_madd_epi16(b, ones));
  }
  for (int q = 0; q < 4; ++q) v[q] = _mm256_madd_epi16(v[q], ones);
  return _mm256_add_epi32(_mm256_add_epi32(v[0], v[1]), _mm256_add_epi32(v[2], v[3]));
}

/// One chunk of eight rows and the first T of `width` tokens; `step` is its first step.
template <class Format, int T>
PL_AVX2 void add_chunk(const typename Format::Chunk& chunk, const typename Format::Block& block,
                       int first_group, const Int8Block& x, int64_t width, int64_t step,
                       __m256 (&acc)[T]) {
  constexpr int kSteps = Format::kChunk / kStep, kPerGroup = Format::kGroup / kStep;
  __m256 sum[T];
#pragma GCC unroll 8
  for (int s = 0; s < kSteps; ++s) {
    const Quads quads = Format::quads(chunk, s);
    const int64_t at = (step + s) * width;
    if (s % kPerGroup == 0)
      for (int t = 0; t < T; ++t) sum[t] = _mm256_setzero_ps();
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      __m256i exact = dot_step<Format::kTop>(quads, x.code + kStep * at + 4 * t, width);
      if (Format::kHasZero) exact = _mm256_add_epi32(exact, _mm256_set1_epi32(x.start[at + t]));
      sum[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), _mm256_set1_ps(x.scale[at + t]), sum[t]);
    }
    if (s % kPerGroup != kPerGroup - 1) continue;
    const int g = first_group + s / kPerGroup;
#pragma GCC unroll 8
    for (int t = 0; t < T; ++t) {
      acc[t] = _mm256_fmadd_ps(sum[t], block.scale[g], acc[t]);
      if (Format::kAffine) {
        const float weight = x.weight[(step + s) / kPerGroup * width + t];
        acc[t] = _mm256_fmadd_ps(_mm256_set1_ps(weight), block.offset[g], acc[t]);
      }
    }
  }
}

/// Rows first .. first + 7, or as many as there are, and the first T tokens of x, which may be all.
template <class Format, int T, bool kAll>
PL_AVX2 void eight_rows(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                        int64_t y_stride) {
  const int64_t width = kAll ? T : x.tokens;
  const int64_t row_bytes = w.cols / Format::kBlock * Format::kBytes,
                count = std::min<int64_t>(kRows, w.rows - first);
  const auto* begin = reinterpret_cast<const uint8_t*>(w.codes.data()) + first * row_bytes;
  const uint8_t* row[kRows] = {begin};  // past the end the last row again, its sums are dropped
  for (int64_t r = 1; r < kRows; ++r) row[r] = row[r - 1] + (r < count ? row_bytes : 0);
  // The rows of the next call, line by line; too far ahead for the first cache, so for the second.
  const uint8_t* ahead = begin + kTileRows * row_bytes;
  __m256 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm256_loadu_ps(y + t * y_stride);
  int64_t step = 0;
  for (int64_t at = 0; at < row_bytes; at += Format::kBytes) {
    typename Format::Block block;
    Format::open(row, at, block);
    for (int c = 0; c < Format::kBlock / Format::kChunk; ++c) {
      constexpr int kBytesAhead = kRows * Format::kBytes / (Format::kBlock / Format::kChunk);
      for (int b = 0; b < kBytesAhead; b += 64) _mm_prefetch(ahead + b, _MM_HINT_T1);
      ahead += kBytesAhead;
      add_chunk<Format, T>(Format::load(row, at, block, c), block,
                           c * (Format::kChunk / Format::kGroup), x, width, step, acc);
      step += Format::kChunk / kStep;
    }
  }
  const __m256i present = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                                             _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (int t = 0; t < T; ++t) _mm256_maskstore_ps(y + t * y_stride, present, acc[t]);
}

template <class Format, int T, bool kAll>
PL_AVX2_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                             int64_t y_stride) {
  for (int64_t r = 0; r < kTileRows && first + r < w.rows; r += kRows)
    eight_rows<Format, T, kAll>(w, first + r, x, y + r, y_stride);
}

/// Four tokens, then the rest: the sums of more would not fit the registers, and expanding the
/// codes twice costs less than a tile.
template <class Format, int T>
void more_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                 int64_t y_stride) {
  constexpr int64_t k = kTokensAtATime;
  const Int8Block rest{x.tokens, x.code + 4 * k, x.scale + k, x.start + k,
                       Format::kAffine ? x.weight + k : nullptr};
  tokens_of<Format, k, false>(w, first, x, y, y_stride);
  tokens_of<Format, T - k, false>(w, first, rest, y + k * y_stride, y_stride);
}

template <class Format>
DotPacked few_tokens(int64_t tokens) {
  constexpr DotPacked kDots[kMostTokens] = {tokens_of<Format, 1, true>, tokens_of<Format, 2, true>,
                                            tokens_of<Format, 3, true>, tokens_of<Format, 4, true>,
                                            more_tokens<Format, 5>,     more_tokens<Format, 6>,
                                            more_tokens<Format, 7>,     more_tokens<Format, 8>};
  return tokens <= kMostTokens ? kDots[tokens - 1] : nullptr;
}

}  // namespace

DotPacked find_dot_gguf_avx2(const Codec& codec, int64_t tokens) {
  switch (codec.layout().type) {
    case DType::kQ4_0:
      return few_tokens<Q4_0>(tokens);
    case DType::kQ4_1:
      return few_tokens<Q4_1>(tokens);
    case DType::kQ5_0:
      return few_tokens<Q5_0>(tokens);
    case DType::kQ5_1:
      return few_tokens<Q5_1>(tokens);
    case DType::kQ8_0:
      return few_tokens<Q8_0>(tokens);
    case DType::kQ4_K:
      return few_tokens<Q4_K>(tokens);
    case DType::kQ5_K:
      return few_tokens<Q5_K>(tokens);
    case DType::kQ6_K:
      return few_tokens<Q6_K>(tokens);
    default:
      return nullptr;
  }
}

}  // namespace planeloom::simd
