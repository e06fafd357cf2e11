// The GGUF reader on good files and on every kind of hostile one: each is a clear error, none a
// crash.
#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>

#include "formats/gguf_builder.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

using test::as_bytes;
using test::Bytes;
using test::GgufBuilder;

GgufBuilder good() {
  GgufBuilder b;
  b.string("general.architecture", "llama").u32("llama.block_count", 2);
  b.tensor({"a", {8}, 0, 0})
      .tensor({"b", {32, 2}, 8, 32});  // F32: 32 bytes, then Q8_0: 2 rows of 34
  b.data_bytes = 32 + 68;
  return b;
}

/// The message of the refusal; empty (and a failed test) when the file is accepted.
std::string refusal(const std::string& file) {
  const auto contents = parse_gguf(as_bytes(file));
  EXPECT_FALSE(contents) << "accepted";
  return contents ? std::string() : contents.error().message;
}
std::string refusal(const GgufBuilder& b) { return refusal(b.build()); }

void expect_has(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

TEST(GgufReader, ReadsMetadataAndTensors) {
  const std::string file = good().build();
  const auto contents = parse_gguf(as_bytes(file));
  ASSERT_TRUE(contents) << contents.error().message;
  EXPECT_EQ(contents->version, 3u);
  EXPECT_EQ(contents->metadata.string_or("general.architecture", ""), "llama");
  ASSERT_EQ(contents->tensors.size(), 2u);
  const StoredTensor& b = contents->tensors[1];
  EXPECT_EQ(b.type, DType::kQ8_0);
  EXPECT_EQ(b.n_dims, 2);
  EXPECT_EQ(b.dims, (std::array<int64_t, 4>{32, 2, 1, 1}));
  EXPECT_EQ(b.data.size(), 68u);
  EXPECT_EQ(b.data.data(), as_bytes(file).data() + contents->data_offset + 32);
}

TEST(GgufReader, ReadsVersion2AndEveryValueType) {
  GgufBuilder b = good();
  b.version = 2;
  b.entry("u8", 0, Bytes().put<uint8_t>(200).text()).entry("i8", 1, Bytes().put<int8_t>(-3).text());
  b.entry("u16", 2, Bytes().put<uint16_t>(60000).text())
      .entry("i16", 3, Bytes().put<int16_t>(-300).text());
  b.entry("i32", 5, Bytes().put<int32_t>(-70000).text()).entry("f32", 6, Bytes().put(1.5f).text());
  b.entry("yes", 7, Bytes().put<uint8_t>(1).text())
      .entry("u64", 10, Bytes().u64(uint64_t{1} << 63).text());
  b.entry("i64", 11, Bytes().put<int64_t>(-5).text()).entry("f64", 12, Bytes().put(2.25).text());
  b.array("words", 8, 2, Bytes().string("one").string(std::string("a\0b", 3)).text());
  b.array("flags", 7, 3, std::string("\1\0\1", 3)).array("none", 4, 0, "");
  const std::string file = b.build();
  const auto contents = parse_gguf(as_bytes(file));
  ASSERT_TRUE(contents) << contents.error().message;
  const Metadata& m = contents->metadata;
  EXPECT_EQ(m.integer_or("u8", 0), 200);
  EXPECT_EQ(m.integer_or("i8", 0), -3);
  EXPECT_EQ(m.integer_or("u16", 0), 60000);
  EXPECT_EQ(m.integer_or("i16", 0), -300);
  EXPECT_EQ(m.integer_or("i32", 0), -70000);
  EXPECT_EQ(m.number_or("f32", 0), 1.5);
  EXPECT_TRUE(m.boolean_or("yes", false));
  EXPECT_FALSE(m.integer("u64"));  // beyond int64
  EXPECT_EQ(m.integer_or("i64", 0), -5);
  EXPECT_EQ(m.number_or("f64", 0), 2.25);
  ASSERT_TRUE(m.strings("words"));
  EXPECT_EQ((*m.strings("words"))[1],
            std::string("a\0b", 3));  // values are bytes: a zero byte is data
  EXPECT_EQ(m.integers("flags"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(m.integers("none"), std::vector<int64_t>());
}

TEST(GgufReader, RefusesEveryTruncation) {
  const std::string file = good().build();
  for (size_t n = 0; n < file.size(); ++n)
    EXPECT_FALSE(parse_gguf(as_bytes(file.substr(0, n))))
        << n << " of " << file.size() << " bytes accepted";
}

TEST(GgufReader, RefusesTwentyBytes) {
  expect_has(refusal(good().build().substr(0, 20)), "ends inside the counts");
}

TEST(GgufReader, RefusesForeignHeaders) {
  GgufBuilder b = good();
  b.magic = "GGML";
  expect_has(refusal(b), "no GGUF magic");
  b = good();
  b.version = 1;
  expect_has(refusal(b), "version 1");
  b.version = 4;
  expect_has(refusal(b), "version 4");
  b.version = 0x03000000;
  expect_has(refusal(b), "big-endian");
  b.version = 0;
  expect_has(refusal(b), "version 0");
}

TEST(GgufReader, RefusesImpossibleCounts) {
  for (const int64_t count : {int64_t{3}, int64_t{1} << 32, int64_t{1} << 62, INT64_MAX}) {
    GgufBuilder b = good();
    b.tensor_count = count;
    b.data_bytes = count == 3 ? 0 : b.data_bytes;
    refusal(b);
    b = good();
    b.entry_count = count;
    refusal(b);
  }
  std::string file = good().build();
  const uint64_t huge = uint64_t{1} << 63;
  std::memcpy(file.data() + 8, &huge, 8);
  expect_has(refusal(file), "cannot fit");
  file = good().build();
  std::memcpy(file.data() + 16, &huge, 8);
  expect_has(refusal(file), "cannot fit");
}

TEST(GgufReader, RefusesBadKeys) {
  GgufBuilder b = good();
  b.u32("llama.block_count", 3);
  expect_has(refusal(b), "llama.block_count occurs twice");
  expect_has(refusal(good().u32("", 1)), "a key of 0 bytes");
  expect_has(refusal(good().u32(std::string("a\0b", 3), 1)), "a key of 3 bytes");
  expect_has(refusal(good().u32("\x1b[2J", 1)), "a key of 4 bytes");
  expect_has(refusal(good().u32(std::string(70000, 'k'), 1)), "a key of 70000 bytes");
  b = good();
  b.entries.push_back(Bytes().u64(uint64_t{1} << 63).raw("abc").text());
  expect_has(refusal(b), "ends inside the key of metadata entry 2");
}

TEST(GgufReader, RefusesBadValues) {
  expect_has(refusal(good().entry("x", 13, "12345678")), "unknown value type 13");
  expect_has(refusal(good().entry("x", 0xffffffff, "12345678")), "unknown value type");
  expect_has(refusal(good().entry("x", 7, "\2")), "a boolean of 2");
  expect_has(refusal(good().entry("x", 8, Bytes().u64(UINT64_MAX).raw("abc").text())),
             "ends inside metadata key x");
}

TEST(GgufReader, RefusesBadArrays) {
  expect_has(refusal(good().array("x", 9, 1, Bytes().u32(4).u64(0).text())), "arrays of arrays");
  expect_has(refusal(good().array("x", 99, 1, "aaaa")), "unknown element type 99");
  expect_has(refusal(good().array("x", 7, 2, "\1\3")), "no boolean");
  for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u, 11u, 12u})
    for (const uint64_t count :
         {uint64_t{1} << 20, uint64_t{1} << 61, uint64_t{1} << 63, UINT64_MAX})
      expect_has(refusal(good().array("x", type, count, "abcdefgh")), "elements in a file of");
  expect_has(refusal(good().array("x", 8, 2, Bytes().string("a").u64(uint64_t{1} << 40).text())),
             "string 1");
}

TEST(GgufReader, RefusesBadAlignments) {
  for (const uint32_t alignment : {0u, 1u, 4u, 24u, 33u, 131072u, 0xffffffffu})
    expect_has(refusal(good().u32("general.alignment", alignment)), "general.alignment is");
  expect_has(refusal(good().string("general.alignment", "32")), "not an integer");
  GgufBuilder b = good();
  b.tensors[1].offset = 40;
  expect_has(refusal(b), "not a multiple of the alignment 32");
  b.u32("general.alignment", 8);
  b.data_bytes += 64;
  EXPECT_TRUE(parse_gguf(as_bytes(b.build())));
}

TEST(GgufReader, RefusesBadTensorNames) {
  GgufBuilder b = good();
  b.tensors[1].name = "a";
  expect_has(refusal(b), "tensor a occurs twice");
  for (const std::string& name :
       {std::string(), std::string("a\0b", 3), std::string("a\nb"), std::string(256, 'n')}) {
    b.tensors[1].name = name;
    expect_has(refusal(b), "tensor 1: a name of " + std::to_string(name.size()) + " bytes");
  }
}

TEST(GgufReader, RefusesBadShapes) {
  const auto with = [](std::vector<uint64_t> dims, uint32_t type = 0) {
    GgufBuilder b = good();
    b.tensors[1].dims = std::move(dims);
    b.tensors[1].type = type;
    return refusal(b);
  };
  expect_has(with({}), "0 dimensions");
  expect_has(with({1, 1, 1, 1, 1}), "5 dimensions");
  expect_has(with({0}), "dimension 0 is 0");
  expect_has(with({4, 0}), "dimension 1 is 0");
  expect_has(with({uint64_t{1} << 63}), "dimension 0 is");
  expect_has(with({UINT64_MAX}), "dimension 0 is");
  expect_has(with({uint64_t{1} << 32, uint64_t{1} << 32}), "too many elements");
  expect_has(with({uint64_t{1} << 31, uint64_t{1} << 31}),
             "too many elements");  // bytes overflow, elements do not
  expect_has(with({uint64_t{1} << 30, 2}), "reach beyond");
  expect_has(with({33}, 8), "needs a multiple of 32");
  expect_has(with({128}, 12), "needs a multiple of 256");
  expect_has(with({32}, 4), "element type 4");    // once Q4_2
  expect_has(with({32}, 39), "element type 39");  // MXFP4
  expect_has(with({32}, 0xffffffff), "element type");
}

TEST(GgufReader, RefusesBadOffsets) {
  GgufBuilder b = good();
  b.tensors[1].offset = 0;
  expect_has(refusal(b), "tensors a and b overlap");
  b = good();
  b.tensors[0].offset = 64;  // inside b, which has 68 bytes from 32
  b.data_bytes += 64;
  expect_has(refusal(b), "tensors b and a overlap");
  for (const uint64_t offset :
       {uint64_t{64}, uint64_t{1} << 40, uint64_t{1} << 63, UINT64_MAX - 31}) {
    b = good();
    b.tensors[1].offset = offset;
    expect_has(refusal(b), "reach beyond");
  }
}

TEST(GgufReader, AcceptsHolesAndNoTensors) {
  GgufBuilder b = good();
  b.tensors[1].offset = 96;
  b.data_bytes = 96 + 68;
  EXPECT_TRUE(parse_gguf(as_bytes(b.build())));
  GgufBuilder empty;
  empty.alignment = 0;  // a file that ends with its front
  const auto contents = parse_gguf(as_bytes(empty.build()));
  ASSERT_TRUE(contents) << contents.error().message;
  EXPECT_TRUE(contents->tensors.empty());
}

/// Opening must not copy what a count merely claims: a 4 KB file cannot cost much memory whatever
/// it says.
TEST(GgufReader, FlippedBytesNeverCrash) {
  GgufBuilder b = good();
  b.array("words", 8, 3, Bytes().string("one").string("two").string("three").text());
  const std::string file = b.build();
  for (size_t at = 0; at < file.size(); ++at)
    for (const int bit : {0, 3, 7}) {
      std::string bad = file;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      const auto contents = parse_gguf(as_bytes(bad));
      if (!contents) {
        EXPECT_EQ(contents.error().message.rfind("[", 0), 0u);
      }
    }
}

// A file of a 72B model's size, without its data on the disk: what is checked are sizes and
// offsets, so no page beyond the front is read, and opening takes as long as for a small file.
TEST(GgufReader, AFileOf20GigabytesOpensWithoutTouchingItsData) {
  GgufBuilder b;
  b.string("general.architecture", "qwen2").u32("general.alignment", 64);
  b.alignment = 64;
  const uint64_t rows = uint64_t{1} << 18, cols = 136;  // 34 MiB
  uint64_t offset = 0;
  for (int i = 0; i < 560; ++i, offset += rows * cols)
    b.tensor({"blk." + std::to_string(i), {cols * rows}, 24, offset});  // I8
  test::TempDir dir;
  const std::string front = b.build();
  const auto path = dir.write("big.gguf", front);
  std::error_code error;
  std::filesystem::resize_file(path, front.size() + offset, error);
  if (error) GTEST_SKIP() << "no room for a sparse file: " << error.message();
  ASSERT_GT(offset, 19'900'000'000u);
  const auto file = open_gguf(path);
  ASSERT_TRUE(file) << file.error().message;
  size_t pages = 0;
  std::vector<unsigned char> present;
  for (const StoredTensor& t : (*file)->tensors()) {
    const auto at = reinterpret_cast<uintptr_t>(t.data.data()) & ~uintptr_t{4095};
    present.resize(t.data.size() / 4096 + 2);
    ASSERT_EQ(mincore(reinterpret_cast<void*>(at), t.data.size(), present.data()), 0);
    for (size_t i = 0; i < t.data.size() / 4096; ++i) pages += present[i] & 1;
  }
  EXPECT_LT(pages, 1024u) << "reading ahead of the front is all that may be there";
}

}  // namespace
}  // namespace planeloom
