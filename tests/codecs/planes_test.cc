// The plane formats: sizes, round trips, hostile bytes.
#include "codecs/planes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "tensor/half.h"

namespace planeloom {
namespace {

constexpr int kAllGroups[] = {32, 64, 96, 128, 192, 256};

struct Sample {
  std::vector<uint8_t> codes;
  std::vector<uint16_t> coef;
};

/// Random codes below `levels` and finite random coefficients.
Sample random_sample(int64_t rows, int64_t cols, int group, int per_group, int levels) {
  Sample s;
  const auto seed = *rc::gen::arbitrary<uint32_t>();
  uint64_t state = seed;
  auto next = [&] {
    return (state = state * 6364136223846793005ull + 1442695040888963407ull) >> 40;
  };
  for (int64_t i = 0; i < rows * cols; ++i)
    s.codes.push_back(static_cast<uint8_t>(next() % levels));
  for (int64_t i = 0; i < rows * (cols / group) * per_group; ++i)
    s.coef.push_back(float_to_half(static_cast<float>(next() % 4001) / 1000.0f - 2.0f));
  return s;
}

/// What a decoded weight must be, by the format's definition.
float expected_bitplane(const Sample& s, int planes, int group, int64_t cols, int64_t row,
                        int64_t c) {
  const uint16_t* coef = s.coef.data() + (row * (cols / group) + c / group) * (planes + 1);
  float w = half_to_float(coef[planes]);
  for (int p = 0; p < planes; ++p)
    if (s.codes[row * cols + c] >> p & 1) w += half_to_float(coef[p]);
  return w;
}

float expected_tritplane(const Sample& s, int group, int64_t cols, int64_t row, int64_t c) {
  const uint16_t* coef = s.coef.data() + (row * (cols / group) + c / group) * 2;
  const int code = s.codes[row * cols + c];
  return half_to_float(coef[0]) * static_cast<float>(code % 3 - 1) +
         half_to_float(coef[1]) * static_cast<float>(code / 3 - 1);
}

/// The integer form must give the same weights (up to the rounding of its own sum), and zeros in
/// the padding.
void check_unpacked(const EncodedMatrix& m, int64_t row, const std::vector<float>& decoded) {
  const int planes = m.codec->planes();
  const int64_t padded = padded_cols(m.cols), scales = padded / kScaleGroup;
  std::vector<uint8_t> code(planes * padded, 0xee);
  std::vector<float> scale(planes * scales, NAN), offset(scales, NAN);
  m.codec->unpack_row(m.view(), row, {code.data(), scale.data(), offset.data()});
  for (int64_t c = 0; c < padded; ++c) {
    float w = offset[c / kScaleGroup];
    for (int p = 0; p < planes; ++p)
      w += scale[p * scales + c / kScaleGroup] * static_cast<float>(code[p * padded + c]);
    RC_ASSERT(std::abs(w - (c < m.cols ? decoded[c] : 0.0f)) < 1e-5f);
    for (int p = 0; c >= m.cols && p < planes; ++p) {
      RC_ASSERT(code[p * padded + c] == 0);
      RC_ASSERT(scale[p * scales + c / kScaleGroup] == 0.0f);
    }
  }
}

RC_GTEST_PROP(Bitplane, RoundTrip, ()) {
  const int planes = *rc::gen::inRange(1, 5), group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 5), cols = group * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(rows, cols, group, planes + 1, 1 << planes);
  const auto m = encode_bitplane(planes, group, rows, cols, s.codes, s.coef);
  RC_ASSERT(m.has_value());
  RC_ASSERT(check_matrix(m->view(), "t").has_value());
  std::vector<float> w(cols);
  for (int64_t r = 0; r < rows; ++r) {
    m->codec->decode_row(m->view(), r, w.data());
    for (int64_t c = 0; c < cols; ++c)
      RC_ASSERT(w[c] == expected_bitplane(s, planes, group, cols, r, c));
    check_unpacked(*m, r, w);
  }
}

RC_GTEST_PROP(Tritplane, RoundTrip, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 5), cols = group * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(rows, cols, group, 2, 9);
  const auto m = encode_tritplane(group, rows, cols, s.codes, s.coef);
  RC_ASSERT(m.has_value());
  RC_ASSERT(check_matrix(m->view(), "t").has_value());
  std::vector<float> w(cols);
  for (int64_t r = 0; r < rows; ++r) {
    m->codec->decode_row(m->view(), r, w.data());
    for (int64_t c = 0; c < cols; ++c) RC_ASSERT(w[c] == expected_tritplane(s, group, cols, r, c));
    check_unpacked(*m, r, w);
  }
}

