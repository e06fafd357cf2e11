#include "kernels/linear.h"

#include <algorithm>
#include <cstring>

#include "kernels/scratch.h"

namespace planeloom {
namespace {

/// Rows of weights read as they are stored that one worker takes at a time: few enough to share
/// small matrices, enough that the activations of a panel, read again for each block, cost little.
/// With few tokens a worker reads weights as one stream, as long as eight shares per worker still
/// balance the load: what it fetches ahead at the end of a share may be another's.
int64_t rows_at_a_time(int64_t rows, int64_t tokens, int workers) {
  constexpr int64_t kLeast = 64;
  if (tokens > kBlockTokens) return kLeast;
  return std::max(kLeast, rows / (8 * workers) / kTileRows * kTileRows);
}

void add_bias(std::span<const float> bias, int64_t first, int64_t rows, int64_t tokens, float* y,
              int64_t y_stride) {
  if (bias.empty()) return;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = first; r < first + rows; ++r)
      y[t * y_stride + r] += bias[static_cast<size_t>(r)];
}

/// Tokens up to which float weights are met row by row, those of sixteen bits as they are stored;
/// more meet panels.
constexpr int64_t kFewTokens = 4;

/// Weights of sixteen bits that a kernel reads as they are, or null: its dot and their address.
struct Sixteen {
  decltype(Kernels::dot_f16) dot = nullptr;
  const uint16_t* weights = nullptr;
};
Sixteen sixteen_bits(const Kernels& kernels, const PackedMatrix& w) {
  if (reinterpret_cast<uintptr_t>(w.codes.data()) % alignof(uint16_t) != 0) return {};
  const auto* weights = reinterpret_cast<const uint16_t*>(w.codes.data());
  if (w.codec == gguf_codec(DType::kF16)) return {kernels.dot_f16, weights};
  if (w.codec == gguf_codec(DType::kBF16)) return {kernels.dot_bf16, weights};
  return {};
}

/// Rows decoded to float at a time for few tokens: a block should stay in L1.
constexpr int64_t kFloatRows = 8;

/// Rows first ... + rows - 1 as floats: (rows, cols).
void decode_rows(const Kernels& kernels, const PackedMatrix& w, int64_t first, int64_t rows,
                 float* out) {
  const Sixteen sixteen = sixteen_bits(kernels, w);
  for (int64_t r = first; r < first + rows; ++r, out += w.cols) {
    if (sixteen.dot == kernels.dot_f16)
      kernels.half_to_float(sixteen.weights + r * w.cols, w.cols, out);
    else
      w.codec->decode_row(w, r, out);
  }
}

void float_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const LinearInput& input, LinearScratch::Worker& scratch, float* y,
                 int64_t y_stride) {
  if (const Sixteen sixteen = sixteen_bits(*compute.kernels, w); sixteen.dot)
    return sixteen.dot(sixteen.weights + first * w.cols, w.cols, rows, input.x(), input.stride(),
                       input.tokens(), w.cols, y + first, y_stride);
  float* block = at_least(scratch.floats, rows * w.cols);
  decode_rows(*compute.kernels, w, first, rows, block);
  compute.kernels->dot_f32(block, w.cols, rows, input.x(), input.stride(), input.tokens(), w.cols,
                           y + first, y_stride);
}

/// The same for many tokens, whose panels are made.
void panel_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 const LinearInput& input, LinearScratch::Worker& scratch, float* y,
                 int64_t y_stride) {
  float* block = at_least(scratch.floats, kPanelRows * w.cols);
  float* panel = at_least(scratch.panel, panel_size(w.cols));
  decode_rows(*compute.kernels, w, first, rows, block);
  compute.kernels->pack_panel(block, w.cols, rows, w.cols, panel);
  compute.kernels->dot_panels(panel, panel_steps(w.cols), input.panels(), input.tokens(), rows,
                              y + first, y_stride);
}

/// Columns of a tile that are unpacked at a time: 8 KiB of codes, which stay in L1 while all tokens
/// meet them; the activations of these columns stay in L2 over the tiles of a block.
int64_t panel_cols(const Codec& codec) {
  const int64_t unit = codec.col_multiple();
  return unit * std::max<int64_t>(1, 512 / unit);
}

