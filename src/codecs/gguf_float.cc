// F32, F16 and BF16: no integer form, one value after another.
#include "codecs/block_codec.h"
#include "codecs/gguf_codecs.h"

namespace planeloom {
namespace {

template <DType kType>
class FloatCodec final : public Codec {
 public:
  std::string_view name() const override { return dtype_info(kType).name; }
  CodecLayout layout() const override { return {CodecLayout::Kind::kGguf, kType}; }
  int64_t col_multiple() const override { return 1; }
  int64_t code_bytes(int64_t cols) const override { return cols * kBytes; }

  void decode_row(const PackedMatrix& w, int64_t row, float* out) const override {
    const std::byte* in = w.codes.data() + row * code_bytes(w.cols);
    if constexpr (kType == DType::kF32) {
      std::memcpy(out, in, static_cast<size_t>(w.cols) * sizeof(float));
    } else {
      for (int64_t c = 0; c < w.cols; ++c) {
        uint16_t bits;  // the address may be odd: a safetensors header has any length
        std::memcpy(&bits, in + 2 * c, sizeof(bits));
        out[c] = kType == DType::kF16 ? half_to_float(bits) : bf16_to_float(bits);
      }
    }
  }

 private:
  static constexpr int64_t kBytes = kType == DType::kF32 ? 4 : 2;
};

}  // namespace

const Codec* float_codec(DType type) {
  static const FloatCodec<DType::kF32> f32;
  static const FloatCodec<DType::kF16> f16;
  static const FloatCodec<DType::kBF16> bf16;
  if (type == DType::kF32) return &f32;
  if (type == DType::kF16) return &f16;
  return type == DType::kBF16 ? &bf16 : nullptr;
}

const Codec* unaligned_f32_codec() {
  static const FloatCodec<DType::kF32>
      codec;  // another object: kernels know the aligned one by its address
  return &codec;
}

}  // namespace planeloom
