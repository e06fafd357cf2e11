#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "base/file.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

using test::TempDir;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Equal bit for bit, so that NaN equals itself.
bool same(const MetaValue& a, const MetaValue& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&]<class T>(const T& x) {
        const T& y = std::get<T>(b);
        if constexpr (std::is_floating_point_v<T>)
          return std::memcmp(&x, &y, sizeof(T)) == 0;
        else if constexpr (std::is_same_v<T, std::vector<float>> ||
                           std::is_same_v<T, std::vector<double>>)
          return x.size() == y.size() &&
                 (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(x[0])) == 0);
        else
          return x == y;
      },
      a);
}

template <size_t... I>
rc::Gen<MetaValue> any_value(std::index_sequence<I...>) {
  return rc::gen::oneOf(
      rc::gen::map(rc::gen::arbitrary<std::variant_alternative_t<I, MetaValue>>(),
                   [](auto v) { return MetaValue(std::in_place_index<I>, std::move(v)); })...);
}

/// What was written comes back: every key, every value in its own type, every byte of every tensor.
RC_GTEST_PROP(GgufWriter, RoundTrip, ()) {
  Metadata metadata;
  const auto values = *rc::gen::container<std::vector<MetaValue>>(
      any_value(std::make_index_sequence<std::variant_size_v<MetaValue>>()));
  for (size_t i = 0; i < values.size(); ++i) metadata.set("key." + std::to_string(i), values[i]);
  std::vector<TensorSpec> specs;
  std::vector<std::string> data;
  const DType types[] = {DType::kF32, DType::kF16, DType::kI8, DType::kQ8_0, DType::kQ4_K};
  const int count = *rc::gen::inRange(0, 6);
  for (int i = 0; i < count; ++i) {
    TensorSpec spec{"tensor." + std::to_string(i), types[*rc::gen::inRange(0, 5)], {}};
    spec.dims.push_back(*rc::gen::inRange(1, 4) * dtype_info(spec.type).block);
    for (int d = *rc::gen::inRange(0, 4); d > 0; --d) spec.dims.push_back(*rc::gen::inRange(1, 4));
    specs.push_back(spec);
    data.emplace_back(spec.bytes(), static_cast<char>('a' + i));
  }
  const TempDir dir;
  const auto path = dir.path() / "m.gguf";
  auto writer = GgufWriter::create(path, metadata, specs);
  RC_ASSERT(writer.has_value());
  for (const std::string& d : data) RC_ASSERT(writer->write_tensor(bytes_of(d)).has_value());
  RC_ASSERT(writer->commit().has_value());
  RC_ASSERT(*GgufWriter::size_of(metadata, specs) == std::filesystem::file_size(path));

  const auto file = open_gguf(path);
  RC_ASSERT(file.has_value());
  const auto& read = (*file)->metadata().entries();
  RC_ASSERT(read.size() == values.size() + 1);
  for (size_t i = 0; i < values.size(); ++i) {
    RC_ASSERT(read[i].first == "key." + std::to_string(i));
    RC_ASSERT(same(read[i].second, values[i]));
  }
  RC_ASSERT((*file)->metadata().integer_or("general.alignment", 0) == 64);
  RC_ASSERT((*file)->tensors().size() == specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const StoredTensor& t = (*file)->tensors()[i];
    RC_ASSERT(t.name == specs[i].name && t.type == specs[i].type);
    RC_ASSERT(std::equal(specs[i].dims.begin(), specs[i].dims.end(), t.dims.begin()));
    RC_ASSERT(t.data.size() == data[i].size() &&
              std::memcmp(t.data.data(), data[i].data(), data[i].size()) == 0);
    RC_ASSERT(reinterpret_cast<uintptr_t>(t.data.data()) % 64 == 0u);
  }
}

Result<GgufWriter> two_tensors(const std::filesystem::path& path) {
  return GgufWriter::create(path, {}, {{"a", DType::kF32, {4}}, {"b", DType::kI8, {3}}});
}

TEST(GgufWriter, PiecesMakeOneTensor) {
  const TempDir dir;
  const auto path = dir.path() / "m.gguf";
  auto writer = two_tensors(path);
  ASSERT_TRUE(writer) << writer.error().message;
  const std::string text = "0123456789abcdefXYZ";
  for (size_t i = 0; i < 16; i += 8) ASSERT_TRUE(writer->write(bytes_of(text).subspan(i, 8)));
  EXPECT_EQ(writer->next(), "b");
  ASSERT_TRUE(writer->write_tensor(bytes_of(text).subspan(16)));
  EXPECT_EQ(writer->next(), "");
  ASSERT_TRUE(writer->commit());
  const auto file = open_gguf(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(std::memcmp((*file)->find("a")->data.data(), text.data(), 16), 0);
  EXPECT_EQ(std::memcmp((*file)->find("b")->data.data(), text.data() + 16, 3), 0);
  EXPECT_EQ((*file)->file_bytes(), std::filesystem::file_size(path));
}

TEST(GgufWriter, WrongSizesAreErrorsAndLeaveNoFile) {
  const TempDir dir;
  const auto path = dir.path() / "m.gguf";
  const std::string text(64, 'x');
  {
    auto writer = two_tensors(path);
    ASSERT_TRUE(writer);
    EXPECT_FALSE(writer->write_tensor(bytes_of(text).first(15)));
    EXPECT_FALSE(writer->write(bytes_of(text).first(17)));
    ASSERT_TRUE(writer->write(bytes_of(text).first(8)));
    EXPECT_FALSE(writer->write_tensor(bytes_of(text).first(16)));
    EXPECT_FALSE(writer->commit());
    ASSERT_TRUE(writer->write(bytes_of(text).first(8)));
    ASSERT_TRUE(writer->write(bytes_of(text).first(3)));
    EXPECT_FALSE(writer->write(bytes_of(text).first(1)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(GgufWriter, RefusesBadSpecs) {
  const TempDir dir;
  const auto refused = [&](std::vector<TensorSpec> specs) {
    return !GgufWriter::create(dir.path() / "m.gguf", {}, std::move(specs)).has_value();
  };
  EXPECT_TRUE(refused({{"", DType::kF32, {4}}}));
  EXPECT_TRUE(refused({{std::string(64, 'n'), DType::kF32, {4}}}));
  EXPECT_FALSE(refused({{std::string(63, 'n'), DType::kF32, {4}}}));
  EXPECT_TRUE(refused({{"a", DType::kF32, {4}}, {"a", DType::kF32, {4}}}));
  EXPECT_TRUE(refused({{"a", DType::kF32, {}}}));
  EXPECT_TRUE(refused({{"a", DType::kF32, {0}}}));
  EXPECT_TRUE(refused({{"a", DType::kF32, {-4}}}));
  EXPECT_TRUE(refused({{"a", DType::kQ8_0, {33}}}));
  EXPECT_TRUE(refused({{"a", DType::kF32, {int64_t{1} << 40, int64_t{1} << 40}}}));
  EXPECT_TRUE(refused({{"a", static_cast<DType>(4), {32}}}));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(GgufWriter, DropsSplitKeysAndOldAlignment) {
  const TempDir dir;
  const auto path = dir.path() / "m.gguf";
  Metadata metadata;
  metadata.set("general.alignment", uint32_t{4096});
  metadata.set("split.count", uint16_t{7});
  auto writer = GgufWriter::create(path, metadata, {});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->commit());
  const auto file = open_gguf(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_FALSE((*file)->metadata().has("split.count"));
  EXPECT_EQ((*file)->metadata().integer_or("general.alignment", 0), 64);
}

}  // namespace
}  // namespace planeloom
