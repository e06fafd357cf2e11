#include "quant/row_feedback.h"

#include <algorithm>

namespace planeloom {
namespace {

using lanes::kLanes;
using lanes::Lanes;

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
        error_(static_cast<size_t>(c.input.rows * c.input.cols)),
        push_(static_cast<size_t>(c.input.rows * block_ / kLanes)),
        target_(static_cast<size_t>(block_ * c.input.cols)) {}

  Result<QuantResult> run(Result<QuantResult> (*quantize)(const MethodContext&)) {
    for (int64_t first = 0; first < c_.input.rows; first += block_) {
      aim(first);
      LayerInput part{target_, block_, c_.input.cols};
      part.prepared = c_.input.prepared;
      PL_TRY(const QuantResult done,
             quantize({part, c_.options, c_.hessian, c_.isa, c_.kernels, c_.pool}));
      take(first, done);
    }
    return std::move(result_);
  }

 private:
  int64_t row_at(int64_t position) const { return outputs_.order[static_cast<size_t>(position)]; }

  const float* weights(int64_t position) const {
    return c_.input.weights.data() + row_at(position) * c_.input.cols;
  }
  /// D of a row: in strips of eight columns, so that what goes down the rows stays on a page.
  float& error(int64_t row, int64_t col) {
    return error_[static_cast<size_t>((col / 8 * c_.input.rows + row) * 8 + col % 8)];
  }

  /// target_ = W_B + (R_before,B R_BB^-1)^T D_before.
  void aim(int64_t first) {
    const int64_t rows = c_.input.rows, cols = c_.input.cols;
    const float* inverse = outputs_.inverse.data() + first * block_;
    c_.pool.parallel_for(first, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t)
        for (int64_t l = 0; l < block_; ++l) {
          float sum = 0;
          for (int64_t k = 0; k <= l; ++k)
            sum += outputs_.r(t, first + k) * inverse[k * block_ + l];
          push_[static_cast<size_t>(l / kLanes * rows + t)].v[l % kLanes] = sum;
        }
    });
    const int64_t chunks = (cols + kColumnsAtOnce - 1) / kColumnsAtOnce, panels = block_ / kLanes;
    c_.pool.parallel_for(chunks * panels, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i / panels * kColumnsAtOnce, row = i % panels * kLanes,
                      n = std::min(kColumnsAtOnce, cols - at);
        Lanes out[kColumnsAtOnce];
        for (int64_t l = 0; l < kLanes; ++l)
          for (int64_t j = 0; j < n; ++j) out[j].v[l] = weights(first + row + l)[at + j];
        c_.kernels.multiply_add(push_.data() + row / kLanes * rows, first,
                                {error_.data() + at * rows, 8, 8 * rows}, n, false, out);
        for (int64_t l = 0; l < kLanes; ++l)
          for (int64_t j = 0; j < n; ++j)
            target_[static_cast<size_t>((row + l) * cols + at + j)] = out[j].v[l];
      }
    });
  }

  void take(int64_t first, const QuantResult& done) {
    const PackedMatrix quantized = done.matrix.view();
    c_.pool.parallel_for(block_, 4, [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(quantized.cols));
      for (int64_t r = begin; r < end; ++r) {
        quantized.codec->decode_row(quantized, r, row.data());
        for (int64_t c = 0; c < quantized.cols; ++c)
          error(first + r, c) = weights(first + r)[c] - row[static_cast<size_t>(c)];
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
  std::vector<float> error_;  // D in the order of outputs_: (cols / 8, rows, 8)
  std::vector<Lanes> push_;   // R_before,B R_BB^-1: (block / 16, rows), 16 of the block a lane each
  std::vector<float> target_;  // (block, cols)
  QuantResult result_;
};

}  // namespace

Result<QuantResult> quantize_rows_in_turn(const MethodContext& context,
                                          Result<QuantResult> (*quantize)(const MethodContext&)) {
  return RowsInTurn(context).run(quantize);
}

}  // namespace planeloom
