#include "formats/metadata.h"

#include <gtest/gtest.h>

namespace planeloom {
namespace {

TEST(Metadata, KeepsOrderAndReplacesInPlace) {
  Metadata m;
  m.set("b", uint32_t{1});
  m.set("a", uint32_t{2});
  m.set("b", std::string("three"));
  ASSERT_EQ(m.entries().size(), 2u);
  EXPECT_EQ(m.entries()[0].first, "b");
  EXPECT_EQ(m.string_or("b", ""), "three");
  EXPECT_EQ(m.integer_or("a", 0), 2);
  EXPECT_FALSE(m.has("c"));
}

TEST(Metadata, ErrorsNameTheKey) {
  Metadata m;
  m.set("text", std::string("x"));
  m.set("big", uint64_t{1} << 63);
  m.set("flag", true);
  for (const auto& error :
       {m.integer("absent"), m.integer("text"), m.integer("big"), m.integer("flag")})
    EXPECT_FALSE(error);
  EXPECT_NE(m.integer("absent").error().message.find("absent"), std::string::npos);
  EXPECT_NE(m.integer("big").error().message.find("9223372036854775808"), std::string::npos);
  EXPECT_FALSE(m.number("flag"));
  EXPECT_FALSE(m.string("big"));
  EXPECT_EQ(m.number_or("big", 0), 0x1p63);
}

TEST(Metadata, DefaultsForWrongTypes) {
  Metadata m;
  m.set("n", int8_t{-4});
  m.set("x", 0.5f);
  EXPECT_EQ(m.integer_or("n", 0), -4);
  EXPECT_EQ(m.number_or("n", 0), -4.0);
  EXPECT_EQ(m.integer_or("x", 9), 9);  // a float is no integer
  EXPECT_TRUE(m.boolean_or("n", true));
  EXPECT_EQ(m.string_or("n", "none"), "none");
}

TEST(Metadata, Arrays) {
  Metadata m;
  m.set("words", std::vector<std::string>{"a", "b"});
  m.set("floats", std::vector<float>{1, 2});
  m.set("bytes", std::vector<uint8_t>{255});
  m.set("signed", std::vector<int16_t>{-1});
  m.set("flags", std::vector<bool>{true, false});
  m.set("huge", std::vector<uint64_t>{1, uint64_t{1} << 63});
  m.set("text", std::string("abc"));
  EXPECT_EQ(m.strings("words")->size(), 2u);
  EXPECT_EQ(m.strings("floats"), nullptr);
  EXPECT_EQ(m.floats("floats")->at(1), 2.0f);
  EXPECT_EQ(m.integers("bytes"), std::vector<int64_t>{255});
  EXPECT_EQ(m.integers("signed"), std::vector<int64_t>{-1});
  EXPECT_EQ(m.integers("flags"), (std::vector<int64_t>{1, 0}));
  for (const char* key : {"huge", "text", "floats", "words", "absent"})
    EXPECT_FALSE(m.integers(key)) << key;
}

}  // namespace
}  // namespace planeloom
