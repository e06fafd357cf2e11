// The GGUF codecs without an oracle: sizes, names, the integer form against the float form,
// hand-computed blocks. Bit equality with the PyPI package gguf is gguf_oracle.py's.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "codecs/codec.h"
#include "codecs/encode_simple.h"
#include "codecs/gguf_codecs.h"
#include "codecs/unpacked.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

struct Format {
  DType type;
  double bits;
  std::vector<int> halves;  // where a block's fp16 numbers stand
  int max_code;             // 0: no integer form
};

const Format kFormats[] = {
    {DType::kF32, 32, {}, 0},
    {DType::kF16, 16, {0}, 0},
    {DType::kBF16, 16, {}, 0},
    {DType::kQ4_0, 4.5, {0}, 15},
    {DType::kQ4_1, 5, {0, 2}, 15},
    {DType::kQ5_0, 5.5, {0}, 31},
    {DType::kQ5_1, 6, {0, 2}, 31},
    {DType::kQ8_0, 8.5, {0}, 255},
    {DType::kQ2_K, 2.625, {80, 82}, 3},
    {DType::kQ3_K, 3.4375, {108}, 7},
    {DType::kQ4_K, 4.5, {0, 2}, 15},
    {DType::kQ5_K, 5.5, {0, 2}, 31},
    {DType::kQ6_K, 6.5625, {208}, 63},
    {DType::kIQ1_S, 1.5625, {0}, 18},
    {DType::kIQ1_M, 1.75, {}, 18},
    {DType::kIQ2_XXS, 2.0625, {0}, 86},
    {DType::kIQ2_XS, 2.3125, {0}, 86},
    {DType::kIQ2_S, 2.5625, {0}, 86},
    {DType::kIQ3_XXS, 3.0625, {0}, 124},
    {DType::kIQ3_S, 3.4375, {0}, 30},
    {DType::kIQ4_NL, 4.5, {0}, 240},
    {DType::kIQ4_XS, 4.25, {0}, 240},
    {DType::kTQ1_0, 1.6875, {52}, 2},
    {DType::kTQ2_0, 2.0625, {64}, 3},
};

class GgufCodec : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(All, GgufCodec, testing::ValuesIn(kFormats),
                         [](const auto& info) { return dtype_info(info.param.type).name; });

class IntegerCodec : public GgufCodec {};
INSTANTIATE_TEST_SUITE_P(LowBit, IntegerCodec,
                         testing::ValuesIn(std::begin(kFormats) + 3, std::end(kFormats)),
                         [](const auto& info) { return dtype_info(info.param.type).name; });

/// Random rows whose halves are ordinary numbers.
EncodedMatrix random_matrix(const Format& format, int64_t rows, int64_t blocks, Rng& rng) {
  const DTypeInfo info = dtype_info(format.type);
  EncodedMatrix m;
  m.codec = gguf_codec(format.type);
  m.rows = rows;
  m.cols = blocks * info.block;
  m.codes.resize(static_cast<size_t>(rows * blocks * info.bytes));
  for (std::byte& b : m.codes) b = static_cast<std::byte>(rng.next() & 255);
  for (size_t block = 0; block < static_cast<size_t>(rows * blocks); ++block)
    for (const int at : format.halves) {
      const uint16_t half = float_to_half(static_cast<float>(rng.normal()));
      std::memcpy(m.codes.data() + block * static_cast<size_t>(info.bytes) + at, &half, 2);
    }
  if (format.type == DType::kIQ1_M)  // whose half lies in four pieces: below 2
    for (size_t at = 55; at < m.codes.size(); at += 56) m.codes[at] &= std::byte{0xbf};
  return m;
}

TEST_P(GgufCodec, NamesAndSizes) {
  const Codec* codec = gguf_codec(GetParam().type);
  ASSERT_TRUE(codec);
  EXPECT_EQ(codec->name(), dtype_info(GetParam().type).name);
  EXPECT_EQ(*codec_by_name(codec->name()), codec);
  EXPECT_EQ(bits_per_weight(*codec, 5, 512), GetParam().bits);
  EXPECT_EQ(codec->coef_bytes(512), 0);
  EXPECT_EQ(codec->row_block(), 1);
  EXPECT_EQ(codec->form().group > 0, GetParam().max_code > 0);
}

