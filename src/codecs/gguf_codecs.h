// The GGUF element types by family; gguf_codec() in codec.h is the entry. Layouts follow the file
// format as the PyPI package `gguf` (gguf/quants.py) decodes it, and the floats are bit-exact with
// it (tests/codecs/gguf_oracle.py).
#pragma once
#include "codecs/codec.h"

namespace planeloom {

/// Each returns null for a type of another family.
const Codec* float_codec(DType type);    // F32, F16, BF16
const Codec* legacy_codec(DType type);   // Q4_0 ... Q8_0: blocks of 32, one half-precision scale
const Codec* kquant_codec(DType type);   // Q2_K ... Q6_K: blocks of 256, quantized scales
const Codec* iq_codec(DType type);       // IQ1_S ... IQ3_S: points of fixed sets (iq_grids.h)
const Codec* iq4_codec(DType type);      // IQ4_NL, IQ4_XS: 4-bit indices into a fixed table
const Codec* ternary_codec(DType type);  // TQ1_0, TQ2_0

/// F32 whose rows may start at any byte address (old safetensors files): same bits, read with care.
const Codec* unaligned_f32_codec();

}  // namespace planeloom
