#include "codecs/row_parts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"
#include "codecs/encode_simple.h"
#include "codecs/rotation.h"

namespace planeloom {
namespace {

struct Part {
  std::vector<std::byte> codes;
  PackedMatrix w;
};

Part part_of(DType type, int64_t rows, int64_t cols) {
  Rng rng(static_cast<uint64_t>(rows));
  std::vector<float> weights(static_cast<size_t>(rows * cols));
  for (float& v : weights) v = static_cast<float>(rng.normal());
  Part p;
  p.codes.resize(static_cast<size_t>(rows * gguf_codec(type)->code_bytes(cols)));
  EXPECT_TRUE(encode_simple(type, weights, p.codes));
  p.w = {gguf_codec(type), rows, cols, p.codes, {}};
  return p;
}

TEST(RowParts, DecodeEachRowOfItsPart) {
  Part a = part_of(DType::kQ8_0, 3, 64), b = part_of(DType::kF16, 5, 64);
  const auto rotation = Rotation::make(64, 7);
  ASSERT_TRUE(rotation);
  b.w.rotation = *rotation;
  const auto whole = join_rows({a.w, b.w});
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->rows, 8);
  EXPECT_EQ(whole->cols, 64);
  EXPECT_FALSE(whole->rotation);
  EXPECT_EQ(byte_size(*whole), static_cast<int64_t>(a.codes.size() + b.codes.size()));
  std::vector<float> got(64), want(64);
  for (int64_t r = 0; r < 8; ++r) {
    const PackedMatrix& w = r < 3 ? a.w : b.w;
    whole->codec->decode_row(*whole, r, got.data());
    w.codec->decode_row(w, r < 3 ? r : r - 3, want.data());
    if (w.rotation) w.rotation->undo(want.data());
    EXPECT_EQ(got, want) << r;
  }
}

TEST(RowParts, RefuseWhatIsNoMatrix) {
  const Part a = part_of(DType::kF16, 3, 64), narrow = part_of(DType::kF16, 3, 32);
  EXPECT_FALSE(join_rows({}));
  EXPECT_FALSE(join_rows({a.w, narrow.w}));
  const auto whole = join_rows({a.w, a.w});
  ASSERT_TRUE(whole);
  EXPECT_FALSE(join_rows({a.w, *whole}));
}

TEST(RowParts, SlicesShareTheBytes) {
  const Part a = part_of(DType::kQ8_0, 40, 64);
  const PackedMatrix some = slice_rows(a.w, 32, 8);
  EXPECT_TRUE(check_matrix(some, "slice"));
  std::vector<float> got(64), want(64);
  for (int64_t r = 0; r < 8; ++r) {
    some.codec->decode_row(some, r, got.data());
    a.w.codec->decode_row(a.w, 32 + r, want.data());
    EXPECT_EQ(got, want);
  }
}

}  // namespace
}  // namespace planeloom
