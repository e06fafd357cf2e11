// ModelFile over GGUF: matrices, vectors, Planeloom pairs, split files.
#include "formats/model_file.h"

#include <gtest/gtest.h>

#include "codecs/planes.h"
#include "codecs/rotation.h"
#include "codecs/row_parts.h"
#include "formats/gguf_builder.h"
#include "formats/planes_pair.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

using test::GgufBuilder;
using test::TempDir;

template <class T>
void expect_error(const Result<T>& result, const std::string& part) {
  ASSERT_FALSE(result) << "accepted, wanted: " << part;
  EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
}

TEST(ModelFile, OpensByContent) {
  const TempDir dir;
  GgufBuilder b;
  b.tensor({"w", {4, 2}, 0, 0});
  b.data_bytes = 32;
  const auto file = ModelFile::open(dir.write("weights.bin", b.build()));
  ASSERT_TRUE(file) << file.error().message;
  expect_error(ModelFile::open(dir.write("text.gguf", "not a model")),
               "neither a GGUF file nor a folder");
  expect_error(ModelFile::open(dir.write("empty.gguf", "")), "neither a GGUF file nor a folder");
  expect_error(ModelFile::open(dir.path() / "absent.gguf"), "absent.gguf");
  expect_error(ModelFile::open(dir.path()), "config.json");
}

TEST(ModelFile, MatricesAndVectors) {
  const TempDir dir;
  GgufBuilder b;
  b.tensor({"w", {32, 2}, 8, 0})
      .tensor({"v", {3}, 0, 96})
      .tensor({"i", {4, 2}, 26, 128})
      .tensor({"c", {2, 2, 2}, 0, 160});
  b.data_bytes = 192;
  const auto opened = ModelFile::open(dir.write("m", b.build()));
  ASSERT_TRUE(opened) << opened.error().message;
  const ModelFile& file = **opened;
  const auto w = file.matrix("w");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->rows, 2);
  EXPECT_EQ(w->cols, 32);
  EXPECT_EQ(w->codec, gguf_codec(DType::kQ8_0));
  EXPECT_EQ(file.vector("w")->size(), 64u);
  EXPECT_EQ(file.vector("v")->size(), 3u);
  EXPECT_EQ(file.vector("c")->size(), 8u);
  EXPECT_TRUE(file.has_matrix("w"));
  EXPECT_FALSE(file.has_matrix("x"));
  expect_error(file.matrix("v"), "a matrix wanted");
  expect_error(file.matrix("c"), "a matrix wanted");
  expect_error(file.matrix("i"), "I32 holds no weights");
  expect_error(file.vector("i"), "I32 holds no weights");
  expect_error(file.matrix("x"), "absent");
  expect_error(file.vector("x"), "absent");
}

TEST(ModelFile, VectorsAreBounded) {
  const TempDir dir;
  GgufBuilder b;
  b.tensor({"v", {(1 << 26) + 1}, 24, 0});  // I8, sparse on disk
  b.tensor({"h", {(1 << 26) + 8}, 1, (1 << 26) + 32});
  const auto path = dir.write("m", b.build());
  std::filesystem::resize_file(path, (int64_t{1} << 28));
  const auto file = ModelFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  expect_error((*file)->vector("h"), "more than 67108864 values");
}

struct PairFile {
  TempDir dir;
  std::filesystem::path path = dir.path() / "m.gguf";
  Metadata metadata;
  std::vector<TensorSpec> specs;
  EncodedMatrix matrix;

  PairFile() {
    matrix.codec = *codec_by_name("bitplane k=2 g=64");
    matrix.rows = 3;
    matrix.cols = 128;
    matrix.codes.resize(static_cast<size_t>(16 * matrix.codec->code_bytes(128)), std::byte{0x5a});
    matrix.coef.resize(static_cast<size_t>(16 * matrix.codec->coef_bytes(128)), std::byte{0x12});
    add_pair("blk.0.attn_q.weight", matrix.view(), metadata, specs);
  }
  /// Another matrix instead.
  void announce(std::string_view name, const PackedMatrix& other) {
    metadata = {};
    specs.clear();
    add_pair(name, other, metadata, specs);
  }
  /// Writes specs as they now stand, filled with zeros, and opens the file.
  Result<std::shared_ptr<const ModelFile>> zeros() {
    PL_TRY(GgufWriter writer, GgufWriter::create(path, metadata, specs));
    for (const TensorSpec& spec : specs)
      PL_CHECK(writer.write_tensor(std::vector<std::byte>(spec.bytes())));
    PL_CHECK(writer.commit());
    return ModelFile::open(path);
  }
};

