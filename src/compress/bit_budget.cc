#include "compress/bit_budget.h"

#include <algorithm>
#include <cmath>

#include "codecs/planes.h"
#include "codecs/rotation.h"
#include "codecs/trellis.h"
#include "compress/allocation.h"
#include "compress/quantized_file.h"
#include "formats/gguf.h"

namespace planeloom {
namespace {

/// By what one more bit lowers the divergence, for its size: measured on SmolLM2, on prose and on
/// source code, by giving three bits instead of two to one kind of linear in all layers
/// (docs/trellis.md). Early layers come first, which gain a little more.
constexpr Linear kOrder[] = {Linear::kV,    Linear::kK,  Linear::kO, Linear::kDown,
                             Linear::kGate, Linear::kUp, Linear::kQ};

/// What a weight of so many bits is stored as, in rows of `cols`.
using CodecOf = FunctionRef<Result<const Codec*>(int bits, int64_t cols)>;

constexpr int kMostBits = kMaxTrellisBits;
static_assert(kMostBits == kMaxPlanes);

constexpr auto trellis_of = [](int bits, int64_t) { return trellis_codec(bits); };

/// Bits that a matrix takes in so many bits a weight.
Result<double> size_of(const PackedMatrix& w, CodecOf codec_of, int bits) {
  PL_TRY(const Codec* codec, codec_of(bits, w.cols));
  return bits_per_weight(*codec, w.rows, w.cols) * static_cast<double>(w.rows) *
         static_cast<double>(w.cols);
}

/// For what the writer notes of the calibration and a distillation, and for padding between
/// tensors.
constexpr double kReserve = 8192, kPadding = 2 * GgufWriter::kAlignment;

constexpr int kAsItCame = 0;  // QuantizeOptions::embedding_bits

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
      PL_TRY(const double bits, size_of(w, trellis_of, 1));
      linears += bits / 8 - kPadding;
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

Result<BitBudget> within(const Model& model, CodecOf codec_of, double bits_per_weight) {
  double weights = 0, size[kMostBits + 1] = {};
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      weights += static_cast<double>(w.rows) * static_cast<double>(w.cols);
      for (int bits = 1; bits <= kMostBits; ++bits) {
        PL_TRY(const double one, size_of(w, codec_of, bits));
        size[bits] += one;
      }
    }
  BitBudget budget;
  while (budget.bits < kMostBits && size[budget.bits + 1] <= bits_per_weight * weights)
    ++budget.bits;
  if (budget.bits == 0)
    return fail("[quantize] {:.6g} bits per weight: one bit and its scales take {:.3f}",
                bits_per_weight, size[1] / weights);
  double used = size[budget.bits];
  if (budget.bits < kMostBits)
    for (const Linear linear : kOrder)
      for (int64_t l = 0; l < model.config.layers; ++l) {
        const PackedMatrix& w = model.layers[static_cast<size_t>(l)].at(linear);
        PL_TRY(const double before, size_of(w, codec_of, budget.bits));
        PL_TRY(const double after, size_of(w, codec_of, budget.bits + 1));
        if (used + after - before > bits_per_weight * weights) continue;
        used += after - before;
        budget.layer_bits[{l, linear}] = budget.bits + 1;
      }
  budget.bits_per_weight = used / weights;
  return budget;
}

}  // namespace

void BitBudget::give(QuantizeOptions& o) const {
  o.quant.bits = bits;
  for (const auto& [at, own] : layer_bits) {
    o.own[at] = o.quant;
    o.own[at].bits = own;
  }
}

Result<BitBudget> trellis_within(const Model& model, double bits_per_weight) {
  return within(model, trellis_of, bits_per_weight);
}

Result<BitBudget> planes_within(const Model& model, int group, Coefficients coefficients,
                                double bits_per_weight) {
  const auto planes_of = [&](int bits, int64_t cols) {
    return bitplane_codec(bits, fitting_group(group, cols), coefficients);
  };
  return within(model, planes_of, bits_per_weight);
}

Result<SizeBudget> trellis_within_bytes(const Model& model, uint64_t bytes,
                                        std::vector<Form> forms) {
  const auto weights = static_cast<double>(linear_size(model).weights);
  if (forms.empty()) {
    PL_TRY(forms, parse_forms(kDefaultForms));
  }
  PL_TRY(const BitsRange range, bits_range(model, forms));
  int embedding = kAsItCame;
  double rest = 0, bits = 0;
  const auto beside_embedding = [&]() -> Status {
    PL_TRY(rest, size_without_linears(model, embedding));
    bits = 8 * (static_cast<double>(bytes) - rest) / weights;
    return {};
  };
  PL_CHECK(beside_embedding());
  if (bits < range.most) {
    embedding = kMaxTrellisBits;
    PL_CHECK(beside_embedding());
    while (embedding > 1 && (embedding > std::floor(bits) + 1 || bits < range.least)) {
      --embedding;
      PL_CHECK(beside_embedding());
    }
  }
  if (bits < range.least)
    return fail("[quantize] {} bytes: the smallest file takes about {:.0f}", bytes,
                std::ceil(rest + range.least * weights / 8));
  PL_TRY(BitBudget linears, trellis_within(model, bits));
  return SizeBudget{std::move(linears), embedding, bits};
}

}  // namespace planeloom
