// Tiles of the plane formats and of the trellis in Highway, compiled once per ISA. Layout:
// codecs/planes.h; the integer levels: codecs/level_pairs.h. Those are the definition, these must
// give their bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/unpack_planes.cc"
#include "kernels/simd/targets.h"

#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/simd/byte_levels.h"
#include "kernels/simd/trit_tables.h"
#include "kernels/simd/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
// A register holds kRows rows of a line: all sixteen on AVX-512, half of them on AVX2, a quarter on
// NEON. Everything below works on such a part of a tile.
using D32 = hn::CappedTag<int32_t, kTileRows>;
constexpr D32 d32;
constexpr int kRows = static_cast<int>(hn::MaxLanes(D32()));
constexpr hn::Rebind<float, D32> df;
constexpr hn::Repartition<uint8_t, D32> d8;
constexpr hn::Repartition<uint16_t, D32> d16;
using V8 = hn::Vec<decltype(d8)>;
using VF = hn::Vec<decltype(df)>;
using V32 = hn::Vec<D32>;

/// kRows coefficients of one kind; what is not finite is 0.
HWY_INLINE VF coefficient(const std::byte* p) {
  const hn::Rebind<uint16_t, D32> dh;
  const auto bits = hn::LoadU(dh, reinterpret_cast<const uint16_t*>(p));
  const auto exponent = hn::Set(dh, 0x7c00);
  const auto finite = hn::IfThenZeroElse(hn::Eq(hn::And(bits, exponent), exponent), bits);
  return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, D32>(), finite));
}

/// Byte k of a 32-bit lane: level k of the lane's row.
struct Table {
  V8 a, b;
  HWY_INLINE Table() {}  // see V16: an implicit one would be of no target
  HWY_INLINE Table(V8 low, V8 high) : a(low), b(high) {}
};

HWY_INLINE VF largest(const VF level[4]) {
  return hn::Max(hn::Max(hn::Abs(level[0]), hn::Abs(level[1])),
                 hn::Max(hn::Abs(level[2]), hn::Abs(level[3])));
}

/// Cut to what int8 holds.
HWY_INLINE V32 saturate(V32 v) {
  return hn::Min(hn::Max(v, hn::Set(d32, -128)), hn::Set(d32, 127));
}

/// Four levels, saturated, into one lane.
HWY_INLINE V8 pack(const V32 level[4]) {
  V32 lane = hn::Zero(d32);
  for (int k = 3; k >= 0; --k)
    lane = hn::Or(hn::ShiftLeft<8>(lane), hn::And(saturate(level[k]), hn::Set(d32, 255)));
  return hn::BitCast(d8, lane);
}
HWY_INLINE V8 pack(const VF level[4], VF inverse) {
  V32 rounded[4];
  for (int k = 0; k < 4; ++k) rounded[k] = hn::NearestInt(hn::Mul(level[k], inverse));
  return pack(rounded);
}

/// quantize_levels for kRows rows; writes their scales.
HWY_INLINE Table quantize(const VF a[4], const VF b[4], LevelDepth depth, float* scale) {
  const VF top = hn::Add(largest(a), largest(b));
  const V32 exponent = hn::Max(hn::And(hn::BitCast(d32, top), hn::Set(d32, kExponentMask)),
                               hn::Set(d32, kSmallestExponent));
  const V32 power = hn::Sub(exponent, hn::Set(d32, depth.shift));
  const VF inverse = hn::BitCast(df, hn::Sub(hn::Set(d32, kInverseBase), power));
  hn::StoreU(hn::BitCast(df, power), df, scale);
  return {pack(a, inverse), pack(b, inverse)};
}