TEST(PlanesPair, RoundTrip) {
  PairFile f;
  auto writer = GgufWriter::create(f.path, f.metadata, f.specs);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(write_pair(*writer, "blk.0.attn_q.weight", f.matrix.view()));
  ASSERT_TRUE(writer->commit());
  const auto file = ModelFile::open(f.path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->has_matrix("blk.0.attn_q.weight"));
  const auto w = (*file)->matrix("blk.0.attn_q.weight");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->codec, f.matrix.codec);
  EXPECT_EQ(w->rows, 3);
  EXPECT_EQ(w->cols, 128);
  EXPECT_TRUE(std::ranges::equal(w->codes, f.matrix.codes));
  EXPECT_TRUE(std::ranges::equal(w->coef, f.matrix.coef));
  EXPECT_FALSE(w->rotation);
}

TEST(PlanesPair, RotationRoundTrip) {
  PairFile f;
  PackedMatrix rotated = f.matrix.view();
  const auto rotation = Rotation::make(128, 4000000000u);
  ASSERT_TRUE(rotation);
  rotated.rotation = *rotation;
  f.announce("blk.0.attn_q.weight", rotated);
  const auto file = f.zeros();
  ASSERT_TRUE(file) << file.error().message;
  const auto w = (*file)->matrix("blk.0.attn_q.weight");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->rotation, *rotation);
}

/// Two parts, the first as it came.
PackedMatrix two_parts(const PackedMatrix& second, std::vector<std::byte>& bytes) {
  const Codec* codec = gguf_codec(DType::kQ8_0);
  bytes.resize(static_cast<size_t>(2 * codec->code_bytes(128)), std::byte{0x11});
  return *join_rows({{codec, 2, 128, bytes, {}}, second});
}

TEST(PlanesPair, PartsRoundTrip) {
  PairFile f;
  std::vector<std::byte> bytes;
  const PackedMatrix whole = two_parts(f.matrix.view(), bytes);
  f.announce("token_embd.weight", whole);
  auto writer = GgufWriter::create(f.path, f.metadata, f.specs);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(write_pair(*writer, "token_embd.weight", whole));
  ASSERT_TRUE(writer->commit());
  const auto file = ModelFile::open(f.path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->has_matrix("token_embd.weight"));
  const auto w = (*file)->matrix("token_embd.weight");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->rows, 5);
  ASSERT_EQ(w->parts->size(), 2u);
  EXPECT_EQ((*w->parts)[0].codec, gguf_codec(DType::kQ8_0));
  EXPECT_TRUE(std::ranges::equal((*w->parts)[0].codes, bytes));
  EXPECT_EQ((*w->parts)[1].codec, f.matrix.codec);
  EXPECT_TRUE(std::ranges::equal((*w->parts)[1].codes, f.matrix.codes));
  const Metadata& m = (*file)->metadata();
  EXPECT_EQ(whole_name(m, "token_embd.weight.0"), "token_embd.weight");
  EXPECT_EQ(whole_name(m, pair_name(m, "token_embd.weight.1.coef")), "token_embd.weight");
  EXPECT_EQ(whole_name(m, "blk.0.attn_q.weight"), "blk.0.attn_q.weight");
}

TEST(PlanesPair, PartsAreChecked) {
  const PairFile pair;
  std::vector<std::byte> bytes;
  const PackedMatrix whole = two_parts(pair.matrix.view(), bytes);
  const auto matrix = [&](const auto& change) {
    PairFile f;
    f.announce("w", whole);
    change(f);
    const auto file = f.zeros();
    EXPECT_TRUE(file) << file.error().message;
    return (*file)->matrix("w");
  };
  EXPECT_TRUE(matrix([](PairFile&) {}));
  for (const int64_t count : {int64_t{0}, int64_t{-1}, int64_t{65}, int64_t{1} << 40})
    expect_error(matrix([&](PairFile& f) { f.metadata.set("planeloom.parts.w", count); }),
                 "1 to 64 wanted");
  expect_error(matrix([](PairFile& f) { f.metadata.set("planeloom.parts.w", int64_t{3}); }),
               "w.2 is absent");
  expect_error(matrix([](PairFile& f) { f.metadata.set("planeloom.parts.w", std::string("2")); }),
               "planeloom.parts.w");
  expect_error(matrix([](PairFile& f) { f.specs[0].dims = {64, 2}; }), "64 and 128 columns");
  // A part that is in parts is none: only the whole may be.
  expect_error(matrix([](PairFile& f) {
                 f.specs.erase(f.specs.begin());
                 f.metadata.set("planeloom.parts.w.0", int64_t{1});
               }),
               "w.0 is absent");
}

