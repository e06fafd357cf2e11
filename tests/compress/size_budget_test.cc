#include "compress/size_budget.h"

#include <gtest/gtest.h>

#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "compress/allocation.h"
#include "compress/embedding_parts.h"
#include "compress/quantize_model.h"
#include "compress/run_helpers.h"

namespace planeloom {
namespace {

std::vector<Form> forms(const std::vector<std::string>& names = kDefaultForms) {
  auto parsed = parse_forms(names);
  EXPECT_TRUE(parsed);
  return parsed.value_or(std::vector<Form>{});
}

/// The file is no larger than asked for and uses most of it, a head of its own or none.
TEST(SizeBudget, IsOfTheWholeFile) {
  const Folder folder;
  ThreadPool pool(1);
  Silent progress;
  for (const bool tied : {true, false}) {
    TinyOptions shape = tiny_text_options();
    shape.ffn = 128;
    shape.layers = 6;
    shape.tied = tied;
    const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(model) << model.error().message;
    const auto weights = static_cast<double>(linear_size(*model).weights);
    SizeBudget last;
    for (const uint64_t bytes : {90'000, 120'000, 150'000, 200'000}) {
      const auto budget = within_bytes(*model, bytes, forms());
      ASSERT_TRUE(budget) << budget.error().message;
      EXPECT_TRUE(budget->embedding_bits == 0 || budget->embedding_bits >= last.embedding_bits);
      EXPECT_GE(budget->bits_per_weight, last.bits_per_weight);
      last = *budget;
      QuantizeOptions o;
      o.quant.method = "trellis";
      const auto allocation = allocate_by_metric(*model, plain_metrics(model->config)[0], forms(),
                                                 Grain::kTensor, budget->bits_per_weight, pool);
      ASSERT_TRUE(allocation) << allocation.error().message;
      o.own = allocation->options(forms());
      o.embedding_bits = budget->embedding_bits;
      o.rotation_seed = 1;
      o.calibration.windows = 1;
      o.calibration.context = 32;
      const fs::path out = folder.path / "a.gguf";
      ASSERT_TRUE(quantize_model(*model, out, o, {&pool, &kernels_for(Isa::kScalar)}, progress));
      const uint64_t got = fs::file_size(out);
      EXPECT_LE(got, bytes);
      // 8 KiB are kept for notes, 128 bytes for padding every linear and 512 for every part.
      const double notes = 8192 + 128.0 * 7 * 6 + 512.0 * 2 * double(most_parts(model->vocab()));
      if (budget->embedding_bits > 0) {
        EXPECT_GT(double(got), double(bytes) - notes - 0.1 * weights / 8 - 2048);
      }
    }
    const auto refused = within_bytes(*model, 20'000, forms());
    ASSERT_FALSE(refused);
    const std::string& message = refused.error().message;
    EXPECT_NE(message.find("20000 bytes: the smallest file"), std::string::npos);
    // What it says would do, and a byte less would not.
    const uint64_t least = std::stoull(message.substr(message.find("about ") + 6));
    EXPECT_TRUE(within_bytes(*model, least, forms()));
    EXPECT_FALSE(within_bytes(*model, least - 1, forms()));
    // Linears that need more take it from the embedding.
    const std::vector<Form> three = forms({"trellis3"});
    uint64_t holds = 90'000;
    while (holds < 1'000'000 && !within_bytes(*model, holds, three)) holds += 1000;
    const auto tight = within_bytes(*model, holds, three);
    ASSERT_TRUE(tight);
    EXPECT_LT(tight->embedding_bits, within_bytes(*model, holds, forms())->embedding_bits);
    EXPECT_GT(tight->bits_per_weight, 3);
    // Neither has one bit where both can have two.
    const double two =
        bits_per_weight(**trellis_codec(2), model->embedding.rows, model->embedding.cols);
    for (uint64_t bytes = 60'000; bytes < 150'000; bytes += 3000)
      if (const auto budget = within_bytes(*model, bytes, forms());
          budget && budget->embedding_bits < two - 1e-9) {
        EXPECT_LT(budget->bits_per_weight, two + 0.3) << bytes;
      }
    // Once the linears have all that they can, the embedding takes the rest, and stays when it
    // need not change.
    uint64_t fits = 0;
    for (uint64_t bytes = 100'000; bytes < 2'000'000 && !fits; bytes += 1000)
      if (within_bytes(*model, bytes, forms())->embedding_bits == 0) fits = bytes;
    ASSERT_GT(fits, 0u);
    const double most = bits_range(*model, forms())->most;
    EXPECT_GE(within_bytes(*model, fits - 1000, forms())->embedding_bits, kMaxTrellisBits);
    EXPECT_NEAR(within_bytes(*model, fits - 1000, forms())->bits_per_weight, most, 1e-9);
    EXPECT_GE(within_bytes(*model, fits, forms())->bits_per_weight, most - 1e-9);
    // Where the linears have one form only, not without room for that.
    for (uint64_t bytes = holds; bytes < fits + 100'000; bytes += 5000)
      EXPECT_GE(within_bytes(*model, bytes, three)->bits_per_weight,
                bits_range(*model, three)->least);
    EXPECT_EQ(within_bytes(*model, 1 << 30, forms())->embedding_bits, 0);
  }
}

}  // namespace
}  // namespace planeloom