/// kRows coefficients of one byte each.
HWY_INLINE V32 byte_coefficient(const std::byte* p) {
  const hn::Rebind<int8_t, D32> d;
  return hn::PromoteTo(d32, hn::LoadU(d, reinterpret_cast<const int8_t*>(p)));
}
/// byte_scale of kRows exponents.
HWY_INLINE void store_byte_scale(const std::byte* p, float* scale) {
  const hn::Rebind<uint8_t, D32> d;
  const V32 e = hn::PromoteTo(d32, hn::LoadU(d, reinterpret_cast<const uint8_t*>(p)));
  hn::StoreU(hn::BitCast(df, hn::ShiftLeft<23>(hn::Min(e, hn::Set(d32, kLargestExponent)))), df,
             scale);
}
HWY_INLINE V32 clamp(V32 v, V32 most) {
  return hn::Min(hn::Max(v, hn::Sub(hn::Zero(d32), most)), most);
}
/// Four times the row's place within its 16-byte lane: where its levels stand for a table look-up.
HWY_INLINE V8 row_base() {
  alignas(16) static constexpr uint8_t kBase[16] = {0, 0, 0, 0, 4,  4,  4,  4,
                                                    8, 8, 8, 8, 12, 12, 12, 12};
  return hn::LoadDup128(d8, kBase);
}

/// Level `index` (0..3 in every byte) of each row.
HWY_INLINE V8 level_of(V8 table, V8 index) {
  return hn::TableLookupBytes(table, hn::Or(index, row_base()));
}

/// Bits `shift` .. of every byte, cut to `mask`.
HWY_INLINE V8 field(V8 line, int shift, uint8_t mask) {
  const auto moved = hn::ShiftRightSame(hn::BitCast(d16, line), shift);
  return hn::And(hn::BitCast(d8, moved), hn::Set(d8, mask));
}

/// Signed levels -> codes.
HWY_INLINE V8 to_code(V8 level, LevelDepth depth) {
  return hn::Add(level, hn::Set(d8, static_cast<uint8_t>(depth.zero)));
}

HWY_INLINE V8 sum(V8 a, V8 b) {
  const hn::RebindToSigned<decltype(d8)> ds;
  return hn::BitCast(d8, hn::SaturatedAdd(hn::BitCast(ds, a), hn::BitCast(ds, b)));
}

// --- bit-planes -------------------------------------------------------------------------------

/// coef: c_0 ... c_(K-1), bias, sixteen rows each, fp16.
template <int K>
HWY_INLINE Table half_bit_table(const std::byte* coef, float* scale) {
  constexpr int64_t kStep = 2 * kTileRows;
  VF c[K];
  for (int p = 0; p < K; ++p) c[p] = coefficient(coef + p * kStep);
  const VF zero = hn::Zero(df), bias = coefficient(coef + K * kStep);
  VF a[4] = {bias, hn::Add(bias, c[0]), zero, zero}, b[4] = {zero, zero, zero, zero};
  if constexpr (K > 1) {
    a[2] = hn::Add(bias, c[1]);
    a[3] = hn::Add(a[1], c[1]);
  }
  if constexpr (K > 2) b[1] = c[2];
  if constexpr (K > 3) {
    b[2] = c[3];
    b[3] = hn::Add(c[2], c[3]);
  }
  return quantize(a, b, bitplane_depth(K, Coefficients::kHalf), scale);
}

/// coef: the same as int8, then the exponents.
template <int K>
HWY_INLINE Table byte_bit_table(const std::byte* coef, float* scale) {
  V32 c[kMaxPlanes];
  for (int p = 0; p < kMaxPlanes; ++p)
    c[p] = p < K ? byte_coefficient(coef + p * kTileRows) : hn::Zero(d32);
  const V32 bias = byte_coefficient(coef + K * kTileRows);
  store_byte_scale(coef + (K + 1) * kTileRows, scale);
  const V32 most = hn::Set(d32, bitplane_depth(K, Coefficients::kByte).zero),
            first = saturate(hn::Add(bias, c[0]));
  const V32 a[4] = {clamp(bias, most), clamp(first, most),
                    clamp(saturate(hn::Add(bias, c[1])), most),
                    clamp(saturate(hn::Add(first, c[1])), most)};
  const V32 b[4] = {hn::Zero(d32), c[2], c[3], hn::Add(c[2], c[3])};
  return {pack(a), pack(b)};
}

