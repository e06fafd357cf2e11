// Trellis codes (codecs/trellis.h) against int8 activations with AVX-512 VBMI, without a tile in
// between. vpermb looks at six bits of an index and leaves the rest, so a nibble need not be cut
// out of its byte before its hashes are looked up, and a table of 32 levels is one look-up. A
// nibble is hashed when it is the newest; what later columns need of it stays in registers.
#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "kernels/simd/plane_levels_avx512.h"
#include "kernels/simd/simd.h"

namespace planeloom::simd {
namespace {

constexpr int64_t kAhead = 3072;    // bytes; docs/decisions/0006
constexpr int64_t kStep = 32;       // columns per activation scale
constexpr int kQuads = 8;           // of four columns, in a step
constexpr int64_t kMostTokens = 8;  // beyond, a tile is unpacked once for all

template <int K>
struct Tables {
  __m512i hash[kTrellisHashes[K - 1]], level;
};

template <int K>
PL_VBMI Tables<K> tables() {
  const TrellisCode& code = trellis_code(K);
  Tables<K> t;
  for (int i = 0; i < kTrellisHashes[K - 1]; ++i)
    t.hash[i] = _mm512_broadcast_i32x4(_mm_loadu_si128(
        reinterpret_cast<const __m128i*>(code.hash[static_cast<size_t>(i)].data())));
  t.level = _mm512_broadcast_i64x4(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code.table.data())));
  return t;
}

/// Bits of the lines moved up (left > 0) or down; what crosses from byte to byte is for the caller
/// to leave out.
PL_VBMI __m512i moved(__m512i line, int left) {
  return left > 0   ? _mm512_slli_epi16(line, static_cast<unsigned>(left))
         : left < 0 ? _mm512_srli_epi16(line, static_cast<unsigned>(-left))
                    : line;
}

/// Of every byte the lowest `bits` bits of `low`, the others of `high`.
PL_VBMI __m512i joined(int bits, __m512i low, __m512i high) {
  return _mm512_ternarylogic_epi32(_mm512_set1_epi8(static_cast<char>((1 << bits) - 1)), low, high,
                                   0xca);
}

/// The nibble of columns 4 quad ... of a step in the lowest four bits of every byte, anything above
/// it; `before`: the step before.
template <int K>
PL_VBMI __m512i nibble(const __m512i line[K], const __m512i before[K], int quad) {
  if constexpr (K == 1) {
    const __m512i v = moved(line[0], 3 - quad);
    return quad >= 3 ? v : joined(3 - quad, moved(before[0], -5 - quad), v);
  } else {
    const int l = quad / 4, f = quad % 4;
    if constexpr (K == 4) return joined(2, moved(line[l], -2 * f), moved(line[2 + l], 2 - 2 * f));
    const __m512i pair = moved(line[l], 2 - 2 * f);
    if constexpr (K == 2)
      return f > 0 ? pair : joined(2, moved(l > 0 ? line[0] : before[1], -6), pair);
    if (quad > 0) return joined(2, moved(line[2], 1 - quad), pair);
    return joined(2, joined(1, moved(before[2], -7), moved(line[2], 1)), pair);
  }
}

template <int K, int T>
PL_VBMI_ENTRY void tokens_of(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                             int64_t y_stride) {
  constexpr int kStride = kTrellisStride[K - 1], kHashes = kTrellisHashes[K - 1];
  static_assert(kQuads % kStride == 0);
  const std::byte* line = w.codes.data() + first / kTileRows * (w.cols / kStep) * K * kLineBytes;
  const Tables<K> table = tables<K>();
  const __m512 scale = finite_coefficient(w.coef.data() + first * 2);
  // pending[i][q % kStride]: what the nibbles seen so far add to the index of the quad that comes
  // i strides after the next quad of that slot.
  __m512i at[K], before[K], pending[kHashes][kStride];
  for (__m512i& v : before) v = _mm512_setzero_si512();
  for (int i = kHashes - 1; i >= 0; --i)
    for (__m512i& v : pending[i]) {
      v = _mm512_permutexvar_epi8(_mm512_setzero_si512(), table.hash[i]);
      if (i + 1 < kHashes) v = _mm512_xor_si512(v, pending[i + 1][0]);
    }
  __m512 acc[T];
  for (int t = 0; t < T; ++t) acc[t] = _mm512_loadu_ps(y + t * y_stride);
  const int8_t* x_code = x.code;
  const float* x_scale = x.scale;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < w.cols; c += kStep, line += K * kLineBytes, x_scale += T, start += T) {
    for (int l = 0; l < K; ++l) {
      _mm_prefetch(line + kAhead + l * kLineBytes, _MM_HINT_NTA);
      at[l] = _mm512_loadu_si512(line + l * kLineBytes);
    }
    __m512i exact[T];
    for (int t = 0; t < T; ++t) exact[t] = _mm512_set1_epi32(start[t]);
#pragma GCC unroll 8
    for (int q = 0; q < kQuads; ++q, x_code += 4 * T) {
      const __m512i n = nibble<K>(at, before, q);
      const int slot = q % kStride;
      const __m512i index =
          _mm512_ternarylogic_epi32(n, _mm512_set1_epi8(15), pending[0][slot], 0x6a);
      for (int i = 0; i < kHashes; ++i) {
        pending[i][slot] = _mm512_permutexvar_epi8(n, table.hash[i]);
        if (i + 1 < kHashes)
          pending[i][slot] = _mm512_xor_si512(pending[i][slot], pending[i + 1][slot]);
      }
      const __m512i code = _mm512_permutexvar_epi8(index, table.level);
      for (int t = 0; t < T; ++t) exact[t] = dot4(exact[t], code, x_code + 4 * t);
    }
    for (int t = 0; t < T; ++t) {
      const __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact[t]), _mm512_set1_ps(x_scale[t]),
                                         _mm512_setzero_ps());
      acc[t] = _mm512_fmadd_ps(sum, scale, acc[t]);
    }
    for (int l = 0; l < K; ++l) before[l] = at[l];
  }
  for (int t = 0; t < T; ++t) _mm512_storeu_ps(y + t * y_stride, acc[t]);
}

template <int K>
void few_tokens(const PackedMatrix& w, int64_t first, const Int8Block& x, float* y,
                int64_t y_stride) {
  constexpr decltype(&tokens_of<K, 1>) kTokens[kMostTokens] = {
      tokens_of<K, 1>, tokens_of<K, 2>, tokens_of<K, 3>, tokens_of<K, 4>,
      tokens_of<K, 5>, tokens_of<K, 6>, tokens_of<K, 7>, tokens_of<K, 8>};
  kTokens[x.tokens - 1](w, first, x, y, y_stride);
}

}  // namespace

DotPacked find_dot_trellis_avx512(const Codec& codec, int64_t tokens) {
  static const bool vbmi = __builtin_cpu_supports("avx512vbmi");
  if (!vbmi) return find_dot_trellis_avx2(codec, tokens);
  if (tokens > kMostTokens) return nullptr;
  constexpr DotPacked kBits[kMaxTrellisBits] = {few_tokens<1>, few_tokens<2>, few_tokens<3>,
                                                few_tokens<4>};
  return kBits[codec.layout().planes - 1];
}

}  // namespace planeloom::simd
