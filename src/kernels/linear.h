#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "codecs/codec.h"
#include "kernels/compute.h"

namespace planeloom {

/// How activations meet low-bit weights: as float, or rounded to int8 in groups of 16 or 32
/// columns, as the weights' CodeForm asks.
enum class ActivationMode { kFloat, kInt8 };

/// The input of one or several linears: the float rows, and their int8 form made once when a codec
/// asks for it.
class LinearInput {
 public:
  /// x: (tokens, stride), `cols` of each row used. Borrowed until the next set().
  void set(const float* x, int64_t stride, int64_t tokens, int64_t cols);
  /// The int8 form with a scale per `step` columns, computed on first use (in parallel over
  /// tokens).
  const Int8Rows& int8_rows(const Compute& compute, int64_t step);

  const float* x() const { return x_; }
  int64_t stride() const { return stride_; }
  int64_t tokens() const { return tokens_; }
  int64_t cols() const { return cols_; }

 private:
  const float* x_ = nullptr;
  int64_t stride_ = 0, tokens_ = 0, cols_ = 0;
  struct Int8 {
    bool made = false;
    std::vector<int8_t> code;  // (tokens, cols)
    std::vector<float> scale;  // (tokens, cols / step)
    std::vector<int32_t> sum;  // (tokens, cols / step)
    Int8Rows rows{};
  };
  Int8 by_16_, by_32_;
};

/// Room for unpacked weights, per worker; grows on first use, then no allocation.
class LinearScratch {
 public:
  struct Worker {
    std::vector<float> floats;  // (block rows, cols)
    std::vector<uint8_t> code;  // (panel columns / 4, 16 rows, 4)
    std::vector<float> scale;   // (panel columns / group, 16 rows)
    std::vector<float> offset;  // (panel columns / group, 16 rows)
    std::vector<float> edge;    // (tokens, 16 rows): outputs of a last tile that is not whole
  };
  /// Call before a parallel region; worker() inside it.
  void reserve(int workers) {
    if (static_cast<int>(workers_.size()) < workers) workers_.resize(static_cast<size_t>(workers));
  }
  Worker& worker(int index) { return workers_[static_cast<size_t>(index)]; }

 private:
  std::vector<Worker> workers_;
};

/// y[t * y_stride + r] = sum_c W[r][c] x[t][c] + bias[r]; bias may be empty. y: (tokens, y_stride
/// >= rows). A result depends on its own row and token only (kernels.h), whatever the batch and the
/// threads.
void linear(const Compute& compute, const PackedMatrix& w, std::span<const float> bias,
            LinearInput& input, ActivationMode mode, LinearScratch& scratch, float* y,
            int64_t y_stride);

}  // namespace planeloom