template <int K, Coefficients C>
void bitplane(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols, CodeTile out) {
  constexpr int64_t kSize = C == Coefficients::kByte ? 1 : 2, kCoefBytes = kBitCoefBytes<K, C>;
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  for (int part = 0; part < kTileRows / kRows; ++part) {
    const std::byte* coef =
        w.coef.data() + (block * w.cols + col) / group * kCoefBytes + part * kRows * kSize;
    const auto* line = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                       (block * w.cols + col) / 32 * K * kLineBytes + part * kRows * 4;
    uint8_t* code = out.code + part * kRows * 4;
    for (int64_t g = 0; g < cols / group; ++g, coef += kCoefBytes) {
      float* scale = out.scale + g * kTileRows + part * kRows;
      const Table t = C == Coefficients::kByte ? byte_bit_table<K>(coef, scale)
                                               : half_bit_table<K>(coef, scale);
      for (int64_t c = 0; c < group; c += 32, line += K * kLineBytes, code += 8 * kLineBytes)
        for (int quad = 0; quad < 8; ++quad) {
          V8 level;
          if constexpr (K == 1) {
            level = level_of(t.a, field(hn::LoadU(d8, line), quad, 1));
          } else {
            const int64_t at = quad / 4 * kLineBytes;
            const int shift = 2 * (quad % 4);
            level = level_of(t.a, field(hn::LoadU(d8, line + at), shift, 3));
            if constexpr (K == 3)
              level =
                  sum(level, level_of(t.b, field(hn::LoadU(d8, line + 2 * kLineBytes), quad, 1)));
            if constexpr (K == 4)
              level = sum(
                  level, level_of(t.b, field(hn::LoadU(d8, line + 2 * kLineBytes + at), shift, 3)));
          }
          hn::StoreU(to_code(level, bitplane_depth(K, C)), d8, code + quad * kLineBytes);
        }
    }
  }
}

// --- trit-planes ------------------------------------------------------------------------------

/// Codes (t1 + 1) + 3 (t2 + 1) of the twenty columns of two lines, four columns each.
HWY_INLINE void trit_codes(const uint8_t* line, V8 code[5]) {
  const auto nine = hn::Set(d16, 9);
  hn::Vec<decltype(d16)> rest[2], digit[2][5];
  for (int l = 0; l < 2; ++l) {
    rest[l] = hn::BitCast(d16, hn::LoadU(d8, line + l * kLineBytes));
    for (int f = 0; f < 5; ++f) {
      digit[l][f] = hn::MulHigh(rest[l], nine);
      rest[l] = hn::Mul(rest[l], nine);
    }
  }
  const auto pair = [](auto even, auto odd) {
    return hn::BitCast(d8, hn::Or(even, hn::ShiftLeft<8>(odd)));
  };
  for (int l = 0; l < 2; ++l)
    for (int p = 0; p < 2; ++p) code[2 * l + p] = pair(digit[l][2 * p], digit[l][2 * p + 1]);
  code[4] = pair(digit[0][4], digit[1][4]);
}

/// One of sixteen bytes for each code.
HWY_INLINE V8 look_up(const uint8_t* sixteen, V8 code) {
  return hn::TableLookupBytes(hn::LoadDup128(d8, sixteen), code);
}
template <Coefficients C>
HWY_INLINE Table trit_table(const std::byte* coef, float* scale) {
  if constexpr (C == Coefficients::kByte) {
    const V32 most = hn::Set(d32, kSevenBits.zero), c1 = clamp(byte_coefficient(coef), most);
    const V32 c2 = clamp(byte_coefficient(coef + kTileRows), hn::Sub(most, hn::Abs(c1)));
    store_byte_scale(coef + 2 * kTileRows, scale);
    const V32 zero = hn::Zero(d32), a[4] = {hn::Sub(zero, c1), zero, c1, zero},
              b[4] = {hn::Sub(zero, c2), zero, c2, zero};
    return {pack(a), pack(b)};
  } else {
    const VF zero = hn::Zero(df), c1 = coefficient(coef), c2 = coefficient(coef + 2 * kTileRows);
    const VF a[4] = {hn::Neg(c1), zero, c1, zero}, b[4] = {hn::Neg(c2), zero, c2, zero};
    return quantize(a, b, kSevenBits, scale);
  }
}

