// The plane formats: sizes, round trips, hostile bytes.
#include "codecs/planes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "base/rng.h"
#include "codecs/unpacked.h"
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
  const auto part = [&](int p) {
    return p < planes && (s.codes[row * cols + c] >> p & 1) ? half_to_float(coef[p]) : 0.0f;
  };
  return (half_to_float(coef[planes]) + part(0) + part(1)) + (part(2) + part(3));
}

float expected_tritplane(const Sample& s, int group, int64_t cols, int64_t row, int64_t c) {
  const uint16_t* coef = s.coef.data() + (row * (cols / group) + c / group) * 2;
  const int code = s.codes[row * cols + c], t1 = code % 3 - 1, t2 = code / 3 - 1;
  return half_to_float(coef[0]) * static_cast<float>(t1) +
         half_to_float(coef[1]) * static_cast<float>(t2);
}

/// The integer form is off by at most one of its steps (half a step for each of the two tables it
/// sums, one where it saturates), and a step is at most a 64th of the group's largest weight bound.
void check_unpacked(const EncodedMatrix& m) {
  const int64_t group = m.codec->form().group;
  const int64_t col = group * *rc::gen::inRange<int64_t>(0, m.cols / group), cols = m.cols - col;
  std::vector<float> decoded(static_cast<size_t>(m.cols));
  for (int64_t first = 0; first < m.rows; first += kTileRows) {
    const test::Unpacked u = test::unpack(m.view(), first, col, cols);
    for (int64_t r = 0; r < kTileRows; ++r) {
      const bool real = first + r < m.rows;
      if (real) m.codec->decode_row(m.view(), first + r, decoded.data());
      for (int64_t c = 0; c < cols; ++c) {
        const float want = real ? decoded[static_cast<size_t>(col + c)] : 0.0f;
        RC_ASSERT(std::abs(u.weight(r, c) - want) <= u.scale_at(r, c) * 1.001f);
        RC_ASSERT(u.scale_at(r, c) <= (real ? 12.0f : 1e-30f) / 64);  // |coefficients| <= 2
      }
    }
  }
}

RC_GTEST_PROP(Bitplane, RoundTrip, ()) {
  const int planes = *rc::gen::inRange(1, 5), group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 40), cols = group * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(rows, cols, group, planes + 1, 1 << planes);
  const auto m = encode_bitplane(planes, group, rows, cols, s.codes, s.coef);
  RC_ASSERT(m.has_value());
  RC_ASSERT(check_matrix(m->view(), "t").has_value());
  std::vector<float> w(cols);
  for (int64_t r = 0; r < rows; ++r) {
    m->codec->decode_row(m->view(), r, w.data());
    for (int64_t c = 0; c < cols; ++c)
      RC_ASSERT(w[c] == expected_bitplane(s, planes, group, cols, r, c));
  }
  check_unpacked(*m);
}

RC_GTEST_PROP(Tritplane, RoundTrip, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 40), cols = group * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(rows, cols, group, 2, 9);
  const auto m = encode_tritplane(group, rows, cols, s.codes, s.coef);
  RC_ASSERT(m.has_value());
  RC_ASSERT(check_matrix(m->view(), "t").has_value());
  std::vector<float> w(cols);
  for (int64_t r = 0; r < rows; ++r) {
    m->codec->decode_row(m->view(), r, w.data());
    for (int64_t c = 0; c < cols; ++c) RC_ASSERT(w[c] == expected_tritplane(s, group, cols, r, c));
  }
  check_unpacked(*m);
}

// The layout is a contract with the kernels and with files on disk: spelled out once by hand.
TEST(Bitplane, LayoutOnDisk) {
  const int64_t rows = 18, cols = 64;
  std::vector<uint8_t> codes(rows * cols, 0);
  codes[0] = 1;              // plane 0, row 0, column 0
  codes[3 * cols + 63] = 2;  // plane 1, row 3, column 63: unit 1, field 3 of its second line
  codes[17 * cols + 5] = 3;  // both planes, row 1 of the second block, column 5: field 1
  std::vector<uint16_t> coef(rows * 2 * 3, 0);
  coef[(17 * 2 + 1) * 3 + 2] = 0x3c00;  // the bias of row 17, group 1
  const auto m = encode_bitplane(2, 32, rows, cols, codes, coef);
  ASSERT_TRUE(m);
  std::vector<uint8_t> want(2 * 4 * 64, 0);
  want[0] = 1;
  want[3 * 64 + 4 * 3 + 3] = 0x80;
  want[4 * 64 + 4 * 1 + 1] = 3 << 2;
  ASSERT_EQ(m->codes.size(), want.size());
  EXPECT_EQ(std::memcmp(m->codes.data(), want.data(), want.size()), 0);
  ASSERT_EQ(m->coef.size(), 2u * 2 * 3 * 16 * 2);
  std::vector<uint8_t> want_coef(m->coef.size(), 0);
  want_coef[(((1 * 2 + 1) * 3 + 2) * 16 + 1) * 2 + 1] = 0x3c;
  EXPECT_EQ(std::memcmp(m->coef.data(), want_coef.data(), want_coef.size()), 0);
}