// The layout is a contract with the kernels and with files on disk: spelled out once by hand.
TEST(Bitplane, LayoutOnDisk) {
  std::vector<uint8_t> codes(96, 0);
  codes[0] = 1;   // plane 0, column 0
  codes[63] = 2;  // plane 1, column 63
  codes[65] = 3;  // both planes, column 65 of the half block
  const std::vector<uint16_t> coef(9, 0);
  const auto m = encode_bitplane(2, 32, 1, 96, codes, coef);
  ASSERT_TRUE(m);
  std::vector<uint8_t> want(24, 0);
  want[0] = 1;
  want[15] = 0x80;
  want[16] = 2;
  want[20] = 2;
  ASSERT_EQ(m->codes.size(), want.size());
  EXPECT_EQ(std::memcmp(m->codes.data(), want.data(), want.size()), 0);
}

TEST(Tritplane, LayoutOnDisk) {
  std::vector<uint8_t> codes(96, 4);  // both trits zero
  codes[4] = 2 + 3 * 0;               // t1 = 1, t2 = -1
  const std::vector<uint16_t> coef(6, 0);
  const auto m = encode_tritplane(32, 1, 96, codes, coef);
  ASSERT_TRUE(m);
  ASSERT_EQ(m->codes.size(), 2u * 13 + 2u * 7);
  const auto* b = reinterpret_cast<const uint8_t*>(m->codes.data());
  EXPECT_EQ(b[0], 1 + 3 + 9 + 27 + 2 * 81);
  EXPECT_EQ(b[1], 121);
  EXPECT_EQ(b[12], 1 + 3 + 9 + 27);  // four digits in the last byte
  EXPECT_EQ(b[13], 1 + 3 + 9 + 27);  // plane 2 begins; column 4 holds digit 0
  EXPECT_EQ(b[26 + 6], 1 + 3);       // the half block ends with two digits
}

// bits_per_weight is the formula of the format, and the formula is what lies in memory.
TEST(Planes, BitsPerWeightAreBytes) {
  for (int group : kAllGroups) {
    const int64_t rows = 3, cols = 5 * group;
    for (int planes = 1; planes <= 4; ++planes) {
      const std::vector<uint8_t> codes(rows * cols, 0);
      const std::vector<uint16_t> coef(rows * 5 * (planes + 1), 0);
      const auto m = encode_bitplane(planes, group, rows, cols, codes, coef);
      ASSERT_TRUE(m);
      const double bits =
          8.0 * static_cast<double>(m->codes.size() + m->coef.size()) / double(rows * cols);
      EXPECT_DOUBLE_EQ(bits, planes + 16.0 * (planes + 1) / group);
      EXPECT_DOUBLE_EQ(bits, bits_per_weight(*m->codec, cols));
      EXPECT_EQ(m->codec->name(), fmt::format("bitplane k={} g={}", planes, group));
    }
    const std::vector<uint8_t> codes(rows * cols, 4);
    const std::vector<uint16_t> coef(rows * 5 * 2, 0);
    const auto m = encode_tritplane(group, rows, cols, codes, coef);
    ASSERT_TRUE(m);
    const double bits =
        8.0 * static_cast<double>(m->codes.size() + m->coef.size()) / double(rows * cols);
    const double half_block = cols % 64 != 0 ? 32 * (3.5 - 3.25) / double(cols) : 0;
    EXPECT_DOUBLE_EQ(bits, 3.25 + 32.0 / group + half_block);
    EXPECT_DOUBLE_EQ(bits, bits_per_weight(*m->codec, cols));
    EXPECT_EQ(m->codec->name(), fmt::format("tritplane g={}", group));
  }
}