/// Sums of rows first .. first + rows - 1 (multiples of 16), unpacked panel by panel, so many tiles
/// at a time as the dots take.
void unpacked_rows(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                   const LinearInput& input, LinearScratch::Worker& scratch, float* sums) {
  const CodeForm form = w.codec->form();
  const int64_t panel = std::min(panel_cols(*w.codec), w.cols), groups = panel / form.group;
  uint8_t* code = at_least(scratch.code, kTilesAtOnce * panel * kTileRows);
  float* scale = at_least(scratch.scale, kTilesAtOnce * groups * kTileRows);
  float* offset = at_least(scratch.offset, kTilesAtOnce * groups * kTileRows);
  CodeTile tile[kTilesAtOnce];
  for (int i = 0; i < kTilesAtOnce; ++i)
    tile[i] = {code + i * panel * kTileRows, scale + i * groups * kTileRows,
               offset + i * groups * kTileRows};
  const Int8Rows x = input.int8_rows(form);
  const bool all_tokens = x.block == kTilesTokens;
  const int at_once = all_tokens ? kTilesAtOnce : 1;
  const UnpackTile fast = compute.kernels->find_unpack(*w.codec);
  for (int64_t c = 0; c < w.cols; c += panel) {
    const int64_t cols = std::min(panel, w.cols - c);
    for (int64_t r = 0; r < rows; r += at_once * kTileRows) {
      const int tiles = static_cast<int>(std::min<int64_t>(at_once, (rows - r) / kTileRows));
      for (int i = 0; i < tiles; ++i)
        fast ? fast(w, first + r + i * kTileRows, c, cols, tile[i])
             : w.codec->unpack_tile(w, first + r + i * kTileRows, c, cols, tile[i]);
      if (all_tokens) {
        compute.kernels->dot_tiles(tile, tiles, form, c, cols, x, sums + r, rows);
        continue;
      }
      for (int64_t t = 0; t < x.tokens; t += x.block)
        compute.kernels->dot_tile({code, scale, offset, cols, form},
                                  x.at(t, form).from_col(c, form), sums + t * rows + r, rows);
    }
  }
}

/// Rows first .. end - 1, first a multiple of 16, by whole tiles; the sums lie together until they
/// are whole, so that adding to them touches few pages and cache lines.
void code_block(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t end,
                const LinearInput& input, LinearScratch::Worker& scratch, float* y,
                int64_t y_stride) {
  const int64_t tokens = input.tokens(),
                rows = (end - first + kTileRows - 1) / kTileRows * kTileRows;
  float* sums = at_least(scratch.sums, tokens * rows);
  std::fill_n(sums, tokens * rows, 0.0f);
  if (const DotPacked dot = compute.kernels->find_dot(*w.codec, tokens)) {
    const Int8Block x = input.int8_block(0, w.codec->form());
    for (int64_t r = 0; r < rows; r += kTileRows) dot(w, first + r, x, sums + r, rows);
  } else {
    unpacked_rows(compute, w, first, rows, input, scratch, sums);
  }
  for (int64_t t = 0; t < tokens; ++t)
    std::copy_n(sums + t * rows, end - first, y + t * y_stride + first);
}

/// Columns that are rounded at a time.
constexpr int64_t kChunk = 512;

/// Columns begin .. begin + cols - 1 of a block of tokens, rounded token by token and laid side by
/// side, `together` columns of each.
void quantize_block(const Kernels& kernels, const float* x, int64_t stride, int64_t tokens,
                    int64_t begin, int64_t cols, int64_t step, int64_t together, int8_t* code,
                    float* scale, int32_t* sum) {
  code += begin * tokens;
  scale += begin / step * tokens;
  sum += begin / step * tokens;
  if (tokens == 1) return kernels.quantize_int8(x + begin, cols, step, code, scale, sum);
  int8_t one_code[kChunk];
  float one_scale[kChunk / 16];
  int32_t one_sum[kChunk / 16];
  for (int64_t t = 0; t < tokens; ++t) {
    kernels.quantize_int8(x + t * stride + begin, cols, step, one_code, one_scale, one_sum);
    if (together == 4)
      for (int64_t c = 0; c < cols; c += 4) std::memcpy(code + c * tokens + 4 * t, one_code + c, 4);
    else
      for (int64_t c = 0; c < cols; c += together)
        std::copy_n(one_code + c, together, code + c * tokens + together * t);
    for (int64_t s = 0; s < cols / step; ++s) {
      scale[s * tokens + t] = one_scale[s];
      sum[s * tokens + t] = one_sum[s];
    }
  }
}

}  // namespace

void LinearInput::set(const float* x, int64_t stride, int64_t tokens, int64_t cols) {
  x_ = x;
  stride_ = stride;
  tokens_ = tokens;
  cols_ = cols;
  panels_made_ = false;
  rotated_by_ = nullptr;
  for (Int8* form : {&by_16_, &by_32_}) {
    form->made = false;
    form->zero = -1;
    form->weight_group = 0;
  }
}

LinearInput& LinearInput::rotated(const Compute& compute, const Rotation& rotation) {
  if (!rotated_) rotated_ = std::make_unique<LinearInput>();
  if (rotated_by_ == &rotation) return *rotated_;
  float* rows = at_least(rotated_rows_, tokens_ * cols_);
  compute.pool->parallel_for(tokens_, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      compute.kernels->rotate(rotation, x_ + t * stride_, rows + t * cols_);
  });
  rotated_->set(rows, cols_, tokens_, cols_);
  rotated_by_ = &rotation;
  return *rotated_;
}

void LinearInput::make_panels(const Compute& compute) {
  if (panels_made_) return;
  const int64_t size = panel_size(cols_), count = (tokens_ + kPanelRows - 1) / kPanelRows;
  float* panels = at_least(panels_, count * size);
  compute.pool->parallel_for(count, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      compute.kernels->pack_panel(x_ + i * kPanelRows * stride_, stride_,
                                  std::min<int64_t>(kPanelRows, tokens_ - i * kPanelRows), cols_,
                                  panels + i * size);
  });
  panels_made_ = true;
}

