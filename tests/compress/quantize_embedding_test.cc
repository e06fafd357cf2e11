// quantize_model with an embedding and a head of few bits.
#include <gtest/gtest.h>

#include <fstream>

#include "codecs/row_parts.h"
#include "codecs/trellis.h"
#include "compress/export_model.h"
#include "compress/quantize_helpers.h"

namespace planeloom {
namespace {

// One matrix of a tied model, two of one with a head of its own; rotated although the linears are
// not. At four bits the model is near its original, and an export of it nearer still.
TEST(QuantizeEmbedding, AndHead) {
  const Folder folder;
  for (const bool tied : {true, false}) {
    TinyOptions shape = tiny_text_options();
    shape.tied = tied;
    const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(model) << model.error().message;
    QuantizeOptions o = options("rtn", 32);
    o.quant.bits = 4;
    const auto original = logits(*model);
    quantized(*model, folder.path / "linears.gguf", o);
    o.embedding_bits =
        bits_per_weight(**trellis_codec(4), model->embedding.rows, model->embedding.cols);
    quantized(*model, folder.path / "a.gguf", o);
    const auto linears = load_model(folder.path / "linears.gguf"),
               written = load_model(folder.path / "a.gguf");
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->embedding.codec->name(), "trellis k=4");
    EXPECT_EQ(written->head.codec->name(), "trellis k=4");
    EXPECT_TRUE(written->head.rotation);
    EXPECT_EQ(written->tied(), tied);
    EXPECT_LT(written->file->file_bytes(), linears->file->file_bytes());
    ThreadPool pool(2);
    Silent progress;
    ASSERT_TRUE(export_model(*written, DType::kF16, folder.path / "plain.gguf",
                             {&pool, &kernels_for(Isa::kScalar)}, progress));
    const auto plain = load_model(folder.path / "plain.gguf");
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_LT(apart(logits(*plain), logits(*written)), 1e-5);
    EXPECT_LT(apart(logits(*written), original), apart(logits(*linears), original) + 0.05);
  }
}

// The Hessian of what the head reads has the group that fits the width, as the linears' have.
TEST(QuantizeEmbedding, OfAWidthThatNo64Divides) {
  const Folder folder;
  TinyOptions shape = tiny_text_options();
  shape.width = 96;
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
  ASSERT_TRUE(model) << model.error().message;
  QuantizeOptions o = options("trellis");
  o.embedding_bits = 3.5;
  quantized(*model, folder.path / "a.gguf", o);
  const auto written = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(written->embedding.rotation || written->embedding.parts);
}

// Rows of common tokens have more bits, some stay bit for bit; the file says which, and is read,
// quantized again and exported like any other.
TEST(QuantizeEmbedding, InParts) {
  const Folder folder;
  for (const bool tied : {true, false}) {
    TinyOptions shape = tiny_text_options();
    shape.tied = tied;
    shape.embedding = "Q8_0";
    const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
    ASSERT_TRUE(model) << model.error().message;
    QuantizeOptions o = options("trellis");
    o.calibration.sources = {folder.path / "text.txt"};
    std::ofstream(o.calibration.sources[0]) << std::string(400, 'a') + "The quick brown fox.";
    o.embedding_bits = 5;
    quantized(*model, folder.path / "a.gguf", o);
    const auto written = load_model(folder.path / "a.gguf");
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->tied(), tied);
    const auto& parts = written->embedding.parts;
    ASSERT_TRUE(parts);
    ASSERT_GT(parts->size(), 1u);
    EXPECT_LE(8.0 * double(byte_size(written->embedding)),
              5 * double(model->embedding.rows * model->embedding.cols));
    std::vector<float> was(static_cast<size_t>(model->config.width)), is(was);
    int64_t row = 0, kept = 0;
    for (const PackedMatrix& part : *parts)
      for (int64_t r = 0; r < part.rows; ++r, ++row) {
        model->embedding.codec->decode_row(model->embedding, row, was.data());
        written->embedding.codec->decode_row(written->embedding, row, is.data());
        if (part.codec != model->embedding.codec) continue;
        ++kept;
        EXPECT_EQ(was, is) << row;
      }
    EXPECT_EQ(row, model->vocab());
    EXPECT_GT(kept, 0);
    EXPECT_LT(apart(logits(*written), logits(*model)), 1);
    ThreadPool pool(2);
    Silent progress;
    const Compute compute{&pool, &kernels_for(Isa::kScalar)};
    ASSERT_TRUE(export_model(*written, DType::kF16, folder.path / "plain.gguf", compute, progress));
    const auto plain = load_model(folder.path / "plain.gguf");
    ASSERT_TRUE(plain) << plain.error().message;
    EXPECT_FALSE(plain->embedding.parts);
    EXPECT_LT(apart(logits(*plain), logits(*written)), 1e-5);
    // Again: the linears alone, then all of it.
    o.embedding_bits = 0;
    quantized(*written, folder.path / "b.gguf", o);
    const auto again = load_model(folder.path / "b.gguf");
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_TRUE(again->embedding.parts);
    EXPECT_EQ(again->embedding.parts->size(), parts->size());
    EXPECT_EQ(again->tied(), tied);
    o.embedding_bits = 3;
    quantized(*written, folder.path / "c.gguf", o);
    const auto less = load_model(folder.path / "c.gguf");
    ASSERT_TRUE(less) << less.error().message;
    EXPECT_LT(byte_size(less->embedding), byte_size(again->embedding));
  }
}

// With room for all rows as they came the tensor is left alone.
TEST(QuantizeEmbedding, StaysWhereItFits) {
  const Folder folder;
  TinyOptions shape = tiny_text_options();
  shape.embedding = "Q8_0";
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(shape)));
  ASSERT_TRUE(model) << model.error().message;
  QuantizeOptions o = options("rtn");
  const std::string without = quantized(*model, folder.path / "a.gguf", o);
  o.embedding_bits = 9;
  EXPECT_TRUE(quantized(*model, folder.path / "b.gguf", o) == without);
}

// The head is calibrated on what comes out of the layers, and an interrupted run finds what it had.
TEST(QuantizeEmbedding, GoesOnAfterAnInterruption) {
  const Folder folder;
  const Model model = tiny();
  QuantizeOptions o = options("trellis");
  o.calibration.sources = {folder.path / "text.txt"};
  std::ofstream(o.calibration.sources[0])
      << std::string(200, 'a') + "The quick brown fox jumps over the lazy dog.";
  o.embedding_bits = 3;
  const std::string want = quantized(model, folder.path / "want.gguf", o);
  Model broken = model;
  broken.head.cols = 33;
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const fs::path out = folder.path / "got.gguf";
  ASSERT_FALSE(quantize_model(broken, out, o, compute, progress));
  o.keep_partial = true;
  auto summary = quantize_model(model, out, o, compute, progress);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->resumed_layers, model.config.layers);
  EXPECT_TRUE(bytes_of(out) == want);
  EXPECT_TRUE(summary->tensors.back().error.output_error);
  summary = quantize_model(model, out, o, compute, progress);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->resumed_layers, model.config.layers + 1);
  EXPECT_TRUE(bytes_of(out) == want);
}

}  // namespace
}  // namespace planeloom
