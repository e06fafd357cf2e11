// Rows of the commonest formats to integer planes with AVX2 and F16C. Layouts:
// codecs/gguf_legacy.cc, codecs/gguf_kquants.cc, codecs/planes.h; those are the definition, these
// must give their bits.
#include <immintrin.h>

#include <cstring>

#include "kernels/simd/unpack.h"

#define PL_AVX2 __attribute__((target("avx2,f16c"), always_inline)) inline
#define PL_AVX2_ENTRY __attribute__((target("avx2,f16c")))

namespace planeloom::simd {
namespace {

PL_AVX2 float half_at(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

PL_AVX2 void store2(float* p, float value) { p[0] = p[1] = value; }

PL_AVX2 void store32(uint8_t* p, __m256i v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
}
PL_AVX2 __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/// 16 bytes of nibbles -> 32 codes, the low nibbles first.
PL_AVX2 __m256i nibbles(const uint8_t* q) {
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/// Bit c of a 32-bit word -> byte c, `value` where it is set.
PL_AVX2 __m256i spread_bits(uint32_t word, char value) {
  const __m256i bytes =
      _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word)),
                          _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                           2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit),
                          _mm256_set1_epi8(value));
}

PL_AVX2 uint32_t word_at(const uint8_t* p) {
  uint32_t word;
  std::memcpy(&word, p, 4);
  return word;
}

/// Zeros after the last column.
PL_AVX2 void clear_padding(int64_t cols, int planes, PlaneRow out) {
  const int64_t padded = padded_cols(cols);
  if (padded == cols) return;
  for (int p = 0; p < planes; ++p) {
    store32(out.code + p * padded + cols, _mm256_setzero_si256());
    store2(out.scale + (p * padded + cols) / kScaleGroup, 0.0f);
  }
  store2(out.offset + cols / kScaleGroup, 0.0f);
}

const uint8_t* row_codes(const PackedMatrix& w, int64_t row, int64_t bytes) {
  return reinterpret_cast<const uint8_t*>(w.codes.data()) + row * bytes;
}

/// Formats of 32 columns. block(b, code) returns nothing but writes 32 codes, one scale and one
/// offset.
template <int kBytes, class Block>
PL_AVX2 void blocks32(const PackedMatrix& w, int64_t row, PlaneRow out, Block block) {
  const uint8_t* b = row_codes(w, row, w.cols / 32 * kBytes);
  for (int64_t i = 0; i < w.cols / 32; ++i, b += kBytes)
    block(b, out.code + 32 * i, out.scale + 2 * i, out.offset + 2 * i);
  clear_padding(w.cols, 1, out);
}

struct Q4_0 {
  PL_AVX2 void operator()(const uint8_t* b, uint8_t* code, float* scale, float* offset) const {
    const float d = half_at(b);
    store2(scale, d);
    store2(offset, d * -8.0f);
    store32(code, nibbles(b + 2));
  }
};
struct Q4_1 {
  PL_AVX2 void operator()(const uint8_t* b, uint8_t* code, float* scale, float* offset) const {
    store2(scale, half_at(b));
    store2(offset, half_at(b + 2));
    store32(code, nibbles(b + 4));
  }
};
struct Q5_0 {
  PL_AVX2 void operator()(const uint8_t* b, uint8_t* code, float* scale, float* offset) const {
    const float d = half_at(b);
    store2(scale, d);
    store2(offset, d * -16.0f);
    store32(code, _mm256_or_si256(nibbles(b + 6), spread_bits(word_at(b + 2), 16)));
  }
};
struct Q5_1 {
  PL_AVX2 void operator()(const uint8_t* b, uint8_t* code, float* scale, float* offset) const {
    store2(scale, half_at(b));
    store2(offset, half_at(b + 2));
    store32(code, _mm256_or_si256(nibbles(b + 8), spread_bits(word_at(b + 4), 16)));
  }
};
struct Q8_0 {
  PL_AVX2 void operator()(const uint8_t* b, uint8_t* code, float* scale, float* offset) const {
    const float d = half_at(b);
    store2(scale, d);
    store2(offset, d * -128.0f);
    store32(code, _mm256_xor_si256(load32(b + 2), _mm256_set1_epi8(-128)));
  }
};

template <int kBytes, class Block>
PL_AVX2_ENTRY void unpack32(const PackedMatrix& w, int64_t row, PlaneRow out) {
  blocks32<kBytes>(w, row, out, Block{});
}

/// Scales and minima of Q4_K and Q5_K: twelve bytes hold eight pairs of six bits.
PL_AVX2 void six_bit_pairs(const uint8_t* b, float* scale, float* offset) {
  const float d = half_at(b), dmin = half_at(b + 2);
  const uint32_t w0 = word_at(b + 4), w1 = word_at(b + 8), w2 = word_at(b + 12);
  const uint64_t s =
      (w0 & 0x3f3f3f3full) | (uint64_t((w2 & 0x0f0f0f0f) | ((w0 >> 2) & 0x30303030)) << 32);
  const uint64_t m =
      (w1 & 0x3f3f3f3full) | (uint64_t(((w2 >> 4) & 0x0f0f0f0f) | ((w1 >> 2) & 0x30303030)) << 32);
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3),
                next = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
  const __m256 sf = _mm256_mul_ps(
      _mm256_set1_ps(d),
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(s)))));
  const __m256 mf = _mm256_mul_ps(
      _mm256_set1_ps(dmin),
      _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(m)))));
  const __m256 minus = _mm256_xor_ps(mf, _mm256_set1_ps(-0.0f));
  _mm256_storeu_ps(scale, _mm256_permutevar8x32_ps(sf, twice));
  _mm256_storeu_ps(scale + 8, _mm256_permutevar8x32_ps(sf, next));
  _mm256_storeu_ps(offset, _mm256_permutevar8x32_ps(minus, twice));
  _mm256_storeu_ps(offset + 8, _mm256_permutevar8x32_ps(minus, next));
}

