#include "compress/memory.h"

#include <gtest/gtest.h>

#include "compress/run_helpers.h"

namespace planeloom {
namespace {

QuantizeOptions options(int64_t windows) {
  QuantizeOptions o;
  o.quant.method = "trellis";
  o.calibration.windows = windows;
  return o;
}

TEST(Memory, GrowsWithWhatIsKept) {
  const Model model = tiny();
  const QuantizeOptions plain = options(32);
  const uint64_t bytes = quantize_memory(model, plain);
  EXPECT_EQ(quantize_memory(model, options(64)) - bytes,
            uint64_t(32 * 512 * model.config.width) * sizeof(float));
  QuantizeOptions more = plain;
  more.upstream = 1;  // the text a second time, and its statistics
  EXPECT_GT(quantize_memory(model, more) - bytes,
            uint64_t(32 * 512 * model.config.width) * sizeof(float));
  more = plain;
  more.guide_windows = 4;
  EXPECT_EQ(quantize_memory(model, more) - bytes, OutputMoments::bytes(model));
  more.learn_bytes = 1000;  // less than what comes after it
  EXPECT_EQ(quantize_memory(model, more) - bytes, OutputMoments::bytes(model));
  more.learn_bytes = uint64_t{1} << 40;
  EXPECT_GT(quantize_memory(model, more), uint64_t{1} << 40);
  more = plain;
  more.calibration.sources = {std::string(kNoSource)};
  EXPECT_LT(quantize_memory(model, more), bytes);
}

TEST(Memory, AsManyWindowsAsFit) {
  const Model model = tiny();
  for (const int64_t windows : {1, 2, 17, 31, 32}) {
    const uint64_t enough = quantize_memory(model, options(windows));
    const auto got = windows_within(model, options(32), enough);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, windows);
    const auto less = windows_within(model, options(32), enough - 1);
    if (windows == 1) {
      ASSERT_FALSE(less);
      EXPECT_NE(less.error().message.find("MB are needed even for a text of 512 tokens"),
                std::string::npos);
    } else {
      EXPECT_EQ(*less, windows - 1);
    }
  }
  EXPECT_EQ(*windows_within(model, options(32), uint64_t{1} << 40), 32);
}

/// Every source is read.
TEST(Memory, NoFewerWindowsThanSources) {
  const Model model = tiny();
  QuantizeOptions o = options(32);
  o.calibration.sources = {"a.txt", "b.txt", "c.txt"};
  EXPECT_EQ(*windows_within(model, o, quantize_memory(model, options(3))), 3);
  EXPECT_FALSE(windows_within(model, o, quantize_memory(model, options(2))));
}

}  // namespace
}  // namespace planeloom
