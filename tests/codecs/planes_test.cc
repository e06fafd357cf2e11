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
/// sums, one where it saturates), and a step is at most a 32nd of the group's largest weight.
void check_unpacked(const EncodedMatrix& m, float top) {
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
        RC_ASSERT(u.scale_at(r, c) <= (real ? top : 1e-30f) / 32);
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
  check_unpacked(*m, planes > 2 ? 5.0f : 6.0f);  // |coefficients| <= 2; eight bits from three on
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
  check_unpacked(*m, 4.0f);
}

/// Byte coefficients and tied planes are integers as they are: the integer form is the weight.
void check_exact(const EncodedMatrix& m, const std::vector<float>& want) {
  std::vector<float> w(static_cast<size_t>(m.cols));
  for (int64_t first = 0; first < m.rows; first += kTileRows) {
    const test::Unpacked u = test::unpack(m.view(), first, 0, m.cols);
    for (int64_t r = 0; r < kTileRows && first + r < m.rows; ++r) {
      m.codec->decode_row(m.view(), first + r, w.data());
      for (int64_t c = 0; c < m.cols; ++c) {
        RC_ASSERT(w[static_cast<size_t>(c)] == want[static_cast<size_t>((first + r) * m.cols + c)]);
        RC_ASSERT(u.weight(r, c) == w[static_cast<size_t>(c)]);
      }
    }
  }
}

/// Random bytes, those of the exponents between 92 and 142.
std::vector<uint8_t> random_bytes(int64_t groups, int per_group, Rng& rng) {
  std::vector<uint8_t> coef;
  for (int64_t i = 0; i < groups * per_group; ++i) {
    const bool exponent = i % per_group == per_group - 1;
    coef.push_back(static_cast<uint8_t>(exponent ? 92 + rng.below(51) : rng.below(256)));
  }
  return coef;
}

int clamped(int v, int low, int high) { return std::min(std::max(v, low), high); }

RC_GTEST_PROP(Bitplane, ByteCoefficientsAreExact, ()) {
  const int planes = *rc::gen::inRange(1, 5), group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 40), cols = group * *rc::gen::inRange(1, 6);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  for (uint8_t& c : codes) c = static_cast<uint8_t>(rng.below(uint64_t{1} << planes));
  const auto coef = random_bytes(rows * (cols / group), planes + 2, rng);
  std::vector<float> want;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const uint8_t* q = coef.data() + i / group * (planes + 2);
    const auto part = [&](int p) {
      return p < planes && (codes[static_cast<size_t>(i)] >> p & 1) ? int{static_cast<int8_t>(q[p])}
                                                                    : 0;
    };
    const auto cut = [](int v) { return clamped(v, -128, 127); };
    const int most = planes > 2 ? 128 : 64,
              low = clamped(cut(cut(int{static_cast<int8_t>(q[planes])} + part(0)) + part(1)),
                            -most, most);
    want.push_back(
        std::ldexp(static_cast<float>(cut(low + cut(part(2) + part(3)))), q[planes + 1] - 127));
  }
  const auto m = encode_bitplane(planes, group, Coefficients::kByte, rows, cols, codes,
                                 std::as_bytes(std::span(coef)));
  RC_ASSERT(m.has_value());
  RC_ASSERT(m->codec->name() == fmt::format("bitplane k={} g={} c=8", planes, group));
  check_exact(*m, want);
}