TEST(Bitplane, OddPlanesTakeLinesOfBits) {
  std::vector<uint8_t> codes(32, 0);
  codes[21] = 4;  // plane 2 of three, column 21: bit 5 of byte 1
  const auto m = encode_bitplane(3, 32, 1, 32, codes, std::vector<uint16_t>(4, 0));
  ASSERT_TRUE(m);
  ASSERT_EQ(m->codes.size(), 3u * 64);
  for (size_t i = 0; i < m->codes.size(); ++i)
    EXPECT_EQ(m->codes[i], i == 2 * 64 + 1 ? std::byte{1 << 5} : std::byte{0}) << i;
}

TEST(Tritplane, LayoutOnDisk) {
  std::vector<uint8_t> codes(32, 4);  // both trits zero
  codes[8 + 2] = 2 + 3 * 0;           // column 10: t1 = 1, t2 = -1; field 2 of byte 2
  codes[21] = 0 + 3 * 2;              // column 21: t1 = -1, t2 = 1; field 0 of byte 1, line 2
  const auto m = encode_tritplane(32, 1, 32, codes, std::vector<uint16_t>(2, 0));
  ASSERT_TRUE(m);
  ASSERT_EQ(m->codes.size(), 2u * 2 * 64);
  const auto fraction = [](int n) { return static_cast<uint8_t>((n * 256 + 242) / 243); };
  const uint8_t zeros = fraction(81 + 27 + 9 + 3 + 1);
  std::vector<uint8_t> want(m->codes.size(), zeros);
  want[2] = fraction(81 + 27 + 2 * 9 + 3 + 1);
  want[64 + 2] = fraction(81 + 27 + 0 * 9 + 3 + 1);
  want[128 + 1] = fraction(0 * 81 + 27 + 9 + 3 + 1);
  want[192 + 1] = fraction(2 * 81 + 27 + 9 + 3 + 1);
  EXPECT_EQ(std::memcmp(m->codes.data(), want.data(), want.size()), 0);
}

// bits_per_weight is the formula of the format, and the formula is what lies in memory.
TEST(Planes, BitsPerWeightAreBytes) {
  for (int group : kAllGroups)
    for (int64_t rows : {32, 35}) {
      const int64_t cols = 5 * group, stored = (rows + 15) / 16 * 16;
      const double padding = static_cast<double>(stored) / static_cast<double>(rows);
      for (int planes = 1; planes <= 4; ++planes) {
        const std::vector<uint8_t> codes(rows * cols, 0);
        const std::vector<uint16_t> coef(rows * 5 * (planes + 1), 0);
        const auto m = encode_bitplane(planes, group, rows, cols, codes, coef);
        ASSERT_TRUE(m);
        const double bits =
            8.0 * static_cast<double>(m->codes.size() + m->coef.size()) / double(rows * cols);
        EXPECT_DOUBLE_EQ(bits, (planes + 16.0 * (planes + 1) / group) * padding);
        EXPECT_DOUBLE_EQ(bits, bits_per_weight(*m->codec, rows, cols));
        EXPECT_EQ(m->codec->name(), fmt::format("bitplane k={} g={}", planes, group));
      }
      const std::vector<uint8_t> codes(rows * cols, 4);
      const std::vector<uint16_t> coef(rows * 5 * 2, 0);
      const auto m = encode_tritplane(group, rows, cols, codes, coef);
      ASSERT_TRUE(m);
      const double bits =
          8.0 * static_cast<double>(m->codes.size() + m->coef.size()) / double(rows * cols);
      const double lines = std::ceil(static_cast<double>(cols) / 20) * 20 / double(cols);
      EXPECT_DOUBLE_EQ(bits, (3.2 * lines + 32.0 / group) * padding);
      EXPECT_DOUBLE_EQ(bits, bits_per_weight(*m->codec, rows, cols));
      EXPECT_EQ(m->codec->name(), fmt::format("tritplane g={}", group));
    }
}

// Bytes that no encoder writes (fractions between two numbers, padding that is set, scales that are
// no number) still decode, to finite weights.
RC_GTEST_PROP(Planes, HostileBytesDecode, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int planes = *rc::gen::inRange(0, 5);
  const auto codec = planes == 0 ? tritplane_codec(group) : bitplane_codec(planes, group);
  RC_ASSERT(codec.has_value());
  const int64_t rows = 18, cols = group * *rc::gen::inRange(1, 4);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  const auto bytes = [&](int64_t per_row) {
    std::vector<std::byte> v(static_cast<size_t>(stored_rows(**codec, rows) * per_row));
    for (std::byte& b : v) b = static_cast<std::byte>(rng.next());
    return v;
  };
  const auto codes = bytes((*codec)->code_bytes(cols)), coef = bytes((*codec)->coef_bytes(cols));
  const PackedMatrix m{*codec, rows, cols, codes, coef};
  RC_ASSERT(check_matrix(m, "t").has_value());
  std::vector<float> w(cols);
  for (int64_t r = 0; r < rows; ++r) {
    (*codec)->decode_row(m, r, w.data());
    for (float v : w) RC_ASSERT(std::isfinite(v));
  }
  const test::Unpacked u = test::unpack(m, 16, 0, cols);
  for (float s : u.scale) RC_ASSERT(std::isfinite(s));
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

TEST(Planes, GroupsThatFit) {
  EXPECT_EQ(fitting_group(64, 576), 64);
  EXPECT_EQ(fitting_group(128, 576), 96);
  EXPECT_EQ(fitting_group(128, 640), 128);
  EXPECT_EQ(fitting_group(256, 160), 32);
  EXPECT_EQ(fitting_group(64, 100), 0);
}

}  // namespace
}  // namespace planeloom
