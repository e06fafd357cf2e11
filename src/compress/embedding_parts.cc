#include "compress/embedding_parts.h"

#include <algorithm>
#include <cmath>

#include "alloc/solver.h"
#include "codecs/trellis.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

/// Rows are stored alike by blocks: vocabularies have tokens that come about as often side by side
/// (those of byte pairs by how common they are).
constexpr int64_t kBlocks = 64;
static_assert(kBlocks <= kMostParts);
int64_t block_rows(int64_t vocab) {
  const int64_t rows = (vocab + kBlocks - 1) / kBlocks;
  return (rows + kTileRows - 1) / kTileRows * kTileRows;
}

/// A row of a token that comes n times as often is worth n^kPower as much; so much of any text is
/// taken to be tokens of all kinds alike, whatever was seen (docs/embedding.md).
constexpr double kPower = 0.75, kUnseen = 0.05;

constexpr int kAsItCame = 0;  // RowPart::bits

/// What rows may be stored as.
struct Store {
  int bits = kAsItCame;
  const Codec* codec = nullptr;
  double loss = 0;  // of a row that weighs 1
};

double bits_of(const Store& store, const PackedMatrix& w) {
  return planeloom::bits_per_weight(*store.codec, w.rows, w.cols);
}

/// One bit only where two do not fit all rows: it is far from what weights were found with.
Result<std::vector<Store>> stores_for(const PackedMatrix& w, double bits_per_weight) {
  std::vector<Store> stores;
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    PL_TRY(const Codec* codec, trellis_codec(bits));
    stores.push_back({bits, codec, std::exp2(-2.0 * bits)});
  }
  if (bits_of(stores[1], w) <= bits_per_weight) stores.erase(stores.begin());
  if (!w.parts && w.codec->row_block() == 1) stores.push_back({kAsItCame, w.codec, 0});
  return stores;
}

}  // namespace

int64_t most_parts(int64_t vocab) {
  const int64_t block = block_rows(vocab);
  return (vocab + block - 1) / block;
}

std::vector<double> row_weights(int64_t vocab, std::span<const int32_t> text) {
  std::vector<double> count(static_cast<size_t>(vocab)), weights(count.size());
  const auto block = static_cast<size_t>(block_rows(vocab));
  if (text.empty()) {
    // Of equals the first: vocabularies of byte pairs have common tokens there.
    for (size_t i = 0; i < weights.size(); ++i)
      weights[i] = (1 - 1e-6 * static_cast<double>(i / block)) / static_cast<double>(vocab);
    return weights;
  }
  for (const int32_t token : text) ++count[static_cast<size_t>(token)];
  const double seen = (1 - kUnseen) / static_cast<double>(text.size()),
               unseen = kUnseen / static_cast<double>(vocab);
  double all = 0;
  for (size_t begin = 0; begin < count.size(); begin += block) {
    const size_t end = std::min(begin + block, count.size());
    double share = 0;
    for (size_t i = begin; i < end; ++i) share += seen * count[i] + unseen;
    const double weight = std::pow(share / static_cast<double>(end - begin), kPower);
    std::fill(weights.begin() + static_cast<ptrdiff_t>(begin),
              weights.begin() + static_cast<ptrdiff_t>(end), weight);
    all += weight * static_cast<double>(end - begin);
  }
  for (double& weight : weights) weight /= all;
  return weights;
}

Result<std::vector<RowPart>> embedding_parts(const PackedMatrix& embedding,
                                             std::span<const double> weights,
                                             double bits_per_weight) {
  PL_TRY(const std::vector<Store> stores, stores_for(embedding, bits_per_weight));
  if (const double least = bits_of(stores[0], embedding); bits_per_weight < least)
    return fail("[quantize] {} bits per weight of the embedding: {:.3f} at least", bits_per_weight,
                std::ceil(1000 * least) / 1000);
  const int64_t block = block_rows(embedding.rows);
  std::vector<std::vector<Choice>> blocks;
  for (int64_t begin = 0; begin < embedding.rows; begin += block) {
    const int64_t rows = std::min(block, embedding.rows - begin);
    double weight = 0;
    for (int64_t r = begin; r < begin + rows; ++r) weight += weights[static_cast<size_t>(r)];
    std::vector<Choice>& choices = blocks.emplace_back();
    for (const Store& s : stores)
      choices.push_back({stored_rows(*s.codec, rows) * (s.codec->code_bytes(embedding.cols) +
                                                        s.codec->coef_bytes(embedding.cols)),
                         weight * s.loss});
  }
  const double bytes = bits_per_weight / 8 * static_cast<double>(embedding.rows * embedding.cols);
  PL_TRY(const std::vector<int> chosen, allocate(blocks, static_cast<int64_t>(bytes)));
  std::vector<RowPart> parts;
  for (size_t b = 0; b < chosen.size(); ++b) {
    const int bits = stores[static_cast<size_t>(chosen[b])].bits;
    const int64_t begin = static_cast<int64_t>(b) * block;
    if (parts.empty() || parts.back().bits != bits) parts.push_back({0, bits});
    parts.back().rows += std::min(block, embedding.rows - begin);
  }
  return parts;
}

}  // namespace planeloom
