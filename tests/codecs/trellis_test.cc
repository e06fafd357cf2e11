// The trellis format: its definition, round trips, hostile bytes.
#include "codecs/trellis.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <set>

#include "base/rng.h"
#include "codecs/unpacked.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

struct Sample {
  std::vector<uint8_t> symbols;
  std::vector<uint16_t> scale;
};
Sample random_sample(int bits, int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  Sample s;
  for (int64_t i = 0; i < rows * cols; ++i)
    s.symbols.push_back(static_cast<uint8_t>(rng.next() >> 40 & ((1u << bits) - 1)));
  for (int64_t r = 0; r < rows; ++r)
    s.scale.push_back(float_to_half(static_cast<float>(rng.next() >> 40 & 1023) / 512 - 1));
  return s;
}

/// The nibble of column c, written as trellis.h says it.
uint8_t expected_nibble(const Sample& s, int bits, int64_t cols, int64_t row, int64_t c) {
  const auto symbol = [&](int64_t at) {
    return at < 0 ? 0 : int{s.symbols[static_cast<size_t>(row * cols + at)]};
  };
  if (c < 0) return 0;
  if (bits == 1)
    return static_cast<uint8_t>(symbol(c - 12) | symbol(c - 8) << 1 | symbol(c - 4) << 2 |
                                symbol(c) << 3);
  if (bits == 2) return static_cast<uint8_t>(symbol(c - 4) | symbol(c) << 2);
  if (bits == 4) return static_cast<uint8_t>(symbol(c));
  return static_cast<uint8_t>((symbol(c - 4) & 1) | (symbol(c) & 1) << 1 | (symbol(c) >> 1) << 2);
}

float expected(const Sample& s, int bits, int64_t cols, int64_t row, int64_t c) {
  const TrellisCode& code = trellis_code(bits);
  const int stride = bits == 1 ? 4 : bits == 2 ? 2 : 1, hashes = bits == 3 ? 3 : 2;
  uint8_t index = expected_nibble(s, bits, cols, row, c);
  for (int i = 0; i < hashes; ++i)
    index ^= code.hash[i][expected_nibble(s, bits, cols, row, c - 4 * stride * (i + 1))];
  return half_to_float(s.scale[static_cast<size_t>(row)]) *
         static_cast<float>(code.table[index] - (bits < 3 ? 32 : 64));
}

RC_GTEST_PROP(Trellis, RoundTrip, (uint64_t seed)) {
  const int bits = *rc::gen::inRange(1, kMaxTrellisBits + 1);
  const int64_t rows = *rc::gen::inRange(1, 40), cols = 32 * *rc::gen::inRange(1, 6);
  const Sample s = random_sample(bits, rows, cols, seed);
  const auto m = encode_trellis(bits, rows, cols, s.symbols, s.scale);
  RC_ASSERT(m.has_value());
  RC_ASSERT(check_matrix(m->view(), "t").has_value());
  std::vector<float> w(static_cast<size_t>(cols));
  const int64_t from = 32 * *rc::gen::inRange<int64_t>(0, cols / 32);
  for (int64_t first = 0; first < rows; first += kTileRows) {
    const test::Unpacked tile = test::unpack(m->view(), first, from, cols - from);
    for (int64_t r = 0; r < kTileRows && first + r < rows; ++r) {
      m->codec->decode_row(m->view(), first + r, w.data());
      for (int64_t c = 0; c < cols; ++c)
        RC_ASSERT(w[static_cast<size_t>(c)] == expected(s, bits, cols, first + r, c));
      for (int64_t c = from; c < cols; ++c)
        RC_ASSERT(tile.weight(r, c - from) == w[static_cast<size_t>(c)]);
    }
  }
}

