#include "base/cpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/scoped_env.h"

namespace planeloom {
namespace {

using test::ScopedEnv;

TEST(Isa, NamesGoThereAndBack) {
  for (Isa isa : {Isa::kScalar, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    const auto parsed = parse_isa(isa_name(isa));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, isa);
  }
}

TEST(Isa, UnknownNamesAreAnsweredWithTheKnownOnes) {
  for (const char* name : {"", "AVX2", "avx", "avx512 ", "NEON"}) {
    const auto parsed = parse_isa(name);
    ASSERT_FALSE(parsed) << name;
    EXPECT_NE(parsed.error().message.find("scalar, neon, avx2, avx512, amx"), std::string::npos);
  }
}

TEST(Isa, ScalarIsAlwaysThereAndTheListAscends) {
  const auto isas = supported_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::kScalar);
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
  EXPECT_EQ(std::adjacent_find(isas.begin(), isas.end()), isas.end());
}

TEST(Isa, AProcessorHasItsOwnFamilyOnly) {
  for (Isa isa : supported_isas()) {
#if defined(__aarch64__)
    EXPECT_LE(isa, Isa::kNeon);
#else
    EXPECT_NE(isa, Isa::kNeon);
#endif
  }
#if defined(__aarch64__)
  EXPECT_EQ(supported_isas().back(), Isa::kNeon);
#endif
}

TEST(Isa, TheEnvironmentChooses) {
  {
    const ScopedEnv unset("PLANELOOM_ISA", nullptr);
    EXPECT_EQ(default_isa().value(), supported_isas().back());
  }
  {
    const ScopedEnv empty("PLANELOOM_ISA", "");
    EXPECT_EQ(default_isa().value(), supported_isas().back());
  }
  const auto isas = supported_isas();
  for (Isa isa : {Isa::kScalar, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    const ScopedEnv set("PLANELOOM_ISA", std::string(isa_name(isa)).c_str());
    const auto chosen = default_isa();
    const bool can = std::find(isas.begin(), isas.end(), isa) != isas.end();
    ASSERT_EQ(chosen.has_value(), can) << isa_name(isa);
    if (can) {
      EXPECT_EQ(*chosen, isa);
    }
  }
  const ScopedEnv wrong("PLANELOOM_ISA", "mmx");
  EXPECT_FALSE(default_isa());
}

TEST(Cpu, TheDescriptionNamesEveryIsa) {
  const std::string text = cpu_description();
  for (Isa isa : supported_isas()) EXPECT_NE(text.find(isa_name(isa)), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace planeloom
