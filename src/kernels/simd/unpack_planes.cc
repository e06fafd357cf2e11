// Tiles of the plane formats in Highway, compiled once per ISA. Layout: codecs/planes.h; the
// integer levels: codecs/level_pairs.h. Those are the definition, these must give their bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/simd/unpack_planes.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include "codecs/level_pairs.h"
#include "codecs/planes.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/simd/unpack.h"

HWY_BEFORE_NAMESPACE();
namespace planeloom::simd {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
// A register holds kRows rows of a line: all sixteen on AVX-512, half of them on AVX2. Everything
// below works on such a part of a tile.
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
};

HWY_INLINE VF largest(const VF level[4]) {
  return hn::Max(hn::Max(hn::Abs(level[0]), hn::Abs(level[1])),
                 hn::Max(hn::Abs(level[2]), hn::Abs(level[3])));
}

/// The four levels, rounded and saturated, into one lane.
HWY_INLINE V8 pack(const VF level[4], VF inverse) {
  V32 lane = hn::Zero(d32);
  for (int k = 3; k >= 0; --k) {
    const V32 q = hn::Min(hn::Max(hn::NearestInt(hn::Mul(level[k], inverse)), hn::Set(d32, -128)),
                          hn::Set(d32, 127));
    lane = hn::Or(hn::ShiftLeft<8>(lane), hn::And(q, hn::Set(d32, 255)));
  }
  return hn::BitCast(d8, lane);
}

/// quantize_levels for kRows rows; writes their scales.
HWY_INLINE Table quantize(const VF a[4], const VF b[4], float* scale) {
  const VF top = hn::Add(largest(a), largest(b));
  const V32 exponent = hn::Max(hn::And(hn::BitCast(d32, top), hn::Set(d32, kExponentMask)),
                               hn::Set(d32, kSmallestExponent));
  const V32 power = hn::Sub(exponent, hn::Set(d32, kLevelShift));
  const VF inverse = hn::BitCast(df, hn::Sub(hn::Set(d32, kInverseBase), power));
  hn::StoreU(hn::BitCast(df, power), df, scale);
  return {pack(a, inverse), pack(b, inverse)};
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
HWY_INLINE V8 to_code(V8 level) { return hn::Xor(level, hn::Set(d8, 0x80)); }

HWY_INLINE V8 sum(V8 a, V8 b) {
  const hn::RebindToSigned<decltype(d8)> ds;
  return hn::BitCast(d8, hn::SaturatedAdd(hn::BitCast(ds, a), hn::BitCast(ds, b)));
}

// --- bit-planes -------------------------------------------------------------------------------

/// coef: c_0 ... c_(K-1), bias, sixteen rows each.
template <int K>
HWY_INLINE Table bit_table(const std::byte* coef, float* scale) {
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
  return quantize(a, b, scale);
}

template <int K>
void bitplane(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols, CodeTile out) {
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  for (int part = 0; part < kTileRows / kRows; ++part) {
    const std::byte* coef = w.coef.data() +
                            (block * w.cols + col) / group * (K + 1) * (2 * kTileRows) +
                            part * kRows * 2;
    const auto* line = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                       (block * w.cols + col) / 32 * K * kLineBytes + part * kRows * 4;
    uint8_t* code = out.code + part * kRows * 4;
    for (int64_t g = 0; g < cols / group; ++g, coef += (K + 1) * (2 * kTileRows)) {
      const Table t = bit_table<K>(coef, out.scale + g * kTileRows + part * kRows);
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
          hn::StoreU(to_code(level), d8, code + quad * kLineBytes);
        }
    }
  }
}

// --- trit-planes ------------------------------------------------------------------------------

/// Takes the leading digit of every byte off: a fraction of 256 times 3, in two halves of 16 bits.
struct Digits {
  hn::Vec<decltype(d16)> even, odd;

  HWY_INLINE explicit Digits(V8 line)
      : even(hn::And(hn::BitCast(d16, line), hn::Set(d16, 255))),
        odd(hn::ShiftRight<8>(hn::BitCast(d16, line))) {}
  HWY_INLINE V8 next() {
    const auto low = hn::Set(d16, 255);
    const auto e = hn::Add(hn::Add(even, even), even), o = hn::Add(hn::Add(odd, odd), odd);
    even = hn::And(e, low);
    odd = hn::And(o, low);
    return hn::BitCast(d8, hn::Or(hn::ShiftRight<8>(e), hn::AndNot(low, o)));
  }
};

HWY_INLINE Table trit_table(const std::byte* coef, float* scale) {
  const VF zero = hn::Zero(df), c1 = coefficient(coef), c2 = coefficient(coef + 2 * kTileRows);
  const VF a[4] = {hn::Neg(c1), zero, c1, zero}, b[4] = {hn::Neg(c2), zero, c2, zero};
  return quantize(a, b, scale);
}

void tritplane(const PackedMatrix& w, int64_t first, int64_t col, int64_t cols, CodeTile out) {
  const int64_t group = w.codec->layout().group, block = first / kTileRows;
  const int64_t lines = (w.cols + kTritColumns - 1) / kTritColumns;
  for (int part = 0; part < kTileRows / kRows; ++part) {
    const std::byte* coef =
        w.coef.data() + (block * w.cols + col) / group * 2 * (2 * kTileRows) + part * kRows * 2;
    const auto* line = reinterpret_cast<const uint8_t*>(w.codes.data()) +
                       (block * lines + col / kTritColumns) * 2 * kLineBytes + part * kRows * 4;
    uint8_t* code = out.code + part * kRows * 4;
    Digits one(hn::LoadU(d8, line)), two(hn::LoadU(d8, line + kLineBytes));
    int64_t taken = 0;  // digits of the line; a group may begin anywhere in it
    for (; taken < col % kTritColumns / 4; ++taken) {
      one.next();
      two.next();
    }
    for (int64_t g = 0; g < cols / group; ++g, coef += 2 * (2 * kTileRows)) {
      const Table t = trit_table(coef, out.scale + g * kTileRows + part * kRows);
      for (int64_t c = 0; c < group; c += 4, ++taken, code += kLineBytes) {
        if (taken == 5) {
          taken = 0;
          line += 2 * kLineBytes;
          one = Digits(hn::LoadU(d8, line));
          two = Digits(hn::LoadU(d8, line + kLineBytes));
        }
        const V8 level = sum(level_of(t.a, one.next()), level_of(t.b, two.next()));
        hn::StoreU(to_code(level), d8, code);
      }
    }
  }
}

UnpackTile find(const Codec& codec) {
  constexpr UnpackTile kBitplanes[] = {bitplane<1>, bitplane<2>, bitplane<3>, bitplane<4>};
  const CodecLayout layout = codec.layout();
  switch (layout.kind) {
    case CodecLayout::Kind::kBitplane:
      return kBitplanes[layout.planes - 1];
    case CodecLayout::Kind::kTritplane:
      return tritplane;
    case CodecLayout::Kind::kGguf:
      break;
  }
  return find_unpack_gguf(codec);
}
#endif  // AVX2 or AVX3

}  // namespace HWY_NAMESPACE
}  // namespace planeloom::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace planeloom::simd {

UnpackTile find_unpack_avx2(const Codec& codec) { return N_AVX2::find(codec); }
UnpackTile find_unpack_avx512(const Codec& codec) { return N_AVX3::find(codec); }

}  // namespace planeloom::simd
#endif
