#include "quant/row_feedback.h"

#include <Eigen/Core>
#include <algorithm>

namespace planeloom {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

constexpr int64_t kColumnsAtOnce = 64;

/// Row `from` of one matrix becomes row `to` of another. Sixteen rows are stored together, and in
/// whatever is stored of them each row has `unit` bytes after another (codecs/planes.h,
/// codecs/trellis.h). bytes: of a row.
void copy_row(const std::vector<std::byte>& source, int64_t from, int64_t bytes, int64_t unit,
              int64_t to, std::vector<std::byte>& target) {
  const auto place = [&](int64_t row) {
    return row / kTileRows * kTileRows * bytes + row % kTileRows * unit;
  };
  for (int64_t i = 0; i < kTileRows * bytes; i += kTileRows * unit)
    std::copy_n(source.begin() + place(from) + i, unit, target.begin() + place(to) + i);
}

class RowsInTurn {
 public:
  explicit RowsInTurn(const MethodContext& c)
      : c_(c),
        outputs_(*c.input.outputs),
        block_(outputs_.group),
        weight_(c.input.rows, c.input.cols),
        error_(c.input.rows, c.input.cols),
        target_(block_, c.input.cols) {
    for (int64_t r = 0; r < c.input.rows; ++r)
      weight_.row(r) = View(c.input.weights.data() + row_at(r) * c.input.cols, 1, c.input.cols,
                            Eigen::OuterStride<>(c.input.cols));
  }

  Result<QuantResult> run(Result<QuantResult> (*quantize)(const MethodContext&)) {
    for (int64_t first = 0; first < c_.input.rows; first += block_) {
      aim(first);
      LayerInput part{{target_.data(), static_cast<size_t>(target_.size())}, block_, c_.input.cols};
      part.prepared = c_.input.prepared;
      PL_TRY(const QuantResult done,
             quantize({part, c_.options, c_.hessian, c_.isa, c_.kernels, c_.pool}));
      take(first, done);
    }
    return std::move(result_);
  }

 private:
  int64_t row_at(int64_t position) const { return outputs_.order[static_cast<size_t>(position)]; }

  /// target_ = W_B + (R_before,B R_BB^-1)^T D_before.
  void aim(int64_t first) {
    const int64_t cols = c_.input.cols;
    const View inverse(outputs_.inverse.data() + first * block_, block_, block_,
                       Eigen::OuterStride<>(block_));
    Matrix before(first, block_);
    for (int64_t i = 0; i < first; ++i)
      for (int64_t j = 0; j < block_; ++j) before(i, j) = outputs_.r(i, first + j);
    const Matrix push = before * inverse;
    c_.pool.parallel_for(
        (cols + kColumnsAtOnce - 1) / kColumnsAtOnce, 1, [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t at = i * kColumnsAtOnce, n = std::min(kColumnsAtOnce, cols - at);
            target_.middleCols(at, n) = weight_.block(first, at, block_, n);
            if (first > 0)
              target_.middleCols(at, n).noalias() +=
                  push.transpose() * error_.block(0, at, first, n);
          }
        });
  }

  void take(int64_t first, const QuantResult& done) {
    const PackedMatrix quantized = done.matrix.view();
    c_.pool.parallel_for(block_, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        quantized.codec->decode_row(quantized, r, error_.row(first + r).data());
        error_.row(first + r) = weight_.row(first + r) - error_.row(first + r);
      }
    });
    EncodedMatrix& to = result_.matrix;
    const Codec& codec = *done.matrix.codec;
    const int64_t codes = codec.code_bytes(quantized.cols), coef = codec.coef_bytes(quantized.cols);
    if (first == 0) {
      const int64_t rows = stored_rows(codec, c_.input.rows);
      to = {&codec, c_.input.rows, c_.input.cols, {}, {}};
      to.codes.resize(static_cast<size_t>(rows * codes));
      to.coef.resize(static_cast<size_t>(rows * coef));
    }
    const int64_t unit = codec.layout().coefficients == Coefficients::kByte ? 1 : 2;
    for (int64_t r = 0; r < block_; ++r) {
      copy_row(done.matrix.codes, r, codes, 4, row_at(first + r), to.codes);
      copy_row(done.matrix.coef, r, coef, unit, row_at(first + r), to.coef);
    }
    ErrorReport& all = result_.report;
    all.rounds = std::max(all.rounds, done.report.rounds);
    all.mean_rounds +=
        done.report.mean_rounds * static_cast<double>(block_) / static_cast<double>(c_.input.rows);
    all.unfinished += done.report.unfinished;
  }

  const MethodContext& c_;
  const PreparedHessian& outputs_;
  const int64_t block_;
  Matrix weight_, error_;  // (rows, cols), in the order of outputs_: W and D
  Matrix target_;          // (block, cols)
  QuantResult result_;
};

}  // namespace

Result<QuantResult> quantize_rows_in_turn(const MethodContext& context,
                                          Result<QuantResult> (*quantize)(const MethodContext&)) {
  return RowsInTurn(context).run(quantize);
}

}  // namespace planeloom
