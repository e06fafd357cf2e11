#include "kernels/ref/ref.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/exp_constants.h"
#include "tensor/half.h"

namespace planeloom::ref {
namespace {

constexpr int kLanes = 16;

float fold(const float* lane) {
  float sum[kLanes];
  std::memcpy(sum, lane, sizeof sum);
  for (int half = kLanes / 2; half >= 1; half /= 2)
    for (int j = 0; j < half; ++j) sum[j] = sum[j] + sum[j + half];
  return sum[0];
}

float as_float(float w) { return w; }
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};
float as_float(Half w) { return half_to_float(w.bits); }
float as_float(Brain w) { return bf16_to_float(w.bits); }

template <class W>
void dot(const void* weights, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
         int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  const auto* w = static_cast<const std::byte*>(weights);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      float lane[kLanes] = {};
      for (int64_t i = 0; i < n; ++i) {
        W value;
        std::memcpy(&value, w + (r * w_stride + i) * static_cast<int64_t>(sizeof(W)), sizeof(W));
        lane[i % kLanes] = std::fma(as_float(value), x[t * x_stride + i], lane[i % kLanes]);
      }
      out[t * out_stride + r] = fold(lane);
    }
}

void dot_f32(const float* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
             int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot<float>(w, w_stride, rows, x, x_stride, tokens, n, out, out_stride);
}
void dot_f16(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
             int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot<Half>(w, w_stride, rows, x, x_stride, tokens, n, out, out_stride);
}
void dot_bf16(const uint16_t* w, int64_t w_stride, int64_t rows, const float* x, int64_t x_stride,
              int64_t tokens, int64_t n, float* out, int64_t out_stride) {
  dot<Brain>(w, w_stride, rows, x, x_stride, tokens, n, out, out_stride);
}

void pack_panel(const float* rows, int64_t stride, int64_t count, int64_t cols, float* panel) {
  const int64_t steps = panel_steps(cols);
  std::fill_n(panel, panel_size(cols), 0.0f);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t i = 0; i < cols; ++i) panel[panel_at(i, r, steps)] = rows[r * stride + i];
}

void dot_panels(const float* w, int64_t steps, const float* x, int64_t tokens, int64_t rows,
                float* y, int64_t y_stride) {
  for (int64_t t = 0; t < tokens; ++t) {
    const float* token = x + t / kPanelRows * panel_size(steps * kLanes) + t % kPanelRows;
    for (int64_t r = 0; r < rows; ++r) {
      float lane[kLanes] = {};
      for (int64_t i = 0; i < steps * kLanes; ++i)
        lane[i % kLanes] =
            std::fma(w[panel_at(i, r, steps)], token[panel_at(i, 0, steps)], lane[i % kLanes]);
      y[t * y_stride + r] = fold(lane);
    }
  }
}

/// Exact: codes are below 256, so 32 products stay far inside int32.
int32_t dot_codes(const TileView& w, int64_t r, const Int8Block& x, int64_t t, int64_t col) {
  int32_t sum = x.start[col / w.form.step * x.tokens + t];
  for (int64_t c = col; c < col + w.form.step; ++c)
    sum += w.code[c / 4 * 64 + 4 * r + c % 4] * x.code[(c / 4 * x.tokens + t) * 4 + c % 4];
  return sum;
}

void dot_tile(const TileView& w, const Int8Block& x, float* y, int64_t y_stride) {
  const int64_t group = w.form.group, step = w.form.step;
  for (int64_t t = 0; t < x.tokens; ++t)
    for (int64_t r = 0; r < kTileRows; ++r) {
      float acc = y[t * y_stride + r];
      for (int64_t g = 0; g < w.cols / group; ++g) {
        float sum = 0;
        for (int64_t c = g * group; c < (g + 1) * group; c += step)
          sum = std::fma(static_cast<float>(dot_codes(w, r, x, t, c)),
                         x.scale[c / step * x.tokens + t], sum);
        acc = std::fma(sum, w.scale[g * kTileRows + r], acc);
        if (w.form.affine)
          acc = std::fma(x.weight[g * x.tokens + t], w.offset[g * kTileRows + r], acc);
      }
      y[t * y_stride + r] = acc;
    }
}