void LinearInput::make_codes(const Compute& compute, int64_t step, Int8& out) const {
  const int64_t steps = cols_ / step;
  int8_t* code = at_least(out.code, tokens_ * cols_ + kTilesSlack);
  float* scale = at_least(out.scale, tokens_ * steps);
  int32_t* sum = at_least(out.sum, tokens_ * steps);
  const int64_t block = out.block, chunks = (cols_ + kChunk - 1) / kChunk,
                blocks = (tokens_ + block - 1) / block;
  const int64_t grain = std::max<int64_t>(1, 16 / std::min(tokens_, block));
  compute.pool->parallel_for(blocks * chunks, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t job = begin; job < end; ++job) {
      const int64_t first = job / chunks * block, col = job % chunks * kChunk;
      quantize_block(*compute.kernels, x_ + first * stride_, stride_,
                     std::min(block, tokens_ - first), col, std::min(kChunk, cols_ - col), step,
                     block == kTilesTokens ? step : 4, code + first * cols_, scale + first * steps,
                     sum + first * steps);
    }
  });
}

void LinearInput::make_weights(const CodeForm& form, Int8& out) const {
  const int64_t steps = form.group / form.step, groups = cols_ / form.group;
  float* weight = at_least(out.weight, tokens_ * groups);
  for (int64_t first = 0; first < tokens_; first += out.block) {
    const int64_t width = std::min(out.block, tokens_ - first);
    const int32_t* sum = out.sum.data() + first * (cols_ / form.step);
    const float* scale = out.scale.data() + first * (cols_ / form.step);
    float* to = weight + first * groups;
    std::fill_n(to, groups * width, 0.0f);
    for (int64_t g = 0; g < groups; ++g, to += width)
      for (int64_t s = 0; s < steps; ++s, sum += width, scale += width)
        for (int64_t t = 0; t < width; ++t) to[t] += static_cast<float>(sum[t]) * scale[t];
  }
}

void LinearInput::make_int8(const Compute& compute, const CodeForm& form) {
  Int8& out = by_step(form.step);
  const bool for_tiles =
      compute.kernels->dot_tiles && form.step == kTilesStep && tokens_ >= kTilesLeast;
  out.block = for_tiles ? kTilesTokens : kBlockTokens;
  if (!out.made) make_codes(compute, form.step, out);
  out.made = true;
  if (form.zero != out.zero) {
    const int64_t count = tokens_ * (cols_ / form.step);
    int32_t* start = at_least(out.start, count);
    for (int64_t i = 0; i < count; ++i) start[i] = -form.zero * out.sum[static_cast<size_t>(i)];
    out.zero = form.zero;
  }
  if (form.affine && form.group != out.weight_group) {
    make_weights(form, out);
    out.weight_group = form.group;
  }
}

Int8Rows LinearInput::int8_rows(const CodeForm& form) const {
  const Int8& made = by_step(form.step);
  return {
      tokens_,           cols_, made.block, made.code.data(), made.scale.data(), made.start.data(),
      made.weight.data()};
}

void linear(const Compute& compute, const PackedMatrix& w, std::span<const float> bias,
            LinearInput& plain, ActivationMode mode, LinearScratch& scratch, float* y,
            int64_t y_stride) {
  if (w.parts) {
    int64_t first = 0;
    for (const PackedMatrix& part : *w.parts) {
      linear(compute, part,
             bias.empty()
                 ? bias
                 : bias.subspan(static_cast<size_t>(first), static_cast<size_t>(part.rows)),
             plain, mode, scratch, y + first, y_stride);
      first += part.rows;
    }
    return;
  }
  LinearInput& input = w.rotation ? plain.rotated(compute, *w.rotation) : plain;
  const int64_t tokens = input.tokens();
  const CodeForm form = w.codec->form();
  const bool codes = mode == ActivationMode::kInt8 && form.group > 0;
  const bool panels = !codes && tokens > kFewTokens;
  if (codes) input.make_int8(compute, form);
  if (panels) input.make_panels(compute);
  scratch.reserve(compute.pool->size());
  const bool stream = codes || (!panels && sixteen_bits(*compute.kernels, w).dot);
  const int64_t block = stream   ? rows_at_a_time(w.rows, tokens, compute.pool->size())
                        : panels ? kPanelRows
                                 : kFloatRows;
  compute.pool->parallel_for(w.rows, block, [&](int64_t begin, int64_t end, int worker) {
    if (codes)
      code_block(compute, w, begin, end, input, scratch.worker(worker), y, y_stride);
    else if (panels)
      panel_block(compute, w, begin, end - begin, input, scratch.worker(worker), y, y_stride);
    else
      float_block(compute, w, begin, end - begin, input, scratch.worker(worker), y, y_stride);
    add_bias(bias, begin, end - begin, tokens, y, y_stride);
  });
}

}  // namespace planeloom
