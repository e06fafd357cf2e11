#include <algorithm>

#include "kernels/scratch.h"
#include "train/backward.h"

namespace planeloom {
namespace {

/// Query tokens that meet the keys at a time.
constexpr int64_t kBlock = 64;

/// One head: what it reads and where its gradients go.
struct Head {
  const float *q, *out, *d_out;  // (tokens, stride)
  int64_t stride;
  const float *keys, *values;  // (tokens, dim)
  float* dq;                   // (tokens, stride)
  float *dk, *dv;              // (tokens, dim), zero at first
};

/// With P = softmax(scale Q K^T) row by row and O = P V:
///   dV = P^T dO,  dS = P o (dO V^T - (dO . O)),  dQ = scale dS K,  dK = scale dS^T Q
/// (FlashAttention, arXiv 2205.14135, appendix B.2).
void head_backward(const Kernels& kernels, const AttentionShape& shape, const Head& h,
                   int64_t tokens, BackwardScratch::Worker& room) {
  const int64_t dim = shape.head_dim;
  float *p = at_least(room.score, kBlock * tokens), *ds = at_least(room.d_score, kBlock * tokens),
        *p_turned = at_least(room.score_turned, kBlock * tokens),
        *ds_turned = at_least(room.d_score_turned, kBlock * tokens);
  for (int64_t first = 0; first < tokens; first += kBlock) {
    const int64_t rows = std::min(kBlock, tokens - first), end = first + rows,
                  start = shape.window > 0 ? std::max<int64_t>(0, first - shape.window + 1) : 0,
                  n = end - start;
    const float *keys = h.keys + start * dim, *values = h.values + start * dim;
    kernels.dot_f32(keys, dim, n, h.q + first * h.stride, h.stride, rows, dim, p, n);
    kernels.dot_f32(values, dim, n, h.d_out + first * h.stride, h.stride, rows, dim, ds, n);
    for (int64_t t = 0; t < rows; ++t) {
      const int64_t at = first + t;
      const int64_t from = (shape.window > 0 ? std::max<int64_t>(0, at - shape.window + 1) : 0) -
                           start,
                    to = at + 1 - start;
      float *row = p + t * n, *d_row = ds + t * n;
      for (int64_t j = from; j < to; ++j) row[j] *= shape.scale;
      float top = 0;
      const float sum = kernels.exp_sum(row + from, to - from, &top);
      const float *o = h.out + at * h.stride, *d_o = h.d_out + at * h.stride;
      float along = 0;
      for (int64_t i = 0; i < dim; ++i) along += o[i] * d_o[i];
      for (int64_t j = 0; j < n; ++j) {
        const bool seen = j >= from && j < to;
        row[j] = seen ? row[j] / sum : 0;
        d_row[j] = seen ? row[j] * (d_row[j] - along) * shape.scale : 0;
      }
      float* dq = h.dq + at * h.stride;
      std::fill_n(dq, dim, 0.0f);
      kernels.weighted_sum(d_row, n, keys, dim, dim, dq);
    }
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t j = 0; j < n; ++j) {
        p_turned[j * rows + t] = p[t * n + j];
        ds_turned[j * rows + t] = ds[t * n + j];
      }
    for (int64_t j = 0; j < n; ++j) {
      kernels.weighted_sum(p_turned + j * rows, rows, h.d_out + first * h.stride, h.stride, dim,
                           h.dv + (start + j) * dim);
      kernels.weighted_sum(ds_turned + j * rows, rows, h.q + first * h.stride, h.stride, dim,
                           h.dk + (start + j) * dim);
    }
  }
}

}  // namespace

void attention_backward(const Compute& compute, const AttentionShape& shape, const float* q,
                        const float* keys, const float* values, const float* out,
                        const float* d_out, int64_t tokens, BackwardScratch& scratch, float* dq,
                        float* dk, float* dv) {
  const int64_t dim = shape.head_dim, size = tokens * dim, group = shape.heads / shape.kv_heads;
  float *dk_heads = at_least(scratch.d_keys, shape.heads * size),
        *dv_heads = at_least(scratch.d_values, shape.heads * size);
  scratch.workers.resize(static_cast<size_t>(compute.pool->size()));
  compute.pool->parallel_for(shape.heads, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t h = begin; h < end; ++h) {
      std::fill_n(dk_heads + h * size, size, 0.0f);
      std::fill_n(dv_heads + h * size, size, 0.0f);
      const Head head{q + h * dim,       out + h * dim,           d_out + h * dim,
                      shape.heads * dim, keys + h / group * size, values + h / group * size,
                      dq + h * dim,      dk_heads + h * size,     dv_heads + h * size};
      head_backward(*compute.kernels, shape, head, tokens,
                    scratch.workers[static_cast<size_t>(worker)]);
    }
  });
  for (int64_t k = 0; k < shape.kv_heads; ++k)
    for (int64_t g = 0; g < group; ++g)
      for (int64_t i = 0; i < size; ++i) {
        const int64_t to = k * size + i, from = (k * group + g) * size + i;
        dk[to] = (g ? dk[to] : 0) + dk_heads[from];
        dv[to] = (g ? dv[to] : 0) + dv_heads[from];
      }
}

}  // namespace planeloom