PL_AVX2_ENTRY void q4_k(const PackedMatrix& w, int64_t row, PlaneRow out) {
  const uint8_t* b = row_codes(w, row, w.cols / 256 * 144);
  const __m256i low = _mm256_set1_epi8(15);
  for (int64_t i = 0; i < w.cols / 256; ++i, b += 144) {
    six_bit_pairs(b, out.scale + 16 * i, out.offset + 16 * i);
    for (int n = 0; n < 4; ++n) {
      const __m256i q = load32(b + 16 + 32 * n);
      store32(out.code + 256 * i + 64 * n, _mm256_and_si256(q, low));
      store32(out.code + 256 * i + 64 * n + 32, _mm256_and_si256(_mm256_srli_epi16(q, 4), low));
    }
  }
}

PL_AVX2_ENTRY void q6_k(const PackedMatrix& w, int64_t row, PlaneRow out) {
  const uint8_t* b = row_codes(w, row, w.cols / 256 * 210);
  const __m256i low = _mm256_set1_epi8(15), high = _mm256_set1_epi8(48);
  for (int64_t i = 0; i < w.cols / 256; ++i, b += 210) {
    const __m256 d = _mm256_set1_ps(half_at(b + 208));
    for (int h = 0; h < 2; ++h) {
      const __m128i s8 = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 192 + 8 * h));
      const __m256 s = _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(s8)));
      _mm256_storeu_ps(out.scale + 16 * i + 8 * h, s);
      _mm256_storeu_ps(out.offset + 16 * i + 8 * h, _mm256_mul_ps(s, _mm256_set1_ps(-32.0f)));
    }
    for (int n = 0; n < 2; ++n) {
      const __m256i a = load32(b + 64 * n), c = load32(b + 64 * n + 32),
                    crumbs = load32(b + 128 + 32 * n);
      uint8_t* code = out.code + 256 * i + 128 * n;
      store32(code, _mm256_or_si256(_mm256_and_si256(a, low),
                                    _mm256_and_si256(_mm256_slli_epi16(crumbs, 4), high)));
      store32(code + 32, _mm256_or_si256(_mm256_and_si256(c, low),
                                         _mm256_and_si256(_mm256_slli_epi16(crumbs, 2), high)));
      store32(code + 64, _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), low),
                                         _mm256_and_si256(crumbs, high)));
      store32(code + 96, _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(c, 4), low),
                                         _mm256_and_si256(_mm256_srli_epi16(crumbs, 2), high)));
    }
  }
}

PL_AVX2_ENTRY void bitplane(const PackedMatrix& w, int64_t row, PlaneRow out) {
  const CodecLayout layout = w.codec->layout();
  const int k = layout.planes, per_group = layout.group / kScaleGroup;
  const int64_t padded = padded_cols(w.cols), scales = padded / kScaleGroup,
                groups = w.cols / layout.group;
  const uint8_t* block = row_codes(w, row, w.cols / 8 * k);
  for (int64_t c = 0; c < w.cols; c += 64, block += 8 * k) {
    const bool whole = c + 64 <= w.cols;
    for (int p = 0; p < k; ++p) {
      uint8_t* code = out.code + p * padded + c;
      const uint8_t* word = block + p * (whole ? 8 : 4);
      store32(code, spread_bits(word_at(word), 1));
      if (whole) store32(code + 32, spread_bits(word_at(word + 4), 1));
    }
  }
  const auto* coef = reinterpret_cast<const uint8_t*>(w.coef.data()) + row * groups * (k + 1) * 2;
  for (int64_t g = 0; g < groups; ++g)
    for (int p = 0; p <= k; ++p, coef += 2) {
      float* into = (p < k ? out.scale + p * scales : out.offset) + g * per_group;
      const float value = half_at(coef);
      for (int i = 0; i < per_group; i += 2) store2(into + i, value);
    }
  clear_padding(w.cols, k, out);
}

}  // namespace

UnpackRow find_unpack_avx2(const Codec& codec) {
  const CodecLayout layout = codec.layout();
  if (layout.kind == CodecLayout::Kind::kBitplane) return bitplane;
  if (layout.kind != CodecLayout::Kind::kGguf) return nullptr;
  switch (layout.type) {
    case DType::kQ4_0:
      return unpack32<18, Q4_0>;
    case DType::kQ4_1:
      return unpack32<20, Q4_1>;
    case DType::kQ5_0:
      return unpack32<22, Q5_0>;
    case DType::kQ5_1:
      return unpack32<24, Q5_1>;
    case DType::kQ8_0:
      return unpack32<34, Q8_0>;
    case DType::kQ4_K:
      return q4_k;
    case DType::kQ6_K:
      return q6_k;
    default:
      return nullptr;
  }
}

}  // namespace planeloom::simd