template <Coefficients C>
void tritplane(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols, CodeTile out) {
  constexpr int64_t kSize = C == Coefficients::kByte ? 1 : 2, kCoefBytes = kTritCoefBytes<C>;
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  const int64_t lines = (w.cols + kTritColumns - 1) / kTritColumns;
  for (int part = 0; part < kTileRows / kRows; ++part) {
    const std::byte* coef =
        w.coef.data() + (block * w.cols + col) / group * kCoefBytes + part * kRows * kSize;
    const auto* line = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                       (block * lines + col / kTritColumns) * 2 * kLineBytes + part * kRows * 4;
    uint8_t* code = out.code + part * kRows * 4;
    auto quad = static_cast<int>(col % kTritColumns / 4);  // a group may begin anywhere in a line
    V8 digits[5];
    trit_codes(line, digits);
    for (int64_t g = 0; g < cols / group; ++g, coef += kCoefBytes) {
      float* scale = out.scale + g * kTileRows + part * kRows;
      Table t;
      if constexpr (C == Coefficients::kTied)
        hn::StoreU(coefficient(coef), df, scale);
      else
        t = trit_table<C>(coef, scale);
      for (int64_t c = 0; c < group; c += 4, code += kLineBytes) {
        if (quad == 5) {
          quad = 0;
          line += 2 * kLineBytes;
          trit_codes(line, digits);
        }
        const V8 d = digits[quad++];
        if constexpr (C == Coefficients::kTied)
          hn::StoreU(look_up(kTiedCode, d), d8, code);
        else
          hn::StoreU(
              to_code(sum(level_of(t.a, look_up(kTrit1, d)), level_of(t.b, look_up(kTrit2, d))),
                      kSevenBits),
              d8, code);
      }
    }
  }
}

// --- trellis ----------------------------------------------------------------------------------

#include "kernels/simd/unpack_trellis-inl.h"

template <Coefficients C>
UnpackTile bitplane_of(int planes) {
  constexpr UnpackTile kPlanes[] = {bitplane<1, C>, bitplane<2, C>, bitplane<3, C>, bitplane<4, C>};
  return kPlanes[planes - 1];
}

UnpackTile find(const Codec& codec) {
  const CodecLayout layout = codec.layout();
  switch (layout.kind) {
    case CodecLayout::Kind::kBitplane:
      return layout.coefficients == Coefficients::kByte
                 ? bitplane_of<Coefficients::kByte>(layout.planes)
                 : bitplane_of<Coefficients::kHalf>(layout.planes);
    case CodecLayout::Kind::kTritplane:
      return layout.coefficients == Coefficients::kByte   ? tritplane<Coefficients::kByte>
             : layout.coefficients == Coefficients::kTied ? tritplane<Coefficients::kTied>
                                                          : tritplane<Coefficients::kHalf>;
    case CodecLayout::Kind::kTrellis:
      return trellis(layout.planes);
    case CodecLayout::Kind::kGguf:
      break;
  }
#if HWY_ARCH_X86
  return find_unpack_gguf(codec);
#else
  return nullptr;
#endif
}
#endif  // AVX2, AVX3 or NEON

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace planeloom::simd {

#if HWY_ARCH_X86
UnpackTile find_unpack_avx2(const Codec& codec) { return N_AVX2::find(codec); }
UnpackTile find_unpack_avx512(const Codec& codec) { return N_AVX3::find(codec); }
#else
UnpackTile find_unpack_neon(const Codec& codec) { return N_NEON::find(codec); }
#endif

}  // namespace planeloom::simd
#endif
