#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include "formats/gguf_builder.h"

namespace planeloom {
namespace {

using test::as_bytes;
using test::Bytes;

std::string file(const std::string& header, size_t data_bytes) {
  return Bytes().string(header).raw(std::string(data_bytes, 'd')).text();
}

std::string refusal(const std::string& bytes) {
  const auto tensors = parse_safetensors(as_bytes(bytes));
  EXPECT_FALSE(tensors) << "accepted";
  return tensors ? std::string() : tensors.error().message;
}

void expect_has(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

std::string entry(const std::string& rest) { return R"({"a":{)" + rest + "}}"; }

TEST(Safetensors, ReadsTensors) {
  const std::string bytes = file(R"({"__metadata__":{"format":"pt"},
      "a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
      "b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]},
      "c":{"dtype":"F8_E4M3","shape":[5],"data_offsets":[30,35]},
      "none":{"dtype":"F16","shape":[0,4],"data_offsets":[26,26]}}   )",
                                 35);
  const auto tensors = parse_safetensors(as_bytes(bytes));
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 4u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[0].data.data(), as_bytes(bytes).data() + bytes.size() - 35);
  EXPECT_EQ((*tensors)[1].data.size(), 2u);
  EXPECT_EQ((*tensors)[2].dtype, "F8_E4M3");  // known or not: the reader of the weights decides
}

TEST(Safetensors, RefusesBadHeaders) {
  expect_has(refusal("1234567"), "at least 8 wanted");
  expect_has(refusal(Bytes().u64(100).raw("{}").text()), "a header of 100 bytes");
  expect_has(refusal(Bytes().u64(UINT64_MAX).raw("{}").text()), "a header of");
  expect_has(refusal(Bytes().u64(0).text()), "malformed");
  expect_has(refusal(file("[]", 0)), "no JSON object");
  expect_has(refusal(file("{\"a\":", 0)), "malformed");
  expect_has(refusal(file("{} x", 0)), "malformed");
  expect_has(refusal(file("{\"\xff\":1}", 0)), "malformed");
  expect_has(refusal(file(std::string(100000, '['), 0)), "nested too deeply");
}

TEST(Safetensors, RefusesBadEntries) {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  ASSERT_TRUE(parse_safetensors(as_bytes(file(entry(good), 8))));
  expect_has(refusal(file("{\"a\":{" + good + "},\"a\":{" + good + "}}", 8)), "occurs twice");
  expect_has(refusal(file("{\"a\":{" + good + "},\"b\":{" + good + "}}", 8)), "overlap");
  expect_has(refusal(file("{\"\":{" + good + "}}", 8)), "a tensor name of 0 bytes");
  expect_has(refusal(file("{\"a\\u0000b\":{" + good + "}}", 8)), "a tensor name of 3 bytes");
  expect_has(refusal(file(R"({"a":7})", 8)), "dtype, shape and data_offsets wanted");
  expect_has(refusal(file(entry(R"("dtype":"F32","shape":[2])"), 8)),
             "dtype, shape and data_offsets wanted");
  for (const char* shape : {"[-1]", "[1.5]", "[\"2\"]", "2", "[9223372036854775808]", "[1e3]",
                            "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]"})
    expect_has(refusal(file(entry(R"("dtype":"F32","shape":)" + std::string(shape) +
                                  R"(,"data_offsets":[0,8])"),
                            8)),
               "a shape of");
  for (const char* range : {"[0]", "[0,8,9]", "[8,0]", "[-8,0]", "[0,\"8\"]", "{}"})
    expect_has(refusal(file(
                   entry(R"("dtype":"F32","shape":[2],"data_offsets":)" + std::string(range)), 8)),
               "[begin, end] wanted");
  expect_has(refusal(file(entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,16])"), 8)),
             "data end at 16");
  expect_has(refusal(file(entry(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), 8)),
             "want 12");
  expect_has(
      refusal(
          file(entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), 8)),
      "too many elements");
  expect_has(refusal(file(
                 entry(R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,8])"), 8)),
             "too many elements");
}

TEST(Safetensors, RefusesEveryTruncation) {
  const std::string bytes = file(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 8);
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(parse_safetensors(as_bytes(bytes.substr(0, n)))) << n;
}

}  // namespace
}  // namespace planeloom
