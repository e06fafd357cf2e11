// "bitplane k=K g=G": the layout is in planes.h.
#include "codecs/plane_bits.h"
#include "codecs/plane_codec.h"

namespace planeloom {
namespace {

using namespace planes_detail;

struct BitLayout {
  int planes;
  Coefficients stored;

  Coefficients form() const { return stored; }
  int coefficients() const { return planes + (stored == Coefficients::kByte ? 2 : 1); }
  LevelDepth depth() const { return bitplane_depth(planes, stored); }
  PlaneBits bits() const { return {planes}; }
  int64_t block_bytes(int64_t cols) const { return bits().block_bytes(cols); }
  void clear(uint8_t* block, int64_t cols) const {
    std::memset(block, 0, static_cast<size_t>(block_bytes(cols)));
  }
  PairIndex index(const uint8_t* block, int64_t row, int64_t c) const {
    return {bits().pair(block, 0, row, c), planes > 2 ? bits().pair(block, 2, row, c) : uint8_t{0}};
  }
  void set(uint8_t* block, int64_t row, int64_t c, uint8_t code) const {
    bits().set(block, row, c, code);
  }
  /// coef: c_0 ... c_(k-1), bias.
  LevelPairs levels(const float* coef) const {
    LevelPairs out;
    const float bias = coef[planes], second = planes > 1 ? coef[1] : 0.0f;
    out.a[0] = bias;
    out.a[1] = bias + coef[0];
    if (planes > 1) out.a[2] = bias + second;
    if (planes > 1) out.a[3] = out.a[1] + second;
    if (planes > 2) out.b[1] = coef[2];
    if (planes > 3) out.b[2] = coef[3];
    if (planes > 3) out.b[3] = coef[2] + coef[3];
    return out;
  }
  /// q: c_0 ... c_(k-1), bias, exponent.
  IntLevels int_levels(const uint8_t* q, const float*) const {
    const auto c = [&](int p) { return p < planes ? int32_t{static_cast<int8_t>(q[p])} : 0; };
    const auto bias = int32_t{static_cast<int8_t>(q[planes])};
    const int32_t most = depth().zero;
    IntLevels out;
    out.scale = byte_scale(q[planes + 1]);
    for (int i = 0; i < 4; ++i) {
      const int32_t low = i % 2, high = i / 2;
      const int32_t a = saturate8(saturate8(bias + low * c(0)) + high * c(1));
      out.qa[i] = saturate8(std::clamp(a, -most, most));
      out.qb[i] = saturate8(low * c(2) + high * c(3));
    }
    return out;
  }
};

using BitplaneCodec = PlaneCodec<BitLayout>;

/// Null when out of range. Every instance is made at the first call and lives as long as the
/// program.
const BitplaneCodec* instance(int planes, int group, Coefficients stored) {
  static const std::vector<BitplaneCodec> all = [] {
    std::vector<BitplaneCodec> list;
    for (const Coefficients c : {Coefficients::kHalf, Coefficients::kByte})
      for (int k = 1; k <= kMaxPlanes; ++k)
        for (int g : kGroups)
          list.emplace_back(BitLayout{k, c},
                            CodecLayout{CodecLayout::Kind::kBitplane, DType::kI8, k, g},
                            fmt::format("bitplane k={} g={}", k, g));
    return list;
  }();
  const int index = group_index(group);
  if (planes < 1 || planes > kMaxPlanes || index < 0 || stored == Coefficients::kTied)
    return nullptr;
  const int form = stored == Coefficients::kByte ? 1 : 0;
  return &all[static_cast<size_t>((form * kMaxPlanes + planes - 1) * kGroupCount + index)];
}

}  // namespace

bool plane_group_known(int group) { return group_index(group) >= 0; }

int fitting_group(int wanted, int64_t cols) {
  for (int group = wanted; group >= 32; --group)
    if (plane_group_known(group) && cols % group == 0) return group;
  return 0;
}

Result<const Codec*> bitplane_codec(int planes, int group, Coefficients stored) {
  if (const Codec* codec = instance(planes, group, stored)) return codec;
  return fail("[codec] bitplane k={} g={}{}; k 1 to 4 and g 32, 64, 96, 128, 192 or 256 wanted",
              planes, group, coefficients_suffix(stored));
}

Result<EncodedMatrix> encode_bitplane(int planes, int group, Coefficients stored, int64_t rows,
                                      int64_t cols, std::span<const uint8_t> codes,
                                      std::span<const std::byte> coef) {
  PL_TRY([[maybe_unused]] const Codec* known, bitplane_codec(planes, group, stored));
  const BitplaneCodec* codec = instance(planes, group, stored);
  PL_CHECK(codec->check_encode(rows, cols, 1 << planes, codes, coef));
  return codec->encode(rows, cols, codes, coef);
}

Result<EncodedMatrix> encode_bitplane(int planes, int group, int64_t rows, int64_t cols,
                                      std::span<const uint8_t> codes,
                                      std::span<const uint16_t> coef) {
  return encode_bitplane(planes, group, Coefficients::kHalf, rows, cols, codes,
                         std::as_bytes(coef));
}

}  // namespace planeloom
