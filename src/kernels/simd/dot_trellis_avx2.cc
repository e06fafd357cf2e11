// Trellis codes (codecs/trellis.h) against int8 activations with AVX2, without a tile in between
// (the sibling of dot_trellis_avx512.cc): eight rows a register, so a line of sixteen rows is two.
// Hashes carry the highest bit of an index in the sign, where vpshufb gives 0: a level of 32 is the
// sum of a look-up by the index and of one by the index with its sign turned.
#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "kernels/simd/plane_levels_avx2.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072;  // bytes; docs/decisions/0006
constexpr int64_t kStep = 32;     // columns per activation scale
constexpr int kQuads = 8;         // of four columns, in a step
constexpr int kHalves = 2;
constexpr int64_t kMostTokens = 4;  // beyond, a tile is unpacked once for all

template <int K>
struct Tables {
  __m256i hash[kTrellisHashes[K - 1]], level[2];
};

PL_AVX2 __m256i sixteen_bytes(const uint8_t* p) { return _mm256_broadcastsi128_si256(load16(p)); }

template <int K>
PL_AVX2 Tables<K> tables() {
  const TrellisCode& code = trellis_code(K);
  Tables<K> t;
  for (int i = 0; i < kTrellisHashes[K - 1]; ++i) {
    const __m256i hash = sixteen_bytes(code.hash[static_cast<size_t>(i)].data());
    t.hash[i] =
        _mm256_or_si256(_mm256_and_si256(hash, _mm256_set1_epi8(15)),
                        _mm256_and_si256(_mm256_slli_epi16(hash, 3), _mm256_set1_epi8(-128)));
  }
  for (int i = 0; i < 2; ++i) t.level[i] = sixteen_bytes(code.table.data() + 16 * i);
  return t;
}

/// Bits moved up (left > 0) or down within every byte, cut to `mask`.
PL_AVX2 __m256i moved(__m256i line, int left, int mask) {
  const __m256i v = left > 0   ? _mm256_slli_epi16(line, left)
                    : left < 0 ? _mm256_srli_epi16(line, -left)
                               : line;
  return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask)));
}

/// The nibble of columns 4 quad ... of a step; `before`: the step before it.
template <int K>
PL_AVX2 __m256i nibble(const __m256i line[K], const __m256i before[K], int quad) {
  if constexpr (K == 1) {
    if (quad >= 3) return moved(line[0], 3 - quad, 15);
    const int old = (1 << (3 - quad)) - 1;  // bits of the step before
    return _mm256_or_si256(moved(line[0], 3 - quad, 15 & ~old), moved(before[0], -5 - quad, old));
  } else {
    const int l = quad / 4, f = quad % 4;
    if constexpr (K == 4)
      return _mm256_or_si256(moved(line[l], -2 * f, 3), moved(line[2 + l], 2 - 2 * f, 12));
    const __m256i pair = moved(line[l], 2 - 2 * f, K == 2 && f > 0 ? 15 : 12);
    if constexpr (K == 2) {
      if (f > 0) return pair;
      return _mm256_or_si256(pair, moved(l > 0 ? line[0] : before[1], -6, 3));
    } else {
      if (quad > 0) return _mm256_or_si256(pair, moved(line[2], 1 - quad, 3));
      return _mm256_or_si256(pair, _mm256_or_si256(moved(line[2], 1, 2), moved(before[2], -7, 1)));
    }
  }
}

/// Half the rows of a block, from the first column on.
template <int K>
struct HalfRows {
  static constexpr int kStride = kTrellisStride[K - 1], kHashes = kTrellisHashes[K - 1];
  static_assert(kQuads % kStride == 0);
  __m256i before[K];
  // pending[i][q % kStride]: what the nibbles seen so far add to the index of the quad that comes
  // i strides after the next quad of that slot.
  __m256i pending[kHashes][kStride];

