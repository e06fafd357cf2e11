#include "compress/size_budget.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "codecs/rotation.h"
#include "codecs/row_parts.h"
#include "codecs/trellis.h"
#include "compress/allocation.h"
#include "compress/embedding_parts.h"
#include "compress/quantized_file.h"
#include "formats/gguf.h"

namespace planeloom {
namespace {

/// For what the writer notes of the calibration and a distillation, for padding between tensors,
/// and for what it notes of a part.
constexpr double kReserve = 8192, kPadding = 2 * GgufWriter::kAlignment, kPartNotes = 512;

/// What an embedding in parts loses beside what linears of as many bits lose, over the whole model
/// (docs/embedding.md).
constexpr double kEmbeddingLoss = 0.22;

/// A file's bytes: `fixed`, and so many bits of each weight.
struct Sizes {
  double fixed = 0;              // with embedding and head of no bits
  double linears = 0, ends = 0;  // weights
  // Bits per weight of the ends: with codes of one bit, of two, and as they came.
  double least_of_ends = 0, two_of_ends = 0, ends_as_came = 0;
};

Result<Sizes> sizes_of(const Model& model) {
  PL_TRY(const Codec* one, trellis_codec(1));
  std::map<std::string, PackedMatrix> shapes;  // no bytes: only the size is asked for
  Sizes sizes;
  double bytes = 0;  // of the shapes
  const auto add = [&](const std::string& name, const PackedMatrix& w) -> Status {
    PL_TRY(auto turned, Rotation::make(w.cols, 0));
    shapes[name] = {one, w.rows, w.cols, {}, {}, std::move(turned)};
    bytes += bits_per_weight(*one, w.rows, w.cols) * static_cast<double>(w.rows * w.cols) / 8;
    return {};
  };
  for (int64_t l = 0; l < model.config.layers; ++l)
    for (const Linear linear : kBlockLinears) {
      PL_CHECK(add(linear_name(l, linear), model.layers[static_cast<size_t>(l)].at(linear)));
      sizes.fixed += kPadding;
    }
  const double of_linears = bytes;
  PL_TRY(const Codec* two, trellis_codec(2));
  double came = 0, two_bits = 0;  // bytes of the ends
  const auto add_end = [&](const std::string& name, const PackedMatrix& w) -> Status {
    PL_CHECK(add(name, w));
    came += static_cast<double>(byte_size(w));
    two_bits += bits_per_weight(*two, w.rows, w.cols) * static_cast<double>(w.rows * w.cols) / 8;
    sizes.ends += static_cast<double>(w.rows * w.cols);
    sizes.fixed += static_cast<double>(most_parts(w.rows)) * kPartNotes;
    return {};
  };
  PL_CHECK(add_end("token_embd.weight", model.embedding));
  if (!model.tied()) PL_CHECK(add_end("output.weight", model.head));
  ReplacedMatrices replaced;
  for (const auto& [name, w] : shapes) replaced[name] = &w;
  PL_TRY(const uint64_t all, quantized_size(*model.file, replaced));
  sizes.fixed += static_cast<double>(all) - bytes + kReserve;
  sizes.linears = static_cast<double>(linear_size(model).weights);
  sizes.least_of_ends = 8 * (bytes - of_linears) / sizes.ends;
  sizes.two_of_ends = 8 * two_bits / sizes.ends;
  sizes.ends_as_came = 8 * came / sizes.ends;
  return sizes;
}

}  // namespace

Result<SizeBudget> within_bytes(const Model& model, uint64_t bytes,
                                const std::vector<Form>& forms) {
  PL_TRY(const BitsRange range, bits_range(model, forms));
  PL_TRY(const Sizes sizes, sizes_of(model));
  const auto room = static_cast<double>(bytes);
  const double least = std::ceil(sizes.fixed + sizes.least_of_ends * sizes.ends / 8 +
                                 range.least * sizes.linears / 8);
  if (room < least)
    return fail("[quantize] {} bytes: the smallest file takes about {:.0f} bytes", bytes, least);
  // Of losses a 4^-x + 4^-y the sum is least, with so many bytes for both, where one more byte
  // takes as much off either.
  const double share = sizes.ends / sizes.linears,
               apart = std::log2(kEmbeddingLoss / share) / 2,  // y - x
      both = 8 * (room - sizes.fixed) / sizes.linears;
  double linears = std::clamp((both - share * apart) / (1 + share), range.least, range.most);
  double ends = (both - linears) / share;
  if (ends >= sizes.ends_as_came) return SizeBudget{0, both - share * sizes.ends_as_came};
  // One bit loses more than 4^-1 says: not in one of them while both can have two.
  const double beside_two = both - share * sizes.two_of_ends;
  if (ends < sizes.two_of_ends && beside_two >= std::max(range.least, sizes.two_of_ends))
    ends = sizes.two_of_ends, linears = beside_two;
  if (ends < sizes.least_of_ends) {
    ends = sizes.least_of_ends;
    linears = both - share * ends;
  }
  return SizeBudget{ends, linears};
}

}  // namespace planeloom
