#include "kernels/linear.h"

#include <algorithm>

namespace planeloom {
namespace {

template <class T>
T* at_least(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

// Rows unpacked at a time. With few tokens the block should stay in L1; with many, in L2, read once
// per token tile.
int64_t block_rows(int64_t tokens) { return tokens <= 4 ? 8 : 32; }

/// Tokens per pass over an unpacked block: their activations should stay in L1 and L2 beside it.
constexpr int64_t kTokenTile = 16;

void add_bias(std::span<const float> bias, int64_t first, int64_t rows, int64_t tokens, float* y,
              int64_t y_stride) {
  if (bias.empty()) return;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = first; r < first + rows; ++r)
      y[t * y_stride + r] += bias[static_cast<size_t>(r)];
}

void float_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const LinearInput& input, LinearScratch::Worker& scratch, float* y,
                 int64_t y_stride) {
  float* block = at_least(scratch.floats, rows * w.cols);
  const auto address = reinterpret_cast<uintptr_t>(w.codes.data());
  const bool halves = w.codec == gguf_codec(DType::kF16) && address % alignof(uint16_t) == 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (halves)
      compute.kernels->half_to_float(
          reinterpret_cast<const uint16_t*>(w.codes.data()) + (first + r) * w.cols, w.cols,
          block + r * w.cols);
    else
      w.codec->decode_row(w, first + r, block + r * w.cols);
  }
  for (int64_t t = 0; t < input.tokens(); t += kTokenTile)
    compute.kernels->dot_f32(block, w.cols, rows, input.x() + t * input.stride(), input.stride(),
                             std::min(kTokenTile, input.tokens() - t), w.cols,
                             y + t * y_stride + first, y_stride);
}

void plane_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const Int8Rows& x, int64_t tokens, LinearScratch::Worker& scratch, float* y,
                 int64_t y_stride) {
  const int64_t padded = x.padded, groups = padded / kScaleGroup;
  const int planes = w.codec->planes();
  uint8_t* code = at_least(scratch.code, rows * planes * padded);
  float* scale = at_least(scratch.scale, rows * planes * groups);
  float* offset = at_least(scratch.offset, rows * groups);
  const UnpackRow fast = compute.kernels->find_unpack(*w.codec);
  for (int64_t r = 0; r < rows; ++r) {
    const PlaneRow row{code + r * planes * padded, scale + r * planes * groups,
                       offset + r * groups};
    fast ? fast(w, first + r, row) : w.codec->unpack_row(w, first + r, row);
  }
  const PlaneRows block{code, scale, offset, planes, w.codec->wide_codes(), padded};
  for (int64_t t = 0; t < tokens; t += kTokenTile) {
    const Int8Rows tile{x.code + t * padded, x.lane_scale + t * padded / 4, x.sum + t * groups,
                        padded};
    compute.kernels->dot_planes(block, rows, tile, std::min(kTokenTile, tokens - t),
                                y + t * y_stride + first, y_stride);
  }
}

}  // namespace

void LinearInput::set(const float* x, int64_t stride, int64_t tokens, int64_t cols) {
  x_ = x;
  stride_ = stride;
  tokens_ = tokens;
  cols_ = cols;
  have_int8_ = false;
}

const Int8Rows& LinearInput::int8_rows(const Compute& compute) {
  if (have_int8_) return rows_;
  const int64_t padded = padded_cols(cols_);
  int8_t* code = at_least(code_, tokens_ * padded);
  float* lane_scale = at_least(lane_scale_, tokens_ * padded / 4);
  float* sum = at_least(sum_, tokens_ * padded / 16);
  compute.pool->parallel_for(tokens_, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      compute.kernels->quantize_int8(x_ + t * stride_, cols_, code + t * padded,
                                     lane_scale + t * padded / 4, sum + t * padded / 16);
  });
  rows_ = {code, lane_scale, sum, padded};
  have_int8_ = true;
  return rows_;
}

void linear(const Compute& compute, const PackedMatrix& w, std::span<const float> bias,
            LinearInput& input, ActivationMode mode, LinearScratch& scratch, float* y,
            int64_t y_stride) {
  const int64_t tokens = input.tokens(), block = block_rows(tokens);
  const bool planes = mode == ActivationMode::kInt8 && w.codec->planes() > 0;
  const Int8Rows* int8_rows = planes ? &input.int8_rows(compute) : nullptr;
  scratch.reserve(compute.pool->size());
  compute.pool->parallel_for(w.rows, block, [&](int64_t begin, int64_t end, int worker) {
    if (planes)
      plane_block(compute, w, begin, end - begin, *int8_rows, tokens, scratch.worker(worker), y,
                  y_stride);
    else
      float_block(compute, w, begin, end - begin, input, scratch.worker(worker), y, y_stride);
    add_bias(bias, begin, end - begin, tokens, y, y_stride);
  });
}

}  // namespace planeloom
