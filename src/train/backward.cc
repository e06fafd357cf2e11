#include "train/backward.h"

#include <algorithm>
#include <cmath>

#include "kernels/scratch.h"

namespace planeloom {
namespace {

/// Sixteen rows as columns, out[c * stride + r], from the integers that they are served with.
void turned_codes(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t count,
                  BackwardScratch::Worker& room, int64_t stride, float* out) {
  const CodeForm form = w.codec->form();
  const int64_t groups = w.cols / form.group;
  const CodeTile tile{at_least(room.code, w.cols * kTileRows),
                      at_least(room.scale, groups * kTileRows),
                      at_least(room.offset, groups * kTileRows)};
  if (const UnpackTile fast = compute.kernels->find_unpack(*w.codec))
    fast(w, first, 0, w.cols, tile);
  else
    w.codec->unpack_tile(w, first, 0, w.cols, tile);
  for (int64_t c = 0; c < w.cols; ++c) {
    const uint8_t* code = tile.code + c / 4 * (4 * kTileRows) + c % 4;
    const float *scale = tile.scale + c / form.group * kTileRows,
                *offset = tile.offset + c / form.group * kTileRows;
    for (int64_t r = 0; r < count; ++r) {
      const float value = scale[r] * static_cast<float>(code[4 * r] - form.zero);
      out[c * stride + r] = form.affine ? value + offset[r] : value;
    }
  }
}

/// Sixteen rows of float weights as columns.
void turned_floats(const PackedMatrix& w, int64_t first, int64_t count,
                   BackwardScratch::Worker& room, int64_t stride, float* out) {
  float* rows = at_least(room.row, kTileRows * w.cols);
  for (int64_t r = 0; r < count; ++r) w.codec->decode_row(w, first + r, rows + r * w.cols);
  for (int64_t c = 0; c < w.cols; ++c)
    for (int64_t r = 0; r < count; ++r) out[c * stride + r] = rows[r * w.cols + c];
}

/// Rows first .. first + rows - 1 of w as columns: out (cols, rows).
void turned_rows(const Compute& compute, const PackedMatrix& w, int64_t first, int64_t rows,
                 BackwardScratch& scratch, float* out) {
  scratch.workers.resize(static_cast<size_t>(compute.pool->size()));
  compute.pool->parallel_for(
      (rows + kTileRows - 1) / kTileRows, 1, [&](int64_t begin, int64_t end, int worker) {
        BackwardScratch::Worker& room = scratch.workers[static_cast<size_t>(worker)];
        for (int64_t at = begin * kTileRows; at < std::min(rows, end * kTileRows);
             at += kTileRows) {
          const int64_t count = std::min<int64_t>(kTileRows, rows - at);
          if (w.codec->form().group > 0)
            turned_codes(compute, w, first + at, count, room, rows, out + at);
          else
            turned_floats(w, first + at, count, room, rows, out + at);
        }
      });
}

}  // namespace

void linear_backward(const Compute& compute, const PackedMatrix& w, const float* dy, int64_t tokens,
                     bool add, BackwardScratch& scratch, float* dx) {
  float* part = at_least(scratch.part, tokens * w.cols);
  for (int64_t first = 0; first < w.rows; first += kBackwardSlice) {
    const int64_t rows = std::min(kBackwardSlice, w.rows - first);
    float* turned = at_least(scratch.turned, w.cols * rows);
    turned_rows(compute, w, first, rows, scratch, turned);
    const PackedMatrix transposed{
        gguf_codec(DType::kF32),
        w.cols,
        rows,
        std::as_bytes(std::span(turned, static_cast<size_t>(w.cols * rows))),
        {}};
    scratch.input.set(dy + first, w.rows, tokens, rows);
    linear(compute, transposed, {}, scratch.input, ActivationMode::kFloat, scratch.linear, part,
           w.cols);
    compute.pool->parallel_for(tokens, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) {
        float *from = part + t * w.cols, *to = dx + t * w.cols;
        if (w.rotation) compute.kernels->unrotate(*w.rotation, from);
        if (add || first > 0)
          for (int64_t c = 0; c < w.cols; ++c) to[c] += from[c];
        else
          std::copy_n(from, w.cols, to);
      }
    });
  }
}

void norm_backward(const Compute& compute, const float* x, const float* gain, float eps,
                   int64_t rows, int64_t n, const float* dy, bool add, BackwardScratch& scratch,
                   float* dx, float* d_gain) {
  float* inverse = at_least(scratch.inverse, rows);
  compute.pool->parallel_for(rows, 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[r * n + i]) * x[r * n + i];
      inverse[r] = static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(n) + eps));
    }
  });
  compute.pool->parallel_for(n, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = begin; i < end; ++i) d_gain[i] += dy[r * n + i] * x[r * n + i] * inverse[r];
  });
  compute.pool->parallel_for(rows, 32, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float *from = x + r * n, *d = dy + r * n;
      double along = 0;
      for (int64_t i = 0; i < n; ++i) along += static_cast<double>(d[i] * gain[i]) * from[i];
      const float q = inverse[r],
                  back = static_cast<float>(along / static_cast<double>(n)) * q * q * q;
      for (int64_t i = 0; i < n; ++i) {
        const float g = q * gain[i] * d[i] - back * from[i];
        dx[r * n + i] = add ? dx[r * n + i] + g : g;
      }
    }
  });
}

void gate_backward(const Compute& compute, bool silu, int64_t n, float* gate, const float* up,
                   float* dy) {
  compute.pool->parallel_for(n, 4096, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float x = gate[i], d = dy[i];
      float value, slope;
      if (silu) {
        const float s = 1 / (1 + std::exp(-x));
        value = x * s;
        slope = s * (1 + x * (1 - s));
      } else {
        constexpr float kRoot = 0.7978845608f, kCube = 0.044715f;  // sqrt(2 / pi)
        const float t = std::tanh(kRoot * (x + kCube * x * x * x));
        value = 0.5f * x * (1 + t);
        slope = 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * kRoot * (1 + 3 * kCube * x * x);
      }
      gate[i] = d * up[i] * slope;
      dy[i] = d * value;
    }
  });
}

}  // namespace planeloom