  PL_AVX2 explicit HalfRows(const Tables<K>& table) {
    for (__m256i& v : before) v = _mm256_setzero_si256();
    for (int i = kHashes - 1; i >= 0; --i)
      for (__m256i& v : pending[i]) {
        v = _mm256_shuffle_epi8(table.hash[i], _mm256_setzero_si256());
        if (i + 1 < kHashes) v = _mm256_xor_si256(v, pending[i + 1][0]);
      }
  }

  /// exact += products of a step's 32 columns and T tokens' activations.
  template <int T>
  PL_AVX2 void add_step(const Tables<K>& table, const std::byte* line, const int8_t* x,
                        __m256i exact[T]) {
    __m256i at[K];
    for (int l = 0; l < K; ++l) at[l] = load32(line + l * kLineBytes);
#pragma GCC unroll 8
    for (int q = 0; q < kQuads; ++q, x += 4 * T) {
      const __m256i n = nibble<K>(at, before, q);
      const int slot = q % kStride;
      const __m256i index = _mm256_xor_si256(n, pending[0][slot]);
      for (int i = 0; i < kHashes; ++i) {
        pending[i][slot] = _mm256_shuffle_epi8(table.hash[i], n);
        if (i + 1 < kHashes)
          pending[i][slot] = _mm256_xor_si256(pending[i][slot], pending[i + 1][slot]);
      }
      const __m256i code = _mm256_or_si256(
          _mm256_shuffle_epi8(table.level[0], index),
          _mm256_shuffle_epi8(table.level[1], _mm256_xor_si256(index, _mm256_set1_epi8(-128))));
      for (int t = 0; t < T; ++t)
        exact[t] = _mm256_add_epi32(
            exact[t],
            _mm256_madd_epi16(_mm256_maddubs_epi16(code, four(x + 4 * t)), _mm256_set1_epi16(1)));
    }
    for (int l = 0; l < K; ++l) before[l] = at[l];
  }
};

template <int K, int T>
PL_AVX2_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                             int64_t y_stride) {
  const std::byte* line = w.codes.data() + first / kTileRows * (w.cols / kStep) * K * kLineBytes;
  const Tables<K> table = tables<K>();
  HalfRows<K> half[kHalves] = {HalfRows<K>(table), HalfRows<K>(table)};
  __m256 scale[kHalves], acc[T][kHalves];
  for (int h = 0; h < kHalves; ++h) {
    scale[h] = finite_coefficient(w.coef.data() + (first + 8 * h) * 2);
    for (int t = 0; t < T; ++t) acc[t][h] = _mm256_loadu_ps(y + t * y_stride + 8 * h);
  }
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < w.cols; c += kStep, line += K * kLineBytes) {
    for (int l = 0; l < K; ++l) _mm_prefetch(line + kAhead + l * kLineBytes, _MM_HINT_NTA);
    for (int h = 0; h < kHalves; ++h) {
      __m256i exact[T];
      for (int t = 0; t < T; ++t) exact[t] = _mm256_set1_epi32(start[t]);
      half[h].template add_step<T>(table, line + 32 * h, x_code, exact);
      for (int t = 0; t < T; ++t) {
        const __m256 sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact[t]), _mm256_set1_ps(x_scale[t]),
                                           _mm256_setzero_ps());
        acc[t][h] = _mm256_fmadd_ps(sum, scale[h], acc[t][h]);
      }
    }
    x_code += kStep * T;
    x_scale += T;
    start += T;
  }
  for (int t = 0; t < T; ++t)
    for (int h = 0; h < kHalves; ++h) _mm256_storeu_ps(y + t * y_stride + 8 * h, acc[t][h]);
}

template <int K>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<K, 1>) kTokens[kMostTokens] = {tokens_of<K, 1>, tokens_of<K, 2>,
                                                               tokens_of<K, 3>, tokens_of<K, 4>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_trellis_avx2(const Codec& codec, int64_t tokens) {
  if (tokens > kMostTokens) return nullptr;
  constexpr DotPacked kBits[kMaxTrellisBits] = {few_tokens<1>, few_tokens<2>, few_tokens<3>,
                                                few_tokens<4>};
  return kBits[codec.layout().planes - 1];
}

}  // namespace planeloom::simd