// Bytes that no encoder writes (243 ... 255, set padding digits, NaN scales) still decode inside
// bounds.
RC_GTEST_PROP(Planes, HostileBytesDecode, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int planes = *rc::gen::inRange(0, 5);
  const auto codec = planes == 0 ? tritplane_codec(group) : bitplane_codec(planes, group);
  RC_ASSERT(codec.has_value());
  const int64_t rows = 2, cols = group * *rc::gen::inRange(1, 4);
  const auto byte =
      rc::gen::map(rc::gen::arbitrary<uint8_t>(), [](uint8_t b) { return std::byte{b}; });
  const auto codes =
      *rc::gen::container<std::vector<std::byte>>(rows * (*codec)->code_bytes(cols), byte);
  const auto coef =
      *rc::gen::container<std::vector<std::byte>>(rows * (*codec)->coef_bytes(cols), byte);
  const PackedMatrix m{*codec, rows, cols, codes, coef};
  RC_ASSERT(check_matrix(m, "t").has_value());
  std::vector<float> w(cols);
  const int64_t padded = padded_cols(cols);
  std::vector<uint8_t> code((*codec)->planes() * padded);
  std::vector<float> scale(code.size() / kScaleGroup), offset(padded / kScaleGroup);
  for (int64_t r = 0; r < rows; ++r) {
    (*codec)->decode_row(m, r, w.data());
    (*codec)->unpack_row(m, r, {code.data(), scale.data(), offset.data()});
    for (uint8_t c : code) RC_ASSERT(c <= (planes == 0 ? 2 : 1));
  }
}

TEST(Tritplane, BytesBeyond242WrapAround) {
  const auto codec = tritplane_codec(32);
  std::vector<std::byte> codes(14, std::byte{255}), low(14, std::byte{255 - 243});
  const uint16_t alphas[2] = {float_to_half(1.0f), float_to_half(4.0f)};
  const auto coef = std::as_bytes(std::span(alphas));
  std::vector<float> a(32), b(32);
  (*codec)->decode_row({*codec, 1, 32, codes, coef}, 0, a.data());
  (*codec)->decode_row({*codec, 1, 32, low, coef}, 0, b.data());
  EXPECT_EQ(a, b);
}

TEST(Planes, BadArgumentsAreErrors) {
  EXPECT_FALSE(bitplane_codec(0, 64));
  EXPECT_FALSE(bitplane_codec(5, 64));
  EXPECT_FALSE(bitplane_codec(2, 48));
  EXPECT_FALSE(tritplane_codec(512));
  const std::vector<uint8_t> codes(64, 0), high(64, 4);
  const std::vector<uint16_t> coef(3, 0);
  EXPECT_TRUE(encode_bitplane(2, 64, 1, 64, codes, coef));
  EXPECT_FALSE(encode_bitplane(2, 64, 1, 64, high, coef));
  EXPECT_FALSE(encode_bitplane(2, 64, 2, 64, codes, coef));
  EXPECT_FALSE(encode_bitplane(2, 128, 1, 64, codes, coef));
  EXPECT_FALSE(encode_bitplane(2, 64, 1, 64, codes, std::span(coef).first(2)));
  EXPECT_FALSE(encode_bitplane(2, 64, int64_t{1} << 62, 64, codes, coef));
  const auto error = encode_tritplane(96, 1, 64, codes, coef);
  ASSERT_FALSE(error);
  EXPECT_NE(error.error().message.find("multiple of 96"), std::string::npos)
      << error.error().message;
}

TEST(Planes, InstancesAreSharedBetweenThreads) {
  std::vector<const Codec*> seen(8);
  std::vector<std::thread> threads;
  for (auto& slot : seen) threads.emplace_back([&slot] { slot = *bitplane_codec(3, 96); });
  for (auto& t : threads) t.join();
  for (const Codec* codec : seen) EXPECT_EQ(codec, seen[0]);
}

}  // namespace
}  // namespace planeloom
