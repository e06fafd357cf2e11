#include "compress/awq.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "compress/quantize_model.h"
#include "compress/run_helpers.h"

namespace planeloom {
namespace {

// One column is fed a hundred times what the others are: scaling it up costs the others a little
// and saves more. Where all are fed alike there is nothing to choose.
TEST(Awq, ScalesColumnsThatAreFedMuch) {
  constexpr int64_t kRows = 32, kCols = 64;
  Rng rng(3);
  std::vector<float> weights(kRows * kCols);
  for (float& w : weights) w = static_cast<float>(rng.normal());
  QuantOptions rtn;
  rtn.method = "rtn";
  rtn.bits = 3;
  rtn.isa = Isa::kScalar;
  ThreadPool pool(2);
  for (const float much : {1.0f, 100.0f}) {
    std::vector<float> magnitude(kCols, 1.0f);
    magnitude[5] = much;
    std::vector<double> hessian(kCols * kCols);
    for (size_t c = 0; c < kCols; ++c)
      hessian[c * kCols + c] = static_cast<double>(magnitude[c]) * magnitude[c];
    const auto s = awq_scales({hessian, magnitude, {{weights, kRows, kCols}}}, rtn, pool);
    ASSERT_TRUE(s) << s.error().message;
    EXPECT_NEAR((*s)[5] / (*s)[6], much == 1 ? 1 : 10, much == 1 ? 1e-6 : 8);
    EXPECT_EQ((*s)[6], (*s)[7]);
    // What it is for: the error of rounding, fed as above.
    std::vector<float> scaled(weights);
    for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= (*s)[i % kCols];
    std::vector<double> turned(hessian);
    for (size_t c = 0; c < kCols; ++c)
      turned[c * kCols + c] /= static_cast<double>((*s)[c]) * (*s)[c];
    const auto plain = quantize_layer({weights, kRows, kCols, hessian}, rtn, pool),
               better = quantize_layer({scaled, kRows, kCols, turned}, rtn, pool);
    ASSERT_TRUE(plain && better);
    if (much == 1)
      EXPECT_NEAR(*better->report.output_error, *plain->report.output_error, 1e-9);
    else
      EXPECT_LT(*better->report.output_error, 0.5 * *plain->report.output_error);
  }
}

// The scaled model computes the same, with heads of their own (o is scaled too) and shared ones;
// and it is not the same weights.
TEST(Awq, TheScaledModelComputesTheSame) {
  const Folder folder;
  ThreadPool pool(2);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  QuantOptions rtn;
  rtn.group = 32;
  CalibrationOptions text;
  text.windows = 2;
  text.context = 32;
  for (const int64_t kv_heads : {2, 4}) {
    TinyOptions shape = tiny_text_options();
    shape.ffn = 128;
    shape.heads = 4;
    shape.kv_heads = kv_heads;
    const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(model) << model.error().message;
    const fs::path out = folder.path / "scaled.gguf";
    const auto done = write_awq_scaled(*model, out, text, rtn, compute, progress);
    ASSERT_TRUE(done) << done.error().message;
    const auto scaled = load_model(out);
    ASSERT_TRUE(scaled) << scaled.error().message;
    EXPECT_LT(apart(logits(*scaled), logits(*model)), 1e-5) << kv_heads;
    EXPECT_NE(scaled->layers[0].ffn_norm, model->layers[0].ffn_norm);
    std::vector<float> o(64), p(64);
    model->layers[0].at(Linear::kO).codec->decode_row(model->layers[0].at(Linear::kO), 0, o.data());
    scaled->layers[0]
        .at(Linear::kO)
        .codec->decode_row(scaled->layers[0].at(Linear::kO), 0, p.data());
    double changed = 0;
    for (size_t i = 0; i < 64; ++i) changed += std::fabs(o[i] - p[i]);
    EXPECT_EQ(changed > 0.1, kv_heads == 4) << changed;
  }
}

TEST(Awq, CodesAreRefused) {
  const Folder folder;
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  QuantizeOptions o;
  o.quant.method = "rtn";
  ASSERT_TRUE(quantize_model(tiny(), folder.path / "a.gguf", o, compute, progress));
  const auto planes = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(planes);
  const auto refused =
      write_awq_scaled(*planes, folder.path / "b.gguf", {}, o.quant, compute, progress);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("holds codes already"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder.path / "b.gguf"));
}

}  // namespace
}  // namespace planeloom
