// The quantizer contract: a matrix (and a Hessian) in, an encoded matrix and an error report out.
// No model in sight.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/cpu.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "codecs/codec.h"
#include "quant/hessian.h"

namespace planeloom {

/// How to quantize one matrix. The defaults are the published settings of each method
/// (docs/bpdq.md, docs/ptqtp.md, docs/baselines.md).
struct QuantOptions {
  std::string method = "bpdq";  // "rtn", "hqq", "gptq", "bpdq", "ptqtp", "trellis"
  int bits = 2;  // bit-planes, 1 ... 4; trellis, 1 ... 4; ptqtp has two trit-planes and ignores it
  int group = 64;  // columns that share coefficients: 32, 64, 96, 128, 192 or 256
  Coefficients coefficients =
      Coefficients::kHalf;  // as published; kByte saves bits; kTied is for ptqtp only
  bool clip = false;        // rtn: search for a narrower range, which other than min-max may be
  int rounds = 0;           // most rounds of hqq, bpdq, ptqtp; 0: the method's own (20, 10, 50)
  double damping =
      0.05;  // share of the mean diagonal added to `hessian` (a prepared one has its own)
  double ridge = 1e-4;  // bpdq: the refit's ridge, absolute as published
  bool cap_ridge =
      true;  // bpdq: never let the ridge exceed `ridge` times the mean diagonal it is added to
  bool per_row_best =
      false;  // bpdq: keep the best round per row; published: one round for all rows
  /// bpdq: after the published loop with several starts (the best per row), so many passes of
  /// coordinate descent over codes and coefficients in the whole Hessian. ptqtp: the same with
  /// trit-planes, instead of its own alternation. 0: as published.
  int refine = 0;
  std::optional<Isa> isa;  // empty: default_isa(). Every choice gives the same bits.
};

/// One linear layer. Borrowed memory.
struct LayerInput {
  std::span<const float> weights;  // (rows, cols), y = W x
  int64_t rows = 0, cols = 0;
  std::span<const double> hessian =
      {};  // (cols, cols) = 2/n sum x x^T, both halves filled; may be empty
  const PreparedHessian* prepared =
      nullptr;  // used instead of `hessian` when set; must be of this cols and group
  /// From prepare_outputs, of these rows: later rows make up for the errors of earlier ones.
  const PreparedHessian* outputs = nullptr;
};

/// How far the encoded weights, as decoded, are from the given ones.
struct ErrorReport {
  double weight_error = 0;  // ||W - W'||_F / ||W||_F; 0 for an all-zero matrix
  std::optional<double>
      output_error;            // tr(E H E^T) / tr(W H W^T), E = W - W'; empty without a Hessian
  int rounds = 0;              // most rounds that any group took
  double mean_rounds = 0;      // over groups of weights
  int64_t unfinished = 0;      // groups that had not converged after the last round (ptqtp)
  double damping = 0;          // share of the mean diagonal added in the end (with a Hessian)
  double bits_per_weight = 0;  // every coefficient counted
};

struct QuantResult {
  EncodedMatrix matrix;
  ErrorReport report;
};

/// An error for an unknown method or a setting that it does not have.
Status check_options(const QuantOptions& options);

/// Whether the method makes use of the Hessian of the inputs.
bool reads_hessian(const QuantOptions& options);

/// The Hessian as the method wants it: its order, damping, group.
Result<PreparedHessian> prepare_hessian(std::span<const double> hessian, int64_t cols,
                                        const QuantOptions& options, ThreadPool& pool);

/// Rows that LayerInput::outputs lets quantize together: what they share is left aside.
inline constexpr int kRowsInTurn = 64;

/// Second moments of the loss's gradient by a linear's outputs, (rows, rows), both halves filled,
/// made ready for LayerInput::outputs. Rows must be a multiple of kRowsInTurn. The damping is large
/// because gradients are few: much of what thousands of them show of as many outputs does not carry
/// over to other text (docs/guide.md).
Result<PreparedHessian> prepare_outputs(std::span<const double> moments, int64_t rows, Isa isa,
                                        ThreadPool& pool, double damping = 1);

/// Quantizes one matrix. The same bytes for any number of threads and any ISA. Errors: an unknown
/// method, bits or group out of range, cols no multiple of group, sizes that do not fit, a weight
/// that is not finite or beyond fp16. Without a Hessian, or with one that is all zero (no
/// calibration token came by), gptq, bpdq, trellis and refined ptqtp work on the identity.
Result<QuantResult> quantize_layer(const LayerInput& input, const QuantOptions& options,
                                   ThreadPool& pool);

}  // namespace planeloom
