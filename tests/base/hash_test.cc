#include "base/hash.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <string_view>

namespace planeloom {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string sha256(std::string_view text) {
  Sha256 hash;
  hash.update(bytes(text));
  return hash.hex();
}

// The examples that NIST publishes for FIPS 180-4.
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheInputIsCut) {
  EXPECT_TRUE(rc::check([](const std::string& text, const std::vector<uint8_t>& cuts) {
    Sha256 hash;
    std::string_view rest = text;
    for (uint8_t cut : cuts) {
      const size_t n = std::min<size_t>(cut % 70, rest.size());
      hash.update(bytes(rest.substr(0, n)));
      rest.remove_prefix(n);
    }
    hash.update(bytes(rest));
    RC_ASSERT(hash.hex() == sha256(text));
  }));
}

// From the table of test vectors of the FNV draft (draft-eastlake-fnv).
TEST(Fnv1a, PublishedVectors) {
  EXPECT_EQ(fnv1a(bytes("")), 0xcbf29ce484222325ull);
  EXPECT_EQ(fnv1a(bytes("a")), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(fnv1a(bytes("foobar")), 0x85944171f73967e8ull);
  EXPECT_EQ(fnv1a(bytes("bar"), fnv1a(bytes("foo"))), fnv1a(bytes("foobar")));
}

}  // namespace
}  // namespace planeloom
