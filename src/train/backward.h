// The backward passes of a block's operations. Gradients by the output come in, gradients by the
// input go out; the same bits for any thread count.
#pragma once
#include <vector>

#include "kernels/attention.h"
#include "kernels/linear.h"

namespace planeloom {

/// Rows of a linear that are turned over at a time; a head has many.
inline constexpr int64_t kBackwardSlice = 8192;

/// Room that grows on first use.
struct BackwardScratch {
  struct Worker {
    std::vector<float> row;     // sixteen rows of weights (16, cols), or
    std::vector<uint8_t> code;  // the integers of them (codecs/codec.h)
    std::vector<float> scale, offset;
    std::vector<float> score, d_score;                // (tokens of a block, keys)
    std::vector<float> score_turned, d_score_turned;  // (keys, tokens of a block)
  };
  std::vector<Worker> workers;
  std::vector<float> turned, part;      // weights (cols, rows); one slice's share (tokens, cols)
  std::vector<float> inverse;           // (rows) of a norm
  std::vector<float> d_keys, d_values;  // (heads, tokens, head_dim)
  LinearInput input;
  LinearScratch linear;
};

/// y = W x: dx (tokens, cols) = dy W, apart; added to dx when `add`. dy: (tokens, rows).
void linear_backward(const Compute& compute, const PackedMatrix& w, const float* dy, int64_t tokens,
                     bool add, BackwardScratch& scratch, float* dx);

/// y = x / sqrt(mean(x^2) + eps) * gain, row by row: dx (rows, n) = or += the gradient, d_gain (n)
/// += its share. dx may be dy.
void norm_backward(const Compute& compute, const float* x, const float* gain, float eps,
                   int64_t rows, int64_t n, const float* dy, bool add, BackwardScratch& scratch,
                   float* dx, float* d_gain);

/// kernels/attention.h over the tokens of one window, past = 0. q, out, d_out, dq: (tokens, heads *
/// head_dim); keys, values, dk, dv: (kv_heads, tokens, head_dim). Without softcap.
void attention_backward(const Compute& compute, const AttentionShape& shape, const float* q,
                        const float* keys, const float* values, const float* out,
                        const float* d_out, int64_t tokens, BackwardScratch& scratch, float* dq,
                        float* dk, float* dv);

/// y = activation(gate) * up, element by element: dy becomes d_up; gate becomes d_gate.
/// silu(x) = x / (1 + exp(-x)), or GELU in its tanh form.
void gate_backward(const Compute& compute, bool silu, int64_t n, float* gate, const float* up,
                   float* dy);

}  // namespace planeloom
