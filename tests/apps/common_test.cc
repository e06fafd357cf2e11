#include "common.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "formats/pull.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

TEST(ParseBytes, UnitsAndWhatIsNone) {
  const std::pair<const char*, uint64_t> good[] = {
      {"800000", 800'000},       {"60MB", 60'000'000},      {"60 m", 60'000'000},
      {"1.5GiB", 1'610'612'736}, {"0.07 G", 70'000'000},    {"1e3", 1000},
      {"64ki", 65'536},          {"2TB", 2'000'000'000'000}};
  for (const auto& [text, bytes] : good) {
    const auto got = parse_bytes(text);
    ASSERT_TRUE(got) << text;
    EXPECT_EQ(*got, bytes) << text;
  }
  for (const char* text : {"", "0", "-5", "abc", "60XB", "60i", "nan", "inf",
                           "99999999999999999999", "5 kmb", "0.2", "60MB.", "0x10"})
    EXPECT_FALSE(parse_bytes(text)) << text;
}

TEST(Nearest, FindsMisspeltAndPartialNames) {
  const std::vector<std::string> commands{"run", "chat", "inspect", "quantize", "perplexity"};
  EXPECT_EQ(nearest("rnu", commands), "run");
  EXPECT_EQ(nearest("quantise", commands), "quantize");
  EXPECT_EQ(nearest("perplex", commands), "perplexity");
  EXPECT_EQ(nearest("INSPECT", commands), "inspect");
  EXPECT_EQ(nearest("serve", commands), "");
  EXPECT_EQ(nearest("", commands), "");
  EXPECT_EQ(nearest("run", {}), "");
  EXPECT_EQ(nearest("smollm2", {"gemma-3-270m", "smollm2-135m-instruct"}), "smollm2-135m-instruct");
  EXPECT_EQ(nearest(std::string(100000, 'x'), commands), "");
}

TEST(Format, Bytes) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(98362432), "98.4 MB");
  EXPECT_EQ(human_bytes(12345678901), "12.35 GB");
}

TEST(Format, Grouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(134515008), "134,515,008");
  EXPECT_EQ(grouped(-123456), "-123,456");
}

TEST(PeakMemory, Grows) {
  const uint64_t before = peak_rss_bytes();
  std::vector<char> block(64 << 20, 1);
  EXPECT_GE(peak_rss_bytes(), before + (32 << 20)) << block[block.size() / 2];
}

class ResolveModel : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("PLANELOOM_CACHE", dir_.path().c_str(), 1);
    std::filesystem::create_directories(dir_.path() / "models" / "a-folder");
    dir_.write("models/tiny-135m-instruct.gguf", "x");
    dir_.write("here.bin", "x");
  }
  void TearDown() override { unsetenv("PLANELOOM_CACHE"); }
  static std::string error(const std::string& name) {
    const auto path = resolve_model(name);
    return path ? "found " + path->string() : path.error().message;
  }
  test::TempDir dir_;
};

TEST_F(ResolveModel, PathsAndPulledNames) {
  EXPECT_EQ(resolve_model((dir_.path() / "here.bin").string()).value(), dir_.path() / "here.bin");
  const auto pulled = dir_.path() / "models" / "tiny-135m-instruct.gguf";
  EXPECT_EQ(resolve_model("tiny-135m-instruct").value(), pulled);
  EXPECT_EQ(resolve_model("tiny-135m-instruct.gguf").value(), pulled);
  EXPECT_EQ(resolve_model("a-folder").value(), dir_.path() / "models" / "a-folder");
}

TEST_F(ResolveModel, ErrorsHelp) {
  EXPECT_NE(error("tiny-135m-instuct").find("did you mean 'tiny-135m-instruct'?"),
            std::string::npos);
  EXPECT_NE(error("tiny").find("did you mean 'tiny-135m-instruct'?"), std::string::npos);
  const std::string name = pull_table().front().name;
  EXPECT_NE(error(name).find("`planeloom pull " + name + "` fetches it"), std::string::npos);
  EXPECT_NE(error(name + "x").find("did you mean '" + name + "'?"), std::string::npos);
  EXPECT_NE(error("phi-99").find("neither a file nor a pulled model"), std::string::npos);
  EXPECT_NE(error("/no/such/model").find("no such file"), std::string::npos);
  EXPECT_NE(error("absent.gguf").find("no such file"), std::string::npos);
  EXPECT_NE(error("../here.bin").find("no such file"),
            std::string::npos);  // not relative to the cache
  EXPECT_NE(error("").find("[model]"), std::string::npos);
}

}  // namespace
}  // namespace planeloom
