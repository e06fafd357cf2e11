#pragma once
#include <cstdint>
#include <memory>
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
  /// Makes the int8 form that weights of this form meet, where it is not made yet.
  void make_int8(const Compute& compute, const CodeForm& form);
  /// The same rows rotated, as weights that were meet them; made once.
  LinearInput& rotated(const Compute& compute, const Rotation& rotation);
  /// Makes the panels that float weights meet with many tokens (kernels.h), where they are not made
  /// yet.
  void make_panels(const Compute& compute);
  const float* panels() const { return panels_.data(); }
  /// All of it, in the form of the kernels that made it: for dot_tiles where those have it, the
  /// step is kTilesStep and there are kTilesLeast tokens.
  Int8Rows int8_rows(const CodeForm& form) const;
  /// kBlockTokens tokens of it from `first` on, a multiple of that; fewer at the end.
  Int8Block int8_block(int64_t first, const CodeForm& form) const {
    return int8_rows(form).at(first, form);
  }

  const float* x() const { return x_; }
  int64_t stride() const { return stride_; }
  int64_t tokens() const { return tokens_; }
  int64_t cols() const { return cols_; }

 private:
  /// Blocks of tokens one after another, each as Int8Block has it.
  struct Int8 {
    bool made = false;
    int64_t block = kBlockTokens;
    std::vector<int8_t> code;
    std::vector<float> scale;
    std::vector<int32_t> sum;  // of the codes of a step
    // For the form that asked last.
    int zero = -1, weight_group = 0;
    std::vector<int32_t> start;
    std::vector<float> weight;
  };
  Int8& by_step(int step) { return step == 16 ? by_16_ : by_32_; }
  const Int8& by_step(int step) const { return step == 16 ? by_16_ : by_32_; }
  void make_codes(const Compute& compute, int64_t step, Int8& out) const;
  void make_weights(const CodeForm& form, Int8& out) const;

  const float* x_ = nullptr;
  int64_t stride_ = 0, tokens_ = 0, cols_ = 0;
  Int8 by_16_, by_32_;
  bool panels_made_ = false;
  std::vector<float> panels_;  // (tokens / 16, panel)
  const Rotation* rotated_by_ = nullptr;
  std::unique_ptr<LinearInput> rotated_;
  std::vector<float> rotated_rows_;  // (tokens, cols)
};

/// Room for unpacked weights, per worker; grows on first use, then no allocation.
class LinearScratch {
 public:
  struct Worker {
    std::vector<float> floats;  // (block rows, cols)
    std::vector<float> panel;   // of sixteen rows
    std::vector<uint8_t> code;  // (kTilesAtOnce, panel columns / 4, 16 rows, 4)
    std::vector<float> scale;   // (kTilesAtOnce, panel columns / group, 16 rows)
    std::vector<float> offset;  // (kTilesAtOnce, panel columns / group, 16 rows)
    std::vector<float> sums;    // (tokens, block rows)
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
/// threads. Rows in parts (codecs/row_parts.h) are multiplied part by part, each in its own form.
void linear(const Compute& compute, const PackedMatrix& w, std::span<const float> bias,
            LinearInput& input, ActivationMode mode, LinearScratch& scratch, float* y,
            int64_t y_stride);

}  // namespace planeloom
