#pragma once
#include "kernels/kernels.h"

namespace planeloom::simd {

/// SIMD versions of a GGUF codec's unpack_tile (unpack_gguf_avx2.cc), or null when there is none.
UnpackTile find_unpack_gguf(const Codec& codec);

// The plane formats (unpack_planes.cc), compiled per ISA; null for other codecs.
UnpackTile find_unpack_avx2(const Codec& codec);
UnpackTile find_unpack_avx512(const Codec& codec);
UnpackTile find_unpack_neon(const Codec& codec);

}  // namespace planeloom::simd
