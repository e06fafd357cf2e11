#include "inspect_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decode/tiny_text.h"
#include "models/session.h"

namespace planeloom {
namespace {

TEST(Inspect, PlanePairsCountAsOneTensor) {
  TinyOptions options = tiny_text_options();
  options.ffn = 128;
  options.storage = "bitplane k=2 g=64";
  const auto file = make_tiny_model(options);
  const auto lines = tensor_lines(*file);
  int planes = 0;
  for (const TensorLine& line : lines) {
    EXPECT_EQ(line.name.find(".coef"), std::string::npos);
    if (line.codec != "bitplane k=2 g=64") continue;
    ++planes;
    EXPECT_DOUBLE_EQ(line.bits_per_weight(), 2.75);  // 2 bits and three half floats per 64
    EXPECT_EQ(line.shape.size(), 2u);
  }
  EXPECT_EQ(planes, 2 * 7);
  const Totals totals = model_totals(file, lines, 100);
  const Model model = load_model(file).value();
  EXPECT_EQ(totals.problem, "");
  EXPECT_EQ(totals.parameters, parameter_count(model));
  EXPECT_DOUBLE_EQ(totals.bits_per_weight_linear, 2.75);
  EXPECT_DOUBLE_EQ(totals.bits_per_weight_file, 8.0 * static_cast<double>(file->file_bytes()) /
                                                    static_cast<double>(parameter_count(model)));
  EXPECT_EQ(totals.context, 100);
  EXPECT_EQ(totals.cache_bytes, static_cast<uint64_t>(cache_bytes(model.config, 100, DType::kF16)));
  EXPECT_EQ(totals.memory_bytes(), totals.weight_bytes + totals.cache_bytes + totals.scratch_bytes);
}

TEST(Inspect, AModelThatCannotRunIsStillShown) {
  const auto file = make_tiny_model(tiny_text_options());
  file->set("general.architecture", std::string("mamba"));
  const Totals totals = model_totals(file, tensor_lines(*file), 0);
  EXPECT_EQ(totals.architecture, "mamba");
  EXPECT_GT(totals.parameters, 0);
  EXPECT_NE(totals.problem, "");
}

TEST(Inspect, APairThatIsMalformedIsShownAsStored) {
  TinyOptions options = tiny_text_options();
  options.ffn = 128;
  options.storage = "bitplane k=2 g=64";
  const auto file = make_tiny_model(options);
  file->set("planeloom.shape.blk.0.attn_q.weight", std::vector<int64_t>{1, 1});
  bool stored = false;
  for (const TensorLine& line : tensor_lines(*file))
    stored |= line.name == "blk.0.attn_q.weight.coef";
  EXPECT_TRUE(stored);
}

TEST(Inspect, ScratchIsNearWhatASessionTakes) {
  // Counted by hand for one pass of 512 tokens: width 64, heads 4 x 16, kv 2 x 16, ffn 96.
  const auto file = make_tiny_model(tiny_text_options());
  const Totals totals = model_totals(file, tensor_lines(*file), 0);
  const uint64_t floats = 4 * 64 + 2 * 64 + 2 * 32 + 2 * 96;
  EXPECT_GE(totals.scratch_bytes, 512 * 4 * floats);
  EXPECT_LE(totals.scratch_bytes, 2 * 512 * 4 * floats);
}

TEST(Inspect, Values) {
  EXPECT_EQ(describe(uint8_t{7}), "7");
  EXPECT_EQ(describe(true), "true");
  EXPECT_EQ(describe(1.5f), "1.5");
  EXPECT_EQ(describe(std::string("a\nb\x1b")), "a\\nb\\x1b");
  EXPECT_EQ(describe(std::vector<int32_t>{1, 2, 3}), "[1, 2, 3]");
  EXPECT_EQ(describe(std::vector<uint8_t>(1000, 9)), "[9, 9, 9, 9, 9, 9, ... 1000 in all]");
  EXPECT_EQ(describe(std::vector<bool>{true, false}), "[true, false]");
  EXPECT_EQ(describe(std::vector<std::string>{"x"}), "[\"x\"]");
  EXPECT_EQ(meta_json(std::vector<float>(17, 0)).dump(), "{\"length\":17}");
  EXPECT_EQ(meta_json(std::vector<uint32_t>{1, 2}).dump(), "[1,2]");
  EXPECT_EQ(meta_json(std::string("s")).dump(), "\"s\"");
}

TEST(Inspect, AbbreviatedTextKeepsWholeCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("ab\u00e9", 3), "ab...");
  EXPECT_EQ(printable("abc", 3), "abc");
}

}  // namespace
}  // namespace planeloom
