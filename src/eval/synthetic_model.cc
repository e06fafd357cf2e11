#include "eval/synthetic_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/rng.h"
#include "codecs/planes.h"

namespace planeloom {
namespace {

Result<Config> config_of(const ModelShape& s) {
  const std::string a = std::string(s.architecture) + ".";
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  Metadata m;
  m.set("general.architecture", std::string(s.architecture));
  m.set(a + "block_count", u32(s.layers));
  m.set(a + "embedding_length", u32(s.width));
  m.set(a + "feed_forward_length", u32(s.ffn));
  m.set(a + "attention.head_count", u32(s.heads));
  m.set(a + "attention.head_count_kv", u32(s.kv_heads));
  m.set(a + "attention.key_length", u32(s.head_dim));
  m.set(a + "context_length", u32(32768));
  return read_config(m);
}

/// The codec for rows of `cols` weights.
Result<const Codec*> codec_for(std::string_view name, int64_t cols) {
  PL_TRY(const Codec* codec, codec_by_name(name));
  const CodecLayout layout = codec->layout();
  if (cols % codec->col_multiple() == 0) return codec;
  const int group = layout.group > 0 ? fitting_group(layout.group, cols) : 0;
  if (group == 0) return fail("[shape] {} does not divide rows of {}", name, cols);
  return layout.kind == CodecLayout::Kind::kBitplane ? bitplane_codec(layout.planes, group)
                                                     : tritplane_codec(group);
}

/// Random bytes; bits 2 and 6 of each are 0, so that every half in them is finite and below 1.
class RandomBytes {
 public:
  RandomBytes() : pattern_(size_t{1} << 20) {
    Rng rng(1);
    for (std::byte& b : pattern_) b = static_cast<std::byte>(rng.next() & 0xbb);
  }
  std::vector<std::byte> make(int64_t size) const {
    std::vector<std::byte> bytes(static_cast<size_t>(size));
    for (size_t at = 0; at < bytes.size(); at += pattern_.size())
      std::memcpy(bytes.data() + at, pattern_.data(), std::min(pattern_.size(), bytes.size() - at));
    return bytes;
  }

 private:
  std::vector<std::byte> pattern_;
};

class Builder {
 public:
  Result<PackedMatrix> matrix(std::string_view codec_name, int64_t rows, int64_t cols) {
    PL_TRY(const Codec* codec, codec_for(codec_name, cols));
    const int64_t stored = stored_rows(*codec, rows);
    PackedMatrix w{codec, rows, cols, bytes(stored * codec->code_bytes(cols)), {}};
    if (const int64_t coef = stored * codec->coef_bytes(cols); coef > 0) w.coef = bytes(coef);
    return w;
  }

  Status fill(const ModelShape& s, std::string_view codec, std::string_view head) {
    Model& m = out.model;
    PL_TRY(m.config, config_of(s));
    const Config& c = m.config;
    const std::vector<float> ones(static_cast<size_t>(s.width), 1.0f);
    PL_TRY(m.embedding, matrix(head, s.vocab, s.width));
    m.head = m.embedding;
    if (!s.tied) {
      PL_TRY(m.head, matrix(head, s.vocab, s.width));
    }
    m.output_norm = ones;
    for (int64_t layer = 0; layer < s.layers; ++layer) {
      LayerWeights& w = m.layers.emplace_back();
      w.attention_norm = w.ffn_norm = ones;
      if (c.qkv_bias) {
        w.q_bias.resize(static_cast<size_t>(c.q_width()));
        w.k_bias.resize(static_cast<size_t>(c.kv_width()));
        w.v_bias = w.k_bias;
      }
      for (const Linear linear : kBlockLinears) {
        const LinearShape size = linear_shape(c, linear);
        PL_TRY(w.at(linear), matrix(codec, size.rows, size.cols));
      }
    }
    return {};
  }

  SyntheticModel out;

 private:
  /// Random bytes at a multiple of 64, as tensors lie in a file.
  std::span<const std::byte> bytes(int64_t size) {
    const std::vector<std::byte>& memory =
        out.memory.emplace_back(random_.make(size + static_cast<int64_t>(kAlignment)));
    const size_t past = reinterpret_cast<uintptr_t>(memory.data()) % kAlignment;
    return std::span(memory).subspan((kAlignment - past) % kAlignment, static_cast<size_t>(size));
  }
  static constexpr size_t kAlignment = 64;

  RandomBytes random_;
};

}  // namespace

const std::vector<ModelShape>& model_shapes() {
  static const std::vector<ModelShape> kShapes = {
      {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, true},
      {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, true},
      {"qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, false},
      {"qwen2.5-72b", "qwen2", 80, 8192, 64, 8, 128, 29568, 152064, false}};
  return kShapes;
}

Result<SyntheticModel> make_synthetic(const ModelShape& shape, std::string_view codec,
                                      std::string_view head) {
  try {
    Builder builder;
    PL_CHECK(builder.fill(shape, codec, head));
    return std::move(builder.out);
  } catch (const std::bad_alloc&) {
    return fail("[shape] no memory for {} in {}", shape.name, codec);
  }
}

}  // namespace planeloom
