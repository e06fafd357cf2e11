#include "compress/size_budget.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "codecs/rotation.h"
#include "codecs/trellis.h"
#include "compress/allocation.h"
#include "compress/quantized_file.h"
#include "formats/gguf.h"

namespace planeloom {
namespace {

/// For what the writer notes of the calibration and a distillation, and for padding between
/// tensors.
constexpr double kReserve = 8192, kPadding = 2 * GgufWriter::kAlignment;

constexpr int kAsItCame = 0;  // QuantizeOptions::embedding_bits

/// What the linears may lack of all bits for an embedding as it came: four bits of SmolLM2's lose a
/// KL of 0.015 (docs/trellis.md); so do the linears by a quarter of a bit less, at 0.145 with three
/// bits and a quarter of that with every bit more.
constexpr double kSpared = 0.25;

/// Bytes of the file when linears take none.
Result<double> size_without_linears(const Model& model, int embedding_bits) {
  PL_TRY(const Codec* one, trellis_codec(1));
  std::map<std::string, PackedMatrix> shapes;  // no bytes: only the size is asked for
  const auto add = [&](const std::string& name, const PackedMatrix& w,
                       const Codec* codec) -> Status {
    PL_TRY(auto turned, Rotation::make(w.cols, 0));
    shapes[name] = {codec, w.rows, w.cols, {}, {}, std::move(turned)};
    return {};
  };
  double linears = 0;
  for (int64_t l = 0; l < model.config.layers; ++l)
    for (const Linear linear : kBlockLinears) {
      const PackedMatrix& w = model.layers[static_cast<size_t>(l)].at(linear);
      PL_CHECK(add(linear_name(l, linear), w, one));
      linears += bits_per_weight(*one, w.rows, w.cols) * static_cast<double>(w.rows * w.cols) / 8 -
                 kPadding;
    }
  if (embedding_bits != kAsItCame) {
    PL_TRY(const Codec* ends, trellis_codec(embedding_bits));
    PL_CHECK(add("token_embd.weight", model.embedding, ends));
    if (!model.tied()) PL_CHECK(add("output.weight", model.head, ends));
  }
  ReplacedMatrices replaced;
  for (const auto& [name, w] : shapes) replaced[name] = &w;
  PL_TRY(const uint64_t all, quantized_size(*model.file, replaced));
  return static_cast<double>(all) - linears + kReserve;
}

}  // namespace

Result<SizeBudget> within_bytes(const Model& model, uint64_t bytes,
                                const std::vector<Form>& forms) {
  const auto weights = static_cast<double>(linear_size(model).weights);
  PL_TRY(const BitsRange range, bits_range(model, forms));
  int embedding = kAsItCame;
  double rest = 0, bits = 0;
  const auto beside_embedding = [&]() -> Status {
    PL_TRY(rest, size_without_linears(model, embedding));
    bits = 8 * (static_cast<double>(bytes) - rest) / weights;
    return {};
  };
  PL_CHECK(beside_embedding());
  if (bits < std::max(range.least, range.most - kSpared)) {
    embedding = kMaxTrellisBits;
    PL_CHECK(beside_embedding());
    while (embedding > 1 && (embedding > std::floor(bits) + 1 || bits < range.least)) {
      --embedding;
      PL_CHECK(beside_embedding());
    }
  }
  if (bits < range.least)
    return fail("[quantize] {} bytes: the smallest file takes about {:.0f} bytes", bytes,
                std::ceil(rest + range.least * weights / 8));
  return SizeBudget{embedding, bits};
}

}  // namespace planeloom
