#include "kernels/linear.h"

#include <algorithm>

namespace planeloom {
namespace {

template <class T>
T* at_least(std::vector<T>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) buffer.resize(static_cast<size_t>(size));
  return buffer.data();
}

/// Rows of integer codes that one worker takes at a time: few enough to share small matrices,
/// enough that the activations of a panel, read again for each block, cost little.
constexpr int64_t kCodeRows = 64;

/// Rows decoded to float at a time. With few tokens the block should stay in L1; with many, in L2,
/// read once per token tile.
int64_t float_rows(int64_t tokens) { return tokens <= 4 ? 8 : 32; }

/// Tokens per pass over a float block: their activations should stay in L1 and L2 beside it.
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

/// Columns of a tile that are unpacked at a time: 8 KiB of codes, which stay in L1 while all tokens
/// meet them; the activations of these columns stay in L2 over the tiles of a block.
int64_t panel_cols(const Codec& codec) {
  const int64_t unit = codec.col_multiple();
  return unit * std::max<int64_t>(1, 512 / unit);
}

/// y[t * y_stride + r] = 0 for sixteen rows.
void clear_tile(int64_t tokens, float* y, int64_t y_stride) {
  for (int64_t t = 0; t < tokens; ++t) std::fill_n(y + t * y_stride, kTileRows, 0.0f);
}

/// Rows first .. first + rows - 1 (first a multiple of 16), unpacked panel by panel.
void unpacked_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                    const Int8Rows& x, int64_t tokens, LinearScratch::Worker& scratch, float* y,
                    int64_t y_stride) {
  const CodeForm form = w.codec->form();
  const int64_t panel = std::min(panel_cols(*w.codec), w.cols), groups = panel / form.group;
  const CodeTile tile{at_least(scratch.code, panel * kTileRows),
                      at_least(scratch.scale, groups * kTileRows),
                      at_least(scratch.offset, groups * kTileRows)};
  const UnpackTile fast = compute.kernels->find_unpack(*w.codec);
  for (int64_t c = 0; c < w.cols; c += panel) {
    const int64_t cols = std::min(panel, w.cols - c);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      fast ? fast(w, first + r, c, cols, tile) : w.codec->unpack_tile(w, first + r, c, cols, tile);
      compute.kernels->dot_tile({tile.code, tile.scale, tile.offset, cols, form}, x.from_col(c),
                                tokens, y + r, y_stride);
    }
  }
}

void code_rows(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
               const Int8Rows& x, int64_t tokens, LinearScratch::Worker& scratch, float* y,
               int64_t y_stride) {
  const DotPacked dot = compute.kernels->find_dot(*w.codec, tokens);
  for (int64_t r = 0; r < rows; r += kTileRows) clear_tile(tokens, y + r, y_stride);
  if (!dot) return unpacked_block(compute, w, first, rows, x, tokens, scratch, y, y_stride);
  for (int64_t r = 0; r < rows; r += kTileRows) dot(w, first + r, x, tokens, y + r, y_stride);
}

/// Rows first .. end - 1, first a multiple of 16. Whole tiles go straight to y; the rest of a last
/// tile, if any, is computed beside it.
void code_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t end,
                const Int8Rows& x, int64_t tokens, LinearScratch::Worker& scratch, float* y,
                int64_t y_stride) {
  const int64_t whole = (end - first) / kTileRows * kTileRows, rest = end - first - whole;
  if (whole > 0) code_rows(compute, w, first, whole, x, tokens, scratch, y + first, y_stride);
  if (rest == 0) return;
  float* edge = at_least(scratch.edge, tokens * kTileRows);
  code_rows(compute, w, first + whole, kTileRows, x, tokens, scratch, edge, kTileRows);
  for (int64_t t = 0; t < tokens; ++t)
    std::copy_n(edge + t * kTileRows, rest, y + t * y_stride + first + whole);
}

}  // namespace

void LinearInput::set(const float* x, int64_t stride, int64_t tokens, int64_t cols) {
  x_ = x;
  stride_ = stride;
  tokens_ = tokens;
  cols_ = cols;
  by_16_.made = by_32_.made = false;
}

const Int8Rows& LinearInput::int8_rows(const Compute& compute, int64_t step) {
  Int8& int8 = step == 16 ? by_16_ : by_32_;
  if (int8.made) return int8.rows;
  const int64_t steps = cols_ / step;
  int8_t* code = at_least(int8.code, tokens_ * cols_);
  float* scale = at_least(int8.scale, tokens_ * steps);
  int32_t* sum = at_least(int8.sum, tokens_ * steps);
  compute.pool->parallel_for(tokens_, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      compute.kernels->quantize_int8(x_ + t * stride_, cols_, step, code + t * cols_,
                                     scale + t * steps, sum + t * steps);
  });
  int8.rows = {code, scale, sum, cols_, step};
  int8.made = true;
  return int8.rows;
}

void linear(const Compute& compute, const PackedMatrix& w, std::span<const float> bias,
            LinearInput& input, ActivationMode mode, LinearScratch& scratch, float* y,
            int64_t y_stride) {
  const int64_t tokens = input.tokens();
  const CodeForm form = w.codec->form();
  const bool codes = mode == ActivationMode::kInt8 && form.group > 0;
  const Int8Rows* int8_rows = codes ? &input.int8_rows(compute, form.step) : nullptr;
  scratch.reserve(compute.pool->size());
  const int64_t block = codes ? kCodeRows : float_rows(tokens);
  compute.pool->parallel_for(w.rows, block, [&](int64_t begin, int64_t end, int worker) {
    if (codes)
      code_block(compute, w, begin, end, *int8_rows, tokens, scratch.worker(worker), y, y_stride);
    else
      float_block(compute, w, begin, end - begin, input, scratch.worker(worker), y, y_stride);
    add_bias(bias, begin, end - begin, tokens, y, y_stride);
  });
}

}  // namespace planeloom