/// unpack_tile is another road to the same weights, bit for bit; rows past the end weigh nothing.
TEST_P(IntegerCodec, EqualsFloatForm) {
  Rng rng(1);
  for (const int64_t blocks : {1, 3}) {
    const EncodedMatrix m = random_matrix(GetParam(), 20, blocks, rng);
    const int64_t block = m.codec->col_multiple();
    std::vector<float> want(static_cast<size_t>(m.cols));
    int largest = 0;
    for (int64_t first : {0, 16})
      for (int64_t col = 0; col < m.cols; col += block) {
        const int64_t cols = m.cols - col;
        const test::Unpacked u = test::unpack(m.view(), first, col, cols);
        for (int64_t r = 0; r < kTileRows; ++r) {
          const bool real = first + r < m.rows;
          if (real) m.codec->decode_row(m.view(), first + r, want.data());
          for (int64_t c = 0; c < cols; ++c) {
            largest = std::max(largest, u.code_at(r, c));
            ASSERT_EQ(u.weight(r, c), real ? want[static_cast<size_t>(col + c)] : 0.0f)
                << "row " << first + r << " column " << col + c;
          }
        }
      }
    EXPECT_LE(largest, GetParam().max_code);
    EXPECT_GE(largest, GetParam().max_code * 3 / 4);
  }
}

/// A row is its blocks one after another, wherever it stands in the matrix.
TEST_P(GgufCodec, RowsAreIndependent) {
  Rng rng(2);
  const EncodedMatrix m = random_matrix(GetParam(), 5, 2, rng);
  std::vector<float> in_matrix(static_cast<size_t>(m.cols)), alone(in_matrix.size());
  const int64_t bytes = m.codec->code_bytes(m.cols);
  for (int64_t r = 0; r < m.rows; ++r) {
    m.codec->decode_row(m.view(), r, in_matrix.data());
    const std::vector<std::byte> copy(m.codes.begin() + r * bytes,
                                      m.codes.begin() + (r + 1) * bytes);
    m.codec->decode_row({m.codec, 1, m.cols, copy, {}}, 0, alone.data());
    ASSERT_EQ(std::memcmp(in_matrix.data(), alone.data(), alone.size() * sizeof(float)), 0);
  }
}

TEST(GgufCodecs, HandComputedBlocks) {
  float out[32];
  std::byte q8[34] = {};
  const uint16_t half = float_to_half(0.5f);
  std::memcpy(q8, &half, 2);
  q8[2] = std::byte{0x80};  // -128
  q8[33] = std::byte{127};
  gguf_codec(DType::kQ8_0)->decode_row({gguf_codec(DType::kQ8_0), 1, 32, q8, {}}, 0, out);
  EXPECT_EQ(out[0], -64.0f);
  EXPECT_EQ(out[1], 0.0f);
  EXPECT_EQ(out[31], 63.5f);
  std::byte q41[20] = {};
  const uint16_t minimum = float_to_half(-1.0f);
  std::memcpy(q41, &half, 2);
  std::memcpy(q41 + 2, &minimum, 2);
  q41[4] = std::byte{0xf1};  // column 0: 1, column 16: 15
  gguf_codec(DType::kQ4_1)->decode_row({gguf_codec(DType::kQ4_1), 1, 32, q41, {}}, 0, out);
  EXPECT_EQ(out[0], -0.5f);
  EXPECT_EQ(out[16], 6.5f);
  EXPECT_EQ(out[1], -1.0f);
  // d = 0.5, scale 1 (times 1.5 / 4), points 0 and 255, signs of the second's columns 0 and, since
  // an even number is negative, 7.
  std::byte iq2[66] = {};
  std::memcpy(iq2, &half, 2);
  iq2[3] = std::byte{255};
  iq2[6] = std::byte{0x80};
  iq2[9] = std::byte{0x10};
  std::vector<float> points(256);
  gguf_codec(DType::kIQ2_XXS)
      ->decode_row({gguf_codec(DType::kIQ2_XXS), 1, 256, iq2, {}}, 0, points.data());
  EXPECT_EQ(points[0], 8 * 0.1875f);
  EXPECT_EQ(points[7], 8 * 0.1875f);
  EXPECT_LT(points[8], 0.0f);
  EXPECT_GT(points[9], 0.0f);
  EXPECT_LT(points[15], 0.0f);
}

