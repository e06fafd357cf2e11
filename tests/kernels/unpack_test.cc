// The SIMD unpackers must write the bits of the codecs' own unpack_tile.
#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "codecs/unpacked.h"

namespace planeloom {
namespace {

TEST(Unpack, SimdGivesTheCodecsBits) {
  int covered = 0;
  Rng rng(3);
  for (const char* name : {"Q4_0",
                           "Q4_1",
                           "Q5_0",
                           "Q5_1",
                           "Q8_0",
                           "Q2_K",
                           "Q3_K",
                           "Q4_K",
                           "Q5_K",
                           "Q6_K",
                           "IQ1_S",
                           "IQ1_M",
                           "IQ2_XXS",
                           "IQ2_XS",
                           "IQ2_S",
                           "IQ3_XXS",
                           "IQ3_S",
                           "IQ4_NL",
                           "IQ4_XS",
                           "TQ2_0",
                           "bitplane k=1 g=32",
                           "bitplane k=2 g=64",
                           "bitplane k=2 g=96",
                           "bitplane k=3 g=32",
                           "bitplane k=4 g=256",
                           "bitplane k=1 g=64 c=8",
                           "bitplane k=2 g=96 c=8",
                           "bitplane k=3 g=32 c=8",
                           "bitplane k=4 g=64 c=8",
                           "tritplane g=32",
                           "tritplane g=128",
                           "tritplane g=96",
                           "tritplane g=32 c=8",
                           "tritplane g=64 r=3:2",
                           "trellis k=1",
                           "trellis k=2",
                           "trellis k=3",
                           "trellis k=4"}) {
    const auto codec = codec_by_name(name);
    ASSERT_TRUE(codec) << name;
    for (Isa isa : supported_isas()) {
      const UnpackTile fast = kernels_for(isa).find_unpack(**codec);
      if (!fast) continue;
      ++covered;
      for (int64_t times : {1, 2, 3, 6})
        for (int64_t rows : {16, 5, 37}) {
          const int64_t unit = (*codec)->col_multiple(), cols = times * unit,
                        stored = stored_rows(**codec, rows);
          std::vector<std::byte> codes(static_cast<size_t>(stored * (*codec)->code_bytes(cols)));
          std::vector<std::byte> coef(static_cast<size_t>(stored * (*codec)->coef_bytes(cols)));
          for (auto* bytes : {&codes, &coef})
            for (std::byte& b :
                 *bytes)  // GGUF types keep a NaN's payload, which conversions change
              b = static_cast<std::byte>(rng.next() & (coef.empty() ? 0xbb : 0xff));
          const PackedMatrix w{*codec, rows, cols, codes, coef};
          for (int64_t first = 0; first < rows; first += kTileRows)
            for (int64_t col = 0; col < cols; col += unit) {
              const auto want = test::unpack(w, first, col, cols - col),
                         got = test::unpack(w, first, col, cols - col, fast);
              ASSERT_EQ(got.code, want.code) << name << " cols " << cols << " first " << first;
              const size_t bytes = want.scale.size() * sizeof(float);
              ASSERT_EQ(std::memcmp(got.scale.data(), want.scale.data(), bytes), 0) << name;
              ASSERT_EQ(std::memcmp(got.offset.data(), want.offset.data(), bytes), 0) << name;
            }
        }
    }
  }
  if (supported_isas().size() > 1) {
#if defined(__aarch64__)
    EXPECT_EQ(covered,
              17);  // the plane formats and the trellis; GGUF types have no unpacker in NEON
#else
    EXPECT_GE(covered, 24);
#endif
  }
}

}  // namespace
}  // namespace planeloom