TEST(PlanesPair, WriterRefusesAnotherTensorOrSize) {
  PairFile f;
  auto writer = GgufWriter::create(f.path, f.metadata, f.specs);
  ASSERT_TRUE(writer);
  expect_error(write_pair(*writer, "other", f.matrix.view()), "is next");
  f.matrix.codes.pop_back();
  expect_error(write_pair(*writer, "blk.0.attn_q.weight", f.matrix.view()), "rows of");
}

TEST(PlanesPair, RefusesMalformedPairs) {
  const std::string name = "blk.0.attn_q.weight";
  const auto refused = [&](const std::string& part, auto change) {
    PairFile f;
    change(f);
    const auto file = f.zeros();
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE((*file)->has_matrix(name));
    expect_error((*file)->matrix(name), part);
  };
  refused("quantize the original again",
          [&](PairFile& f) { f.metadata.set(std::string(kLayoutKey), int64_t{1}); });
  refused("unknown format",
          [&](PairFile& f) { f.metadata.set(codec_key(name), std::string("bitplane k=2")); });
  refused("not a string", [&](PairFile& f) { f.metadata.set(codec_key(name), uint32_t{2}); });
  refused("32 bits wanted", [&](PairFile& f) { f.metadata.set(rotation_key(name), int64_t{-1}); });
  refused("32 bits wanted",
          [&](PairFile& f) { f.metadata.set(rotation_key(name), int64_t{1} << 32); });
  refused("rotation", [&](PairFile& f) { f.metadata.set(rotation_key(name), std::string("x")); });
  // A width that would cost gigabytes is refused by the size of the data before.
  refused("rows of", [&](PairFile& f) {
    f.metadata.set(shape_key(name), std::vector<int64_t>{16, int64_t{1} << 30});
    f.metadata.set(rotation_key(name), int64_t{1});
  });
  refused("two integers",
          [&](PairFile& f) { f.metadata.set(shape_key(name), std::vector<int64_t>{3}); });
  refused("two integers", [&](PairFile& f) { f.metadata.set(shape_key(name), int64_t{3}); });
  refused("out of range",
          [&](PairFile& f) { f.metadata.set(shape_key(name), std::vector<int64_t>{-3, 128}); });
  refused("out of range", [&](PairFile& f) {
    f.metadata.set(shape_key(name), std::vector<int64_t>{INT64_MAX, 128});
  });
  refused("rows of", [&](PairFile& f) {
    f.metadata.set(shape_key(name), std::vector<int64_t>{int64_t{1} << 40, int64_t{1} << 40});
  });
  refused("rows of",
          [&](PairFile& f) { f.metadata.set(shape_key(name), std::vector<int64_t>{17, 128}); });
  refused("multiple",
          [&](PairFile& f) { f.metadata.set(shape_key(name), std::vector<int64_t>{3, 96}); });
  refused("planes is absent", [&](PairFile& f) { f.specs.erase(f.specs.begin()); });
  refused("coefficients", [&](PairFile& f) { f.specs.pop_back(); });
  refused("I8 with one wanted", [&](PairFile& f) { f.specs[0].type = DType::kF32; });
  refused("I8 with one wanted", [&](PairFile& f) { f.specs[0].dims.push_back(2); });
}

TEST(SplitGguf, FilesAreJoined) {
  const TempDir dir;
  const auto shard = [](uint16_t number, uint16_t count, const std::string& tensor) {
    GgufBuilder b;
    b.entry("split.no", 2, test::Bytes().put(number).text())
        .entry("split.count", 2, test::Bytes().put(count).text());
    b.entry("split.tensors.count", 5, test::Bytes().put<int32_t>(2).text());
    b.tensor({tensor, {8}, 0, 0});
    b.data_bytes = 32;
    return b.build();
  };
  const auto first = dir.write("m-00001-of-00002.gguf", shard(0, 2, "a"));
  expect_error(ModelFile::open(first), "m-00002-of-00002.gguf");
  const auto second = dir.write("m-00002-of-00002.gguf", shard(1, 2, "b"));
  const auto file = ModelFile::open(first);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE((*file)->find("a") && (*file)->find("b"));
  EXPECT_EQ((*file)->file_bytes(),
            std::filesystem::file_size(first) + std::filesystem::file_size(second));
  expect_error(ModelFile::open(second), "open the first");
  dir.write("m-00002-of-00002.gguf", shard(1, 2, "a"));
  expect_error(ModelFile::open(first), "occurs in two files");
  dir.write("m-00002-of-00002.gguf", shard(0, 2, "b"));
  expect_error(ModelFile::open(first), "do not say file 2 of 2");
  expect_error(ModelFile::open(dir.write("renamed.gguf", shard(0, 2, "a"))), "open the first");
  expect_error(ModelFile::open(dir.write("m-00001-of-65535.gguf", shard(0, 65535, "a"))),
               "split.count");
}

}  // namespace
}  // namespace planeloom