TEST(GgufCodecs, EveryHalfDecodesAsTheScalarSays) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  std::vector<float> out(all.size());
  const Codec* codec = gguf_codec(DType::kF16);
  codec->decode_row({codec, 1, 65536, std::as_bytes(std::span(all)), {}}, 0, out.data());
  for (size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(half_to_float(all[i]))) << i;
}

TEST(GgufCodecs, NoWeightsInIntegers) {
  for (const DType type :
       {DType::kI8, DType::kI16, DType::kI32, DType::kI64, DType::kF64, static_cast<DType>(4)})
    EXPECT_EQ(gguf_codec(type), nullptr);
}

TEST(CodecByName, PlaneFormatsHaveOneSpelling) {
  ASSERT_TRUE(codec_by_name("bitplane k=2 g=64"));
  EXPECT_EQ((*codec_by_name("bitplane k=2 g=64"))->name(), "bitplane k=2 g=64");
  EXPECT_EQ((*codec_by_name("tritplane g=128"))->name(), "tritplane g=128");
  for (const char* name : {"",
                           "Q9_0",
                           "q8_0",
                           "I8",
                           "bitplane",
                           "bitplane k=2",
                           "bitplane k=2 g=",
                           "bitplane k= g=64",
                           "bitplane k=02 g=64",
                           "bitplane k=2 g=64 ",
                           "bitplane k=2  g=64",
                           "bitplane k=+2 g=64",
                           "bitplane k=-2 g=64",
                           "bitplane k=0 g=64",
                           "bitplane k=2 g=9999999",
                           "bitplane k=99999999999999999999 g=64",
                           "tritplane",
                           "tritplane g=",
                           "tritplane g=0",
                           "tritplane g=128 k=2",
                           "tritplane g=128x"})
    EXPECT_FALSE(codec_by_name(name)) << name;
}

TEST(CheckMatrix, RefusesWhatDoesNotFit) {
  const std::vector<std::byte> bytes(68);
  const Codec* codec = gguf_codec(DType::kQ8_0);
  EXPECT_TRUE(check_matrix({codec, 2, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({nullptr, 2, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, 1, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, 3, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, 2, 31, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, 0, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, -2, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, 2, -32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, INT64_MAX, 32, bytes, {}}, "t"));
  EXPECT_FALSE(check_matrix({codec, int64_t{1} << 40, int64_t{1} << 40, bytes, {}}, "t"));
  EXPECT_FALSE(
      check_matrix({codec, 2, 32, bytes, bytes}, "t"));  // coefficients where the format has none
}

TEST(EncodeSimple, Q8RoundsHalvesAwayAndStaysInRange) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127.0f;
  x[1] = 0.5f;
  x[2] = -0.5f;
  x[3] = 2.5f;
  x[4] = -127.0f;
  std::byte out[34];
  ASSERT_TRUE(encode_simple(DType::kQ8_0, x, out));
  const int8_t want[5] = {127, 1, -1, 3, -127};
  EXPECT_EQ(std::memcmp(out + 2, want, 5), 0);
  x[0] = std::numeric_limits<float>::infinity();  // no undefined conversion, whatever comes out
  x[1] = NAN;
  EXPECT_TRUE(encode_simple(DType::kQ8_0, x, out));
  std::fill(x.begin(), x.end(), 1e-45f);  // 1 / d overflows
  EXPECT_TRUE(encode_simple(DType::kQ8_0, x, out));
}

TEST(EncodeSimple, RefusesOtherTypesAndSizes) {
  const std::vector<float> x(64);
  std::vector<std::byte> out(68);
  EXPECT_TRUE(encode_simple(DType::kQ8_0, x, out));
  EXPECT_FALSE(encode_simple(DType::kQ8_0, std::span(x).first(63), out));
  EXPECT_FALSE(encode_simple(DType::kQ8_0, std::span(x).first(32), out));
  EXPECT_FALSE(encode_simple(DType::kQ8_0, x, std::span(out).first(67)));
  EXPECT_FALSE(encode_simple(DType::kQ4_0, x, out));
  EXPECT_FALSE(encode_simple(static_cast<DType>(4), x, out));
  EXPECT_TRUE(encode_simple(DType::kF16, {}, {}));
}

}  // namespace
}  // namespace planeloom
