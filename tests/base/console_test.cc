#include "base/console.h"

#include <gtest/gtest.h>

namespace planeloom {
namespace {

TEST(OneLine, NoControlCharacters) { EXPECT_EQ(one_line("a\nb\033[31m\x7f"), "a b [31m "); }

TEST(OneLine, LongOnesAreCutBetweenCharacters) {
  EXPECT_EQ(one_line(std::string(2000, 'x')).size(), 2000u);
  for (size_t before = 1990; before < 2004; ++before) {
    const std::string line = one_line(std::string(before, 'x') + "ää" + std::string(100, 'y'));
    EXPECT_LE(line.size(), 2003u);
    EXPECT_TRUE(line.ends_with("…"));
    const std::string cut = line.substr(0, line.size() - 3);
    EXPECT_TRUE(cut.ends_with("x") || cut.ends_with("ä") || cut.ends_with("y")) << before;
  }
}

}  // namespace
}  // namespace planeloom
