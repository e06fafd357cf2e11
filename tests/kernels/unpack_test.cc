// The SIMD unpackers must write the bits of the codecs' own unpack_row.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "codecs/codec.h"
#include "kernels/kernels.h"

namespace planeloom {
namespace {

struct Unpacked {
  std::vector<uint8_t> code;
  std::vector<uint32_t> scale, offset;  // bits
};

Unpacked unpack(const PackedMatrix& w, int64_t row, UnpackRow fast) {
  const int64_t padded = padded_cols(w.cols), planes = w.codec->planes();
  Unpacked u{std::vector<uint8_t>(static_cast<size_t>(planes * padded), 0xee),
             std::vector<uint32_t>(static_cast<size_t>(planes * padded / 16), 0x7f7f7f7f),
             std::vector<uint32_t>(static_cast<size_t>(padded / 16), 0x7f7f7f7f)};
  const PlaneRow out{u.code.data(), reinterpret_cast<float*>(u.scale.data()),
                     reinterpret_cast<float*>(u.offset.data())};
  fast ? fast(w, row, out) : w.codec->unpack_row(w, row, out);
  return u;
}

TEST(Unpack, SimdGivesTheCodecsBits) {
  int covered = 0;
  Rng rng(3);
  for (const char* name :
       {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K", "bitplane k=1 g=32",
        "bitplane k=2 g=64", "bitplane k=2 g=96", "bitplane k=3 g=32", "bitplane k=4 g=256"}) {
    const auto codec = codec_by_name(name);
    ASSERT_TRUE(codec) << name;
    for (Isa isa : supported_isas()) {
      const UnpackRow fast = kernels_for(isa).find_unpack(**codec);
      if (!fast) continue;
      ++covered;
      for (int64_t times : {1, 2, 3, 6}) {
        const int64_t cols = times * (*codec)->col_multiple(), rows = 5;
        std::vector<std::byte> codes(static_cast<size_t>(rows * (*codec)->code_bytes(cols)));
        std::vector<std::byte> coef(static_cast<size_t>(rows * (*codec)->coef_bytes(cols)));
        for (auto* bytes : {&codes, &coef})
          for (std::byte& b : *bytes)
            b = static_cast<std::byte>(rng.next() & 0xbb);  // exponents that are never all ones
        const PackedMatrix w{*codec, rows, cols, codes, coef};
        for (int64_t r = 0; r < rows; ++r) {
          const Unpacked want = unpack(w, r, nullptr), got = unpack(w, r, fast);
          ASSERT_EQ(got.code, want.code) << name << " cols " << cols;
          ASSERT_EQ(got.scale, want.scale) << name << " cols " << cols;
          ASSERT_EQ(got.offset, want.offset) << name << " cols " << cols;
        }
      }
    }
  }
  if (supported_isas().size() > 1) {
    EXPECT_GE(covered, 12);
  }
}

}  // namespace
}  // namespace planeloom
