#include "compress/embedding_parts.h"

#include <gtest/gtest.h>

#include <numeric>

#include "codecs/row_parts.h"
#include "codecs/trellis.h"

namespace planeloom {
namespace {

constexpr int64_t kVocab = 4096, kWidth = 64;

/// Only shape and format are looked at.
PackedMatrix embedding(DType type = DType::kQ8_0) {
  return {gguf_codec(type), kVocab, kWidth, {}, {}};
}

/// Tokens of which lower ones come more often: i comes about 1 / (i + 1) times.
std::vector<int32_t> zipf() {
  std::vector<int32_t> text;
  for (int32_t i = 0; i < kVocab; ++i)
    text.insert(text.end(), static_cast<size_t>(4096 / (i + 1)), i);
  return text;
}

double bits_of(const std::vector<RowPart>& parts, const PackedMatrix& w) {
  double bits = 0;
  for (const RowPart& part : parts)
    bits += bits_per_weight(part.bits ? **trellis_codec(part.bits) : *w.codec, part.rows, w.cols) *
            static_cast<double>(part.rows) / static_cast<double>(w.rows);
  return bits;
}

TEST(EmbeddingParts, CommonTokensHaveMoreBitsWithinTheBudget) {
  const PackedMatrix w = embedding();
  const std::vector<double> weights = row_weights(kVocab, zipf());
  EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1, 1e-9);
  for (const double budget : {1.3, 2.3, 2.5, 3.0, 3.7, 5.0}) {
    const auto parts = embedding_parts(w, weights, budget);
    ASSERT_TRUE(parts) << parts.error().message;
    int64_t rows = 0;
    int last = 0;
    for (const RowPart& part : *parts) {
      const int bits = part.bits == 0 ? 9 : part.bits;  // as it came
      EXPECT_TRUE(rows == 0 || bits < last) << budget;
      last = bits;
      rows += part.rows;
    }
    EXPECT_EQ(rows, kVocab);
    EXPECT_LE(bits_of(*parts, w), budget);
    EXPECT_GT(bits_of(*parts, w), budget - 0.1);
    EXPECT_LE(static_cast<int64_t>(parts->size()), most_parts(kVocab));
    EXPECT_GT(parts->size(), 1u);
  }
}

TEST(EmbeddingParts, AlikeWithoutAText) {
  const PackedMatrix w = embedding();
  const double two = bits_per_weight(**trellis_codec(2), kVocab, kWidth);
  const auto parts = embedding_parts(w, row_weights(kVocab, {}), two);
  ASSERT_TRUE(parts);
  EXPECT_EQ(*parts, (std::vector<RowPart>{{kVocab, 2}}));
  // What is left over goes to the first.
  const auto mixed = embedding_parts(w, row_weights(kVocab, {}), two + 0.5);
  ASSERT_TRUE(mixed);
  EXPECT_EQ(*mixed, (std::vector<RowPart>{{kVocab / 2, 3}, {kVocab / 2, 2}}));
}

TEST(EmbeddingParts, RefusesLessThanABit) {
  const auto parts = embedding_parts(embedding(), row_weights(kVocab, {}), 1.0);
  ASSERT_FALSE(parts);
  EXPECT_NE(parts.error().message.find("1.25"), std::string::npos) << parts.error().message;
}

// Rows of planes lie sixteen together, and parts have no rows of their own: they cannot stay as
// they came.
TEST(EmbeddingParts, KeepOnlyRowsThatStandAlone) {
  PackedMatrix planes = embedding();
  planes.codec = *trellis_codec(4);
  PackedMatrix joined = *join_rows({embedding(), embedding()});
  joined.rows = kVocab;
  for (const PackedMatrix& w : {planes, joined}) {
    const auto parts = embedding_parts(w, row_weights(kVocab, zipf()), 8);
    ASSERT_TRUE(parts);
    EXPECT_EQ(*parts, (std::vector<RowPart>{{kVocab, 4}}));
  }
}

}  // namespace
}  // namespace planeloom