RC_GTEST_PROP(Tritplane, ByteCoefficientsAndTiedPlanesAreExact, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int64_t rows = *rc::gen::inRange(1, 40), cols = group * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(rows, cols, group, 1, 9);
  Rng rng(*rc::gen::arbitrary<uint32_t>());
  const auto coef = random_bytes(rows * (cols / group), 3, rng);
  std::vector<float> bytes, tied;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const int code = s.codes[static_cast<size_t>(i)], t1 = code % 3 - 1, t2 = code / 3 - 1;
    const uint8_t* q = coef.data() + i / group * 3;
    const int a1 = clamped(static_cast<int8_t>(q[0]), -64, 64), rest = 64 - std::abs(a1),
              a2 = clamped(static_cast<int8_t>(q[1]), -rest, rest);
    bytes.push_back(std::ldexp(static_cast<float>(a1 * t1 + a2 * t2), q[2] - 127));
    tied.push_back(half_to_float(s.coef[static_cast<size_t>(i / group)]) *
                   static_cast<float>(3 * t1 + 2 * t2));
  }
  const auto free = encode_tritplane(group, Coefficients::kByte, rows, cols, s.codes,
                                     std::as_bytes(std::span(coef)));
  RC_ASSERT(free.has_value());
  RC_ASSERT(free->codec->name() == fmt::format("tritplane g={} c=8", group));
  check_exact(*free, bytes);
  const auto one = encode_tritplane(group, Coefficients::kTied, rows, cols, s.codes,
                                    std::as_bytes(std::span(s.coef)));
  RC_ASSERT(one.has_value());
  RC_ASSERT(one->codec->name() == fmt::format("tritplane g={} r=3:2", group));
  check_exact(*one, tied);
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
  codes[8 + 7] = 2 + 3 * 0;           // column 15: t1 = 1, t2 = -1; line 1, digit 3 of word 1
  codes[18] = 0 + 3 * 2;              // column 18: t1 = -1, t2 = 1; line 0, digit 4 of word 1
  codes[21] = 8;                      // column 21: both 1; line 2, digit 1 of word 0
  const auto m = encode_tritplane(32, 1, 32, codes, std::vector<uint16_t>(2, 0));
  ASSERT_TRUE(m);
  ASSERT_EQ(m->codes.size(), 2u * 2 * 64);
  const int zeros = 4 * (6561 + 729 + 81 + 9 + 1);
  const auto fraction = [](int n) { return static_cast<uint16_t>((n * 65536LL + 59048) / 59049); };
  std::vector<uint16_t> want(m->codes.size() / 2, fraction(zeros));
  want[32 + 1] = fraction(zeros + (2 - 4) * 9);
  want[1] = fraction(zeros + (6 - 4) * 1);
  want[64] = fraction(zeros + (8 - 4) * 729);
  EXPECT_EQ(std::memcmp(m->codes.data(), want.data(), m->codes.size()), 0);
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
      for (const auto& [name, per_group] :
           {std::pair{"tritplane g={} c=8", 24.0}, std::pair{"tritplane g={} r=3:2", 16.0}}) {
        const auto codec = codec_by_name(fmt::format(fmt::runtime(name), group));
        ASSERT_TRUE(codec);
        EXPECT_DOUBLE_EQ(bits_per_weight(**codec, rows, cols),
                         (3.2 * lines + per_group / group) * padding);
      }
      for (int planes = 1; planes <= 4; ++planes) {
        const auto codec = codec_by_name(fmt::format("bitplane k={} g={} c=8", planes, group));
        ASSERT_TRUE(codec);
        EXPECT_DOUBLE_EQ(bits_per_weight(**codec, rows, cols),
                         (planes + 8.0 * (planes + 2) / group) * padding);
      }
    }
}

// Bytes that no encoder writes (fractions between two numbers, padding that is set, scales that are
// no number) still decode, to finite weights.
RC_GTEST_PROP(Planes, HostileBytesDecode, ()) {
  const int group = kAllGroups[*rc::gen::inRange(0, 6)];
  const int planes = *rc::gen::inRange(0, 5);
  const auto stored =
      *rc::gen::element(Coefficients::kHalf, Coefficients::kByte, Coefficients::kTied);
  RC_PRE(planes == 0 || stored != Coefficients::kTied);
  const auto codec =
      planes == 0 ? tritplane_codec(group, stored) : bitplane_codec(planes, group, stored);
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