void quantize_int8(const float* x, int64_t cols, int64_t step, int8_t* code, float* scale,
                   int32_t* sum) {
  for (int64_t begin = 0; begin < cols; begin += step) {
    float biggest = 0;
    for (int64_t i = begin; i < begin + step; ++i) biggest = std::max(biggest, std::fabs(x[i]));
    const float inverse = biggest > kSmallestActivation ? 127.0f / biggest : 0.0f;
    int32_t total = 0;
    for (int64_t i = begin; i < begin + step; ++i) {
      const float rounded = std::nearbyint(x[i] * inverse);
      const int32_t q =
          std::fabs(rounded) <= 127.0f ? static_cast<int32_t>(rounded) : 0;  // NaN, infinity: 0
      code[i] = static_cast<int8_t>(q);
      total += q;
    }
    scale[begin / step] = biggest / 127.0f;
    sum[begin / step] = total;
  }
}

void rms_norm(const float* x, const float* gain, float eps, int64_t n, float* out) {
  float lane[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lane[i % kLanes] = std::fma(x[i], x[i], lane[i % kLanes]);
  const float scale = 1.0f / std::sqrt(fold(lane) / static_cast<float>(n) + eps);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * gain[i];
}

float exp_sum(float* x, int64_t n, float* top) {
  float biggest = x[0];
  for (int64_t i = 1; i < n; ++i) biggest = std::max(biggest, x[i]);
  float lane[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_f32(x[i] - biggest);
    lane[i % kLanes] += x[i];
  }
  *top = biggest;
  return fold(lane);
}

void silu_mul(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) gate[i] = gate[i] / (1.0f + exp_f32(-gate[i])) * up[i];
}

void gelu_mul(float* gate, const float* up, int64_t n) {
  // 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
  for (int64_t i = 0; i < n; ++i) {
    const float x = gate[i], cubic = std::fma(x * x * x, 0.044715f, x);
    gate[i] = x / (1.0f + exp_f32(cubic * -1.5957691216057308f)) * up[i];
  }
}

void weighted_sum(const float* weight, int64_t n, const float* v, int64_t stride, int64_t dim,
                  float* out) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t d = 0; d < dim; ++d) out[d] = std::fma(weight[i], v[i * stride + d], out[d]);
}

void half_to_float_row(const uint16_t* in, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = half_to_float(in[i]);
}

void q8_0_to_float(const std::byte* in, int64_t n, float* out) {
  const Codec* codec = gguf_codec(DType::kQ8_0);
  codec->decode_row({codec, 1, n, {in, static_cast<size_t>(n / 32 * 34)}, {}}, 0, out);
}

}  // namespace

float exp_f32(float x) {
  using namespace exp_constants;
  if (!(x >= kMin)) return x != x ? x : 0.0f;
  x = std::min(x, kMax);
  const float n = std::nearbyint(x * kLog2E);
  const float r = std::fma(-n, kLn2Low, std::fma(-n, kLn2High, x));
  float p = std::fma(r, kC7, kC6);
  for (float c : {kC5, kC4, kC3, kC2, 1.0f, 1.0f}) p = std::fma(r, p, c);
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

const Kernels& table() {
  static const Kernels kTable{
      Isa::kScalar,
      dot_f32,
      dot_f16,
      dot_bf16,
      pack_panel,
      dot_panels,
      dot_tile,
      nullptr,
      quantize_int8,
      [](const Rotation& r, const float* x, float* out) { r.apply(x, out); },
      [](const Rotation& r, float* x) { r.undo(x); },
      rms_norm,
      exp_sum,
      silu_mul,
      gelu_mul,
      weighted_sum,
      half_to_float_row,
      q8_0_to_float,
      [](const Codec&) -> UnpackTile { return nullptr; },
      [](const Codec&, int64_t) -> DotPacked { return nullptr; }};
  return kTable;
}

}  // namespace planeloom::ref
