#include "base/result.h"

#include <gtest/gtest.h>

namespace planeloom {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return fail("[half] {} is odd", x);
  return x / 2;
}
Result<int> quarter(int x) {
  PL_TRY(const int h, half(x));
  return half(h);
}
Status checked(int x) {
  PL_CHECK(quarter(x));
  return {};
}

TEST(ResultMacros, ValuesAndErrorsPassThrough) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "[half] 3 is odd");
  EXPECT_TRUE(checked(8));
  EXPECT_EQ(checked(5).error().message, "[half] 5 is odd");
}

}  // namespace
}  // namespace planeloom