// What the kernels count on: codes fit their form, indices their tables; and the level of a window
// is that of its nibbles, so that the quantizer's table and the decoder agree.
TEST(Trellis, TablesFit) {
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    const TrellisCode& code = trellis_code(bits);
    EXPECT_EQ(code.bits, bits);
    for (const uint8_t level : code.table) EXPECT_LT(level, 2 * code.zero());
    for (int i = 0; i < code.hashes(); ++i)
      for (const uint8_t h : code.hash[i]) EXPECT_LT(h, 32);
    std::set<int> seen;
    for (uint32_t window = 0; window < 1u << code.window(); ++window)
      seen.insert(code.level_of_window(window));
    EXPECT_GE(seen.size(), 24u) << bits;
  }
}

// From any window the next symbols reach levels on both sides of zero, all different: without that
// a step could not come near every number.
TEST(Trellis, SuccessorsSpread) {
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    const TrellisCode& code = trellis_code(bits);
    const int symbols = 1 << bits;
    const uint32_t kept = 1u << (code.window() - bits);
    for (uint32_t survivor = 0; survivor < kept; ++survivor) {
      std::set<int> levels;
      for (int c = 0; c < symbols; ++c)
        levels.insert(code.level_of_window(survivor << bits | static_cast<uint32_t>(c)));
      EXPECT_EQ(static_cast<int>(levels.size()), symbols);
      EXPECT_LE(*levels.begin(), code.zero());
      EXPECT_GE(*levels.rbegin(), code.zero());
    }
  }
}

TEST(Trellis, Bits) {
  const Codec* codec = *trellis_codec(2);
  EXPECT_EQ(codec->name(), "trellis k=2");
  EXPECT_EQ(*codec_by_name("trellis k=2"), codec);
  EXPECT_DOUBLE_EQ(bits_per_weight(*codec, 576, 576), 2 + 16.0 / 576);
  EXPECT_DOUBLE_EQ(bits_per_weight(**trellis_codec(3), 16, 1536), 3 + 16.0 / 1536);
  for (const char* name :
       {"trellis k=0", "trellis k=5", "trellis k=2 g=64", "trellis", "trellis k="})
    EXPECT_FALSE(codec_by_name(name)) << name;
}

TEST(Trellis, EncodeChecksItsArguments) {
  const std::vector<uint8_t> symbols(64, 3), large(64, 4);
  const std::vector<uint16_t> scale(2, 0x3c00);
  EXPECT_TRUE(encode_trellis(2, 2, 32, symbols, scale));
  EXPECT_FALSE(encode_trellis(5, 2, 32, symbols, scale));
  EXPECT_FALSE(encode_trellis(2, 2, 32, large, scale));
  EXPECT_FALSE(encode_trellis(2, 2, 16, symbols, scale));
  EXPECT_FALSE(encode_trellis(2, 1, 64, symbols, scale));
  EXPECT_FALSE(encode_trellis(2, 2, 64, symbols, scale));
  EXPECT_FALSE(encode_trellis(2, 0, 32, {}, {}));
  EXPECT_FALSE(encode_trellis(2, int64_t{1} << 31, 32, symbols, scale));
}

// Any bytes decode to finite weights; a scale that is no number is 0.
TEST(Trellis, HostileBytes) {
  Rng rng(5);
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    const Codec* codec = *trellis_codec(bits);
    std::vector<std::byte> codes(static_cast<size_t>(16 * codec->code_bytes(96)));
    for (std::byte& b : codes) b = static_cast<std::byte>(rng.next() >> 32);
    std::vector<uint16_t> scale(16, 0x3c00);
    scale[1] = 0x7c00;
    scale[2] = 0xfe01;
    const PackedMatrix w{codec, 16, 96, codes, std::as_bytes(std::span(scale))};
    std::vector<float> row(96);
    for (int64_t r = 0; r < 16; ++r) {
      codec->decode_row(w, r, row.data());
      for (const float v : row) EXPECT_TRUE(r == 1 || r == 2 ? v == 0 : std::fabs(v) <= 64);
    }
  }
}

}  // namespace
}  // namespace planeloom
