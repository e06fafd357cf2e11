#include "compress/quantize_model.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "codecs/planes.h"
#include "codecs/row_parts.h"
#include "compress/export_model.h"
#include "compress/quantize_helpers.h"
#include "compress/statistics.h"
#include "compress/workspace.h"
#include "decode/tiny_text.h"

namespace planeloom {
namespace {

TEST(QuantizeModel, SameBytesForAnyThreadsAndIsa) {
  const Folder folder;
  const Model model = tiny();
  for (const char* method : {"rtn", "hqq", "gptq", "bpdq", "ptqtp", "trellis"}) {
    QuantizeOptions o = options(method);
    o.rotation_seed = 5;
    if (o.quant.method == "bpdq") o.quant.refine = 1;
    if (reads_hessian(o.quant)) o.upstream = 0.7;
    o.embedding_bits = 2;
    const std::string want = quantized(model, folder.path / "want.gguf", o);
    for (Isa isa : supported_isas())
      for (int threads : {1, 2, 3})
        EXPECT_TRUE(quantized(model, folder.path / "got.gguf", o, threads, isa) == want)
            << method << " " << isa_name(isa) << " " << threads;
  }
}

TEST(QuantizeModel, TellsWhereADamagedModelStrays) {
  const Folder folder;
  Model model = tiny();
  model.layers[1].ffn_norm[3] = NAN;
  std::ofstream(folder.path / "text.txt") << std::string(500, 'a');
  ThreadPool pool(1);
  Silent progress;
  QuantizeOptions o = options("gptq");
  o.calibration.sources = {(folder.path / "text.txt").string()};
  const auto made = quantize_model(model, folder.path / "out.gguf", o,
                                   {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message,
            "[quantize] what blk.1.ffn_gate.weight reads: [hessian] an entry is not finite; is the "
            "embedding, a norm or a linear damaged?");
}

// gptq and a clipped rtn read the calibration text and do without when there is none; upstream has
// nothing to go by then.
TEST(QuantizeModel, CalibrationNoneReadsNoText) {
  const Folder folder;
  const Model model = tiny();
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  for (const char* method : {"rtn", "gptq"}) {
    QuantizeOptions o = options(method);
    o.quant.clip = o.quant.method == "rtn";
    const auto with = quantize_model(model, folder.path / "with.gguf", o, compute, progress);
    ASSERT_TRUE(with) << with.error().message;
    EXPECT_EQ(with->calibration_tokens, 64);
    EXPECT_TRUE(with->tensors[0].error.output_error);
    o.calibration.sources = {std::string(kNoSource)};
    const auto without = quantize_model(model, folder.path / "without.gguf", o, compute, progress);
    ASSERT_TRUE(without) << without.error().message;
    EXPECT_EQ(without->calibration, "none");
    EXPECT_EQ(without->calibration_tokens, 0);
    EXPECT_FALSE(without->tensors[0].error.output_error);
    EXPECT_LE(without->tensors[0].error.weight_error, with->tensors[0].error.weight_error);
    EXPECT_NE(bytes_of(folder.path / "with.gguf"), bytes_of(folder.path / "without.gguf"));
    o.upstream = 0.5;
    EXPECT_FALSE(quantize_model(model, folder.path / "upstream.gguf", o, compute, progress));
  }
}

TEST(QuantizeModel, BitsPerWeightAreTheBytesOnDisk) {
  const Folder folder;
  const Model model = tiny();
  quantized(model, folder.path / "a.gguf", options("bpdq"));
  const auto written = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(written) << written.error().message;
  int64_t bytes = 0, weights = 0;
  for (const StoredTensor& t : written->file->tensors())
    if (t.name.ends_with(".planes") || t.name.ends_with(".coef"))
      bytes += static_cast<int64_t>(t.data.size());
  for (const auto& layer : written->layers)
    for (const auto& w : layer.linears) weights += w.rows * w.cols;
  EXPECT_DOUBLE_EQ(linear_size(*written).bits_per_weight(),
                   8.0 * static_cast<double>(bytes) / static_cast<double>(weights));
  EXPECT_DOUBLE_EQ(linear_size(*written).bits_per_weight(), 2 + 16.0 * 3 / 64);
}

/// Some linears with bits of their own: in the file, and part of what a run goes on from.
TEST(QuantizeModel, BitsOfSomeLinears) {
  const Folder folder;
  const Model model = tiny();
  QuantizeOptions o = options("trellis");
  const std::string uniform = quantized(model, folder.path / "a.gguf", o);
  o.bits = {{Linear::kDown, 3}, {Linear::kK, 1}};
  EXPECT_NE(quantized(model, folder.path / "b.gguf", o), uniform);
  const auto written = load_model(folder.path / "b.gguf");
  ASSERT_TRUE(written) << written.error().message;
  for (const LayerWeights& layer : written->layers) {
    EXPECT_EQ(layer.at(Linear::kDown).codec->name(), "trellis k=3");
    EXPECT_EQ(layer.at(Linear::kK).codec->name(), "trellis k=1");
    EXPECT_EQ(layer.at(Linear::kQ).codec->name(), "trellis k=2");
  }
  ThreadPool pool(1);
  Silent progress;
  o.bits = {{Linear::kDown, 5}};
  const auto refused = quantize_model(model, folder.path / "c.gguf", o,
                                      {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("5 bits"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(fs::exists(folder.path / "c.gguf.partial"));
}

TEST(QuantizeModel, EverythingElseIsCopied) {
  const Folder folder;
  const Model model = tiny();
  quantized(model, folder.path / "a.gguf", options("rtn"));
  const auto written = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(written);
  for (const StoredTensor& t : model.file->tensors()) {
    const StoredTensor* copy = written->file->find(t.name);
    const bool linear = t.name.find("attn_q.weight") != std::string::npos;
    if (linear) {
      EXPECT_EQ(copy, nullptr);
    }
    if (!copy) continue;
    EXPECT_EQ(copy->type, t.type);
    EXPECT_TRUE(std::equal(copy->data.begin(), copy->data.end(), t.data.begin(), t.data.end()))
        << t.name;
  }
  EXPECT_TRUE(written->file->has_matrix("token_embd.weight"));
  EXPECT_EQ(written->file->metadata().string_or("planeloom.method", ""), "rtn");
}

TEST(QuantizeModel, AnInterruptedRunGoesOnToTheSameBytes) {
  const Folder folder;
  const Model model = tiny();
  QuantizeOptions bpdq =
      options("bpdq");  // calibrated on a file: the broken model below must not write the text
  bpdq.calibration.sources = {folder.path / "text.txt"};
  std::ofstream(bpdq.calibration.sources[0])
      << std::string(200, 'a') + "The quick brown fox jumps over the lazy dog.";
  const std::string want = quantized(model, folder.path / "want.gguf", bpdq);
  // What an interrupted run leaves: a workspace with the first layer. Made by a run whose last
  // layer cannot be read.
  const fs::path out = folder.path / "got.gguf";
  Model broken = model;
  broken.layers.back().at(Linear::kDown).cols = 33;  // no group divides it
  ThreadPool pool(1);
  Silent progress;
  ASSERT_FALSE(quantize_model(broken, out, bpdq, {&pool, &kernels_for(Isa::kScalar)}, progress));
  EXPECT_FALSE(fs::exists(out));
  EXPECT_TRUE(fs::exists(out.string() + ".partial/layer-0000.bin"));
  const auto summary =
      quantize_model(model, out, bpdq, {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->resumed_layers, model.config.layers - 1);
  EXPECT_TRUE(bytes_of(out) == want);
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

// What the run is known by grows with every linear that has a form of its own.
TEST(QuantizeModel, SoDoesOneOfManyLayersWithFormsOfTheirOwn) {
  const Folder folder;
  TinyOptions many = tiny_text_options();
  many.ffn = 128;
  many.layers = 40;
  const auto model = load_model(std::shared_ptr<const ModelFile>(make_tiny_model(many)));
  ASSERT_TRUE(model) << model.error().message;
  QuantizeOptions o = options("rtn");
  for (int64_t l = 0; l < many.layers; ++l)
    for (const Linear linear : kBlockLinears) {
      o.own[{l, linear}] = o.quant;
      o.own[{l, linear}].bits = l % 2 == 0 ? 2 : 3;
    }
  const std::string want = quantized(*model, folder.path / "want.gguf", o);
  Model broken = *model;
  broken.layers.back().at(Linear::kDown).cols = 33;
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const fs::path out = folder.path / "got.gguf";
  ASSERT_FALSE(quantize_model(broken, out, o, compute, progress));
  const auto summary = quantize_model(*model, out, o, compute, progress);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->resumed_layers, many.layers - 1);
  EXPECT_TRUE(bytes_of(out) == want);
}

TEST(ModelHash, IsOfMetadataAndTensors) {
  const auto hash = [](const TinyOptions& options) {
    return model_hash(*load_model(std::shared_ptr<const ModelFile>(make_tiny_model(options))));
  };
  const TinyOptions plain = tiny_text_options();
  EXPECT_EQ(hash(plain), hash(plain));
  TinyOptions angles = plain, more = plain;
  angles.metadata.emplace_back("llama.rope.freq_base", 3.0f);
  more.metadata.emplace_back("general.name", std::string("another"));
  EXPECT_NE(hash(angles), hash(plain));
  EXPECT_NE(hash(more), hash(plain));
  TinyOptions wide = plain;
  wide.layers = 3;
  EXPECT_NE(hash(wide), hash(plain));
}

TEST(QuantizeModel, OtherOptionsOrDamageStartAfresh) {
  const Folder folder;
  auto workspace = Workspace::open(folder.path / "w", "one");
  ASSERT_TRUE(workspace);
  std::vector<uint8_t> codes(64, 1);
  std::vector<uint16_t> coef(3, 0x3c00);
  auto matrix = encode_bitplane(2, 64, 1, 64, codes, coef);
  ASSERT_TRUE(matrix);
  std::vector<Workspace::Entry> entries;
  entries.push_back({"a", std::move(*matrix), "{}"});
  ASSERT_TRUE(workspace->save_layer(0, entries));
  ASSERT_TRUE(workspace->load_layer(0));
  EXPECT_EQ(workspace->load_layer(0)->linears[0].name, "a");
  std::string damaged = bytes_of(folder.path / "w" / "layer-0000.bin");
  damaged[damaged.size() / 2] ^= 1;
  std::ofstream(folder.path / "w" / "layer-0000.bin", std::ios::binary) << damaged;
  EXPECT_FALSE(workspace->load_layer(0));
  ASSERT_TRUE(workspace->save_layer(0, entries));
  const auto second = Workspace::open(folder.path / "w", "two");
  ASSERT_FALSE(second);  // the first is still at work
  EXPECT_NE(second.error().message.find("another process is at work"), std::string::npos);
  {
    const Workspace closed = std::move(*workspace);
  }
  auto again = Workspace::open(folder.path / "w", "one");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->load_layer(0));
  {
    const Workspace closed = std::move(*again);
  }
  const auto other = Workspace::open(folder.path / "w", "two");
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->load_layer(0));
}

/// A run may be killed at any moment: as it begins, or while it clears away what is done.
TEST(QuantizeModel, AFolderThatIsHalfThereOrHalfGoneIsNobodyElses) {
  const Folder folder;
  const fs::path work = folder.path / "w";
  fs::create_directory(work);
  std::ofstream(work / "fingerprint.tmp") << "on";
  {
    const auto begun = Workspace::open(work, "one");
    ASSERT_TRUE(begun) << begun.error().message;
    ASSERT_TRUE(begun->save_window(3, std::vector<int32_t>{1, 2}));
  }
  EXPECT_TRUE(fs::exists(work / "fingerprint"));
  {
    const auto cleared = Workspace::open(work, "two");
    ASSERT_TRUE(cleared) << cleared.error().message;
    ASSERT_TRUE(cleared->remove());
  }
  EXPECT_FALSE(fs::exists(work));
  fs::create_directory(work);
  std::ofstream(work / "mine.txt") << "kept";
  EXPECT_FALSE(Workspace::open(work, "one"));
  EXPECT_TRUE(fs::exists(work / "mine.txt"));
}

TEST(QuantizeModel, SwappedLayersAndFoldersHeal) {
  const Folder folder;
  const Model model = tiny();
  const std::string want = quantized(model, folder.path / "want.gguf", options("rtn"));
  const fs::path out = folder.path / "got.gguf", work = out.string() + ".partial";
  Model broken = model;
  broken.layers.back().at(Linear::kDown).cols = 33;
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  ASSERT_FALSE(quantize_model(broken, out, options("rtn"), compute, progress));
  fs::rename(work / "layer-0000.bin", work / "layer-0001.bin");
  fs::create_directory(work / "layer-0000.bin");
  ASSERT_TRUE(quantize_model(model, out, options("rtn"), compute, progress));
  EXPECT_TRUE(bytes_of(out) == want);
}

TEST(QuantizeModel, AShortCalibrationTextIsToldBeforeAnythingIsMade) {
  const Folder folder;
  QuantizeOptions bpdq = options("bpdq");
  bpdq.calibration.sources = {"self", folder.path / "text.txt"};
  std::ofstream(bpdq.calibration.sources[1]) << "short";
  ThreadPool pool(1);
  Silent progress;
  const fs::path out = folder.path / "got.gguf";
  ASSERT_FALSE(quantize_model(tiny(), out, bpdq, {&pool, &kernels_for(Isa::kScalar)}, progress));
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

/// A width that no group divides costs no calibration, and refused weights leave nothing behind.
TEST(QuantizeModel, WhatCannotBeQuantizedLeavesNothing) {
  const Folder folder;
  ThreadPool pool(1);
  Silent progress;
  const Compute compute{&pool, &kernels_for(Isa::kScalar)};
  const fs::path out = folder.path / "got.gguf";
  Model narrow = tiny();
  for (LayerWeights& layer : narrow.layers) layer.at(Linear::kDown).cols = 31;
  const auto refused = quantize_model(narrow, out, options("bpdq"), compute, progress);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("31 columns"), std::string::npos);
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
  QuantizeOptions half = options("rtn");
  half.embedding_bits = 0.5;
  const auto bits = quantize_model(tiny(), out, half, compute, progress);
  ASSERT_FALSE(bits);
  EXPECT_NE(bits.error().message.find("0.5 bits"), std::string::npos);
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
  Model damaged = tiny();
  const std::vector<float> nan(static_cast<size_t>(damaged.config.width * damaged.config.q_width()),
                               std::numeric_limits<float>::quiet_NaN());
  PackedMatrix& q = damaged.layers[0].at(Linear::kQ);
  q.codec = gguf_codec(DType::kF32);
  q.codes = std::as_bytes(std::span(nan));
  q.coef = {};
  ASSERT_FALSE(quantize_model(damaged, out, options("rtn"), compute, progress));
  EXPECT_FALSE(fs::exists(out.string() + ".partial"));
}

TEST(QuantizeModel, WindowsAreKept) {
  const Folder folder;
  const auto workspace = Workspace::open(folder.path / "w", "one");
  ASSERT_TRUE(workspace);
  const std::vector<int32_t> wrote{1, 2, 3};
  std::vector<int32_t> read(3), longer(4);
  EXPECT_FALSE(workspace->load_window(7, read));
  ASSERT_TRUE(workspace->save_window(7, wrote));
  EXPECT_FALSE(workspace->load_window(7, longer));
  ASSERT_TRUE(workspace->load_window(7, read));
  EXPECT_EQ(read, wrote);
}

// A rotation that is in the weights and undone by the kernels changes nothing but rounding: at four
// bits the model is near its original either way, and an export has no rotation.
TEST(QuantizeModel, RotatedWeightsMeetRotatedInputs) {
  const Folder folder;
  const Model model = tiny();
  QuantizeOptions o = options("rtn", 32);
  o.quant.bits = 4;
  o.rotation_seed = 9;
  quantized(model, folder.path / "a.gguf", o);
  const auto rotated = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(rotated) << rotated.error().message;
  ASSERT_TRUE(rotated->layers[0].at(Linear::kDown).rotation);
  ThreadPool pool(2);
  Silent progress;
  ASSERT_TRUE(export_model(*rotated, DType::kF16, folder.path / "plain.gguf",
                           {&pool, &kernels_for(Isa::kScalar)}, progress));
  const auto plain = load_model(folder.path / "plain.gguf");
  ASSERT_TRUE(plain);
  const auto original = logits(model);
  EXPECT_LT(apart(logits(*plain), logits(*rotated)), 1e-5);
  EXPECT_LT(apart(logits(*rotated), original), 0.1);

  // Quantized again without: the rotation of the input is undone first.
  o.rotation_seed.reset();
  quantized(*rotated, folder.path / "b.gguf", o);
  const auto again = load_model(folder.path / "b.gguf");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->layers[0].at(Linear::kDown).rotation);
  EXPECT_LT(apart(logits(*again), original), 0.2);
}

// A tokenizer that knows more tokens than there are rows is told before anything is looked up.
TEST(QuantizeModel, TokensBeyondTheVocabularyAreRefused) {
  const Folder folder;
  Model model = tiny();
  model.embedding = model.head = slice_rows(model.embedding, 0, 16);
  QuantizeOptions o = options("trellis");
  o.calibration.sources = {folder.path / "text.txt"};
  std::ofstream(o.calibration.sources[0]) << std::string(400, 'z');
  ThreadPool pool(1);
  Silent progress;
  const auto made = quantize_model(model, folder.path / "a.gguf", o,
                                   {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("of a vocabulary of 16"), std::string::npos)
      << made.error().message;
}

// The size of a file is promised before its sources are known: what it notes of them is bounded.
TEST(QuantizeModel, NotesOfTheCalibrationAreBounded) {
  const Folder folder;
  QuantizeOptions o = options("trellis");
  o.calibration.sources.clear();
  for (int i = 0; i < 64; ++i) {
    o.calibration.sources.push_back(folder.path / (std::string(40, 'n') + std::to_string(i)));
    std::ofstream(o.calibration.sources.back()) << std::string(100, 'a');
  }
  o.calibration.windows = 64;
  ThreadPool pool(1);
  Silent progress;
  const auto made = quantize_model(tiny(), folder.path / "a.gguf", o,
                                   {&pool, &kernels_for(Isa::kScalar)}, progress);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GT(made->calibration.size(), 3000u);
  const auto file = ModelFile::open(folder.path / "a.gguf");
  ASSERT_TRUE(file);
  const std::string note = *(*file)->metadata().string("planeloom.calibration");
  EXPECT_LE(note.size(), 2060u);
  EXPECT_TRUE(note.ends_with("; and more"));
}

TEST(Export, GivesTheDecodedWeights) {
  const Folder folder;
  const Model model = tiny();
  quantized(model, folder.path / "a.gguf", options("bpdq"));
  const auto squeezed = load_model(folder.path / "a.gguf");
  ASSERT_TRUE(squeezed);
  ThreadPool pool(2);
  Silent progress;
  for (DType type : {DType::kF16, DType::kQ8_0}) {
    ASSERT_TRUE(export_model(*squeezed, type, folder.path / "plain.gguf",
                             {&pool, &kernels_for(Isa::kScalar)}, progress));
    const auto plain = load_model(folder.path / "plain.gguf");
    ASSERT_TRUE(plain) << plain.error().message;
    const PackedMatrix &a = squeezed->layers[0].at(Linear::kUp),
                       &b = plain->layers[0].at(Linear::kUp);
    std::vector<float> x(static_cast<size_t>(a.cols)), y(x);
    for (int64_t r = 0; r < a.rows; ++r) {
      a.codec->decode_row(a, r, x.data());
      b.codec->decode_row(b, r, y.data());
      float top = 0;
      for (float v : x) top = std::max(top, std::fabs(v));
      // Half a step: 2^-11 relative for F16; for Q8_0 1/254 of the block's largest, whose scale is
      // itself rounded to fp16.
      const float bound = top * (type == DType::kF16 ? 0x1p-11f : 1.0f / 254 + 0x1p-11f);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], bound);
    }
    EXPECT_FALSE(plain->file->find("blk.0.ffn_up.weight.planes"));
  }
}

TEST(SecondMoments, AreTwoOverNTimesXtX) {
  ThreadPool pool(2);
  const Compute compute{&pool, &kernels_for(supported_isas().back())};
  const int64_t cols = 40, rows = 25;
  Rng rng(5);
  std::vector<float> x(static_cast<size_t>(rows * cols));
  for (float& v : x) v = static_cast<float>(rng.normal());
  SecondMoments moments(cols);
  moments.add(compute, {x.data(), 10, cols});
  moments.add(compute, {x.data() + 10 * cols, 15, cols});
  const auto h = moments.hessian();
  for (int64_t i = 0; i < cols; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      double want = 0;
      for (int64_t t = 0; t < rows; ++t) want += double(x[t * cols + i]) * x[t * cols + j];
      ASSERT_NEAR(h[i * cols + j], 2 * want / rows, 1e-4);
    }
}

}  // namespace
}  // namespace planeloom
