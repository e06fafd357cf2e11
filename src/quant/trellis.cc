#include "quant/trellis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codecs/trellis.h"
#include "quant/methods.h"
#include "quant/trellis_rows.h"
#include "quant/trellis_search.h"
#include "tensor/half.h"

namespace planeloom {

using lanes::kLanes;
using lanes::Lanes;

std::vector<int32_t> trellis_order(int64_t cols) {
  constexpr int64_t kPiece = 4 * kTrellisSegment;
  std::vector<int32_t> order;
  for (int64_t piece = 0; piece < cols; piece += kPiece)
    for (int64_t sequence = 0; sequence < 4; ++sequence)
      for (int64_t c = piece + sequence; c < std::min(cols, piece + kPiece); c += 4)
        order.push_back(static_cast<int32_t>(c));
  return order;
}

std::vector<TrellisSpan> trellis_spans(int64_t cols, int64_t after) {
  constexpr int64_t kPiece = 4 * kTrellisSegment;
  std::vector<TrellisSpan> all;
  for (int64_t piece = 0; piece < cols; piece += kPiece) {
    const auto columns = [&](int64_t from) {
      return std::clamp<int64_t>((cols - from) / 4, 0, kTrellisSegment);
    };
    const int64_t n = columns(piece), next = columns(piece + kPiece);
    for (int64_t sequence = 0; sequence < 4; ++sequence)
      all.push_back(
          {piece + sequence * n, n, piece + kPiece + sequence * next, n + std::min(next, after)});
  }
  return all;
}

TrellisTable::TrellisTable(int k) : bits(k) {
  const TrellisCode& code = trellis_code(k);
  survivors = int64_t{1} << trellis_survivor_bits(k);
  value.resize(static_cast<size_t>(survivors << k));
  for (uint32_t window = 0; window < value.size(); ++window)
    value[window] = code.level_of_window(window);
  noise = std::exp2(-2.0f * static_cast<float>(k)) * code.deviation * code.deviation;
}

TrellisScratch::TrellisScratch(const TrellisTable& table)
    : alive(static_cast<size_t>(table.survivors + 1)),
      targets{std::vector<float>(alive.size() * kTrellisColumns),
              std::vector<float>(alive.size() * kTrellisColumns)},
      slot(alive.size()),
      touched(alive.size() + 1),
      best(alive.size(), std::numeric_limits<int32_t>::max()),
      oldest(alive.size() * kTrellisColumns) {}

namespace {

class Trellis {
 public:
  explicit Trellis(const MethodContext& c)
      : c_(c),
        cols_(c.input.cols),
        code_(trellis_code(c.options.bits)),
        table_(c.options.bits),
        search_(trellis_search(c.isa, c.options.bits)),
        spans_(trellis_spans(cols_, kTrellisAhead)),
        symbols_(static_cast<size_t>(c.input.rows * cols_)),
        scale_(static_cast<size_t>(c.input.rows)),
        scratch_(static_cast<size_t>(c.pool.size()), TrellisScratch(table_)) {
    for (const TrellisSpan& span : spans_) {
      factor_.emplace_back(span.total, [&](int64_t t, int64_t k) { return factor(span, t, k); });
      inverse_.push_back(inverse(span));
    }
  }

  Result<QuantResult> run() {
    c_.pool.parallel_for(c_.blocks(), 1, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t b = begin; b < end; ++b) block(b, scratch_[static_cast<size_t>(worker)]);
    });
    QuantResult result;
    PL_TRY(result.matrix, encode_trellis(c_.options.bits, c_.input.rows, cols_, symbols_, scale_));
    result.report.rounds = 1;
    result.report.mean_rounds = 1;
    return result;
  }

 private:
  float factor(const TrellisSpan& s, int64_t t, int64_t k) const {
    return c_.hessian->factor[static_cast<size_t>(s.position(t) * cols_ + s.position(k))];
  }

  /// R_SS^-1 of a span, upper triangular: (total, kTrellisColumns).
  std::vector<float> inverse(const TrellisSpan& s) const {
    std::vector<float> out(static_cast<size_t>(s.total * kTrellisColumns));
    const auto at = [&](int64_t i, int64_t k) -> float& {
      return out[static_cast<size_t>(i * kTrellisColumns + k)];
    };
    for (int64_t k = 0; k < s.total; ++k) {
      at(k, k) = 1 / factor(s, k, k);
      for (int64_t i = k - 1; i >= 0; --i) {
        double sum = 0;
        for (int64_t t = i + 1; t <= k; ++t)
          sum += static_cast<double>(factor(s, i, t)) * static_cast<double>(at(t, k));
        at(i, k) = static_cast<float>(-sum / static_cast<double>(factor(s, i, i)));
      }
    }
    return out;
  }

  /// Rows 16 b ...: span by span, so that D R of what is done is a product of many columns.
  void block(int64_t b, TrellisScratch& scratch) {
    TrellisRows rows(cols_);
    rows.count = std::min<int64_t>(kLanes, c_.input.rows - b * kLanes);
    for (int64_t n = 0; n < cols_; ++n)
      rows.weight[n] = load_column(c_.input, b, c_.hessian->order[static_cast<size_t>(n)]);
    for (int64_t l = 0; l < rows.count; ++l) rows.scale[l] = start_scale(b * kLanes + l);
    uint32_t survivor[kLanes][4] = {};  // by sequence
    for (size_t i = 0; i < spans_.size(); ++i) {
      const TrellisSpan& span = spans_[i];
      Lanes pushed[kTrellisColumns] = {};  // what the errors so far make of the span's columns
      add_pushed(span.first, span.first, span.n, pushed, rows);
      add_pushed(span.first, span.next, span.total - span.n, pushed + span.n, rows);
      Lanes shift[kTrellisColumns] = {};  // what to add to W: pushed R_SS^-1
      c_.kernels.multiply_add(pushed, span.total, inverse_[i].data(), kTrellisColumns,
                              (span.total + 7) / 8 * 8, false, shift);
      for (int64_t l = 0; l < rows.count; ++l)
        row_span(i, l, shift, survivor[l][i % 4], rows, scratch);
    }
    store(b, rows);
  }

  /// (D R) of columns at ... at + n - 1, so far as the first `done` columns go.
  void add_pushed(int64_t done, int64_t at, int64_t n, Lanes* to, const TrellisRows& rows) const {
    if (n > 0)
      c_.kernels.multiply_add(rows.error.data(), done, c_.hessian->factor.data() + at, cols_, n,
                              false, to);
  }

  /// What a Gaussian row asks for, and a little more: errors pushed from column to column spread
  /// the targets (docs/trellis.md). Rounded as it is stored.
  float start_scale(int64_t row) const {
    constexpr double kSpread = 1.1;
    double sum = 0;
    for (int64_t c = 0; c < cols_; ++c) {
      const auto w = static_cast<double>(c_.input.weights[static_cast<size_t>(row * cols_ + c)]);
      sum += w * w;
    }
    const double deviation = std::sqrt(sum / static_cast<double>(cols_));
    return half_to_float(round_to_half(deviation / static_cast<double>(code_.deviation) * kSpread));
  }

  void row_span(size_t i, int64_t l, const Lanes* shift, uint32_t& survivor, TrellisRows& rows,
                TrellisScratch& scratch) const {
    const TrellisSpan& span = spans_[i];
    const float scale = rows.scale[l], inverse = scale > 0 ? 1 / scale : 0.0f,
                zero = static_cast<float>(code_.zero());
    float target[kTrellisColumns];
    uint32_t window[kTrellisColumns];
    for (int64_t t = 0; t < span.total; ++t)
      target[t] = (rows.weight[span.position(t)].v[l] + shift[t].v[l]) * inverse + zero;
    search_(
        table_,
        {span.total, target, factor_[i].weight.data(), factor_[i].push.data(), survivor, window},
        scratch);
    survivor = window[span.n - 1] % static_cast<uint32_t>(table_.survivors);
    for (int64_t t = 0; t < span.n; ++t) {
      const int64_t at = span.first + t;
      rows.window[static_cast<size_t>(at * kLanes + l)] = static_cast<uint16_t>(window[t]);
      rows.error[at].v[l] = rows.weight[at].v[l] - scale * (table_.value[window[t]] - zero);
    }
  }

  void store(int64_t b, const TrellisRows& rows) {
    for (int64_t l = 0; l < rows.count; ++l) {
      const int64_t row = b * kLanes + l;
      scale_[static_cast<size_t>(row)] = float_to_half(rows.scale[l]);
      for (int64_t n = 0; n < cols_; ++n)
        symbols_[static_cast<size_t>(row * cols_ + c_.hessian->order[static_cast<size_t>(n)])] =
            static_cast<uint8_t>(rows.window[static_cast<size_t>(n * kLanes + l)] &
                                 ((1 << code_.bits) - 1));
    }
  }

  const MethodContext& c_;
  const int64_t cols_;
  const TrellisCode& code_;
  const TrellisTable table_;
  const TrellisSearch search_;
  const std::vector<TrellisSpan> spans_;
  std::vector<TrellisFactor> factor_;        // by span
  std::vector<std::vector<float>> inverse_;  // by span
  std::vector<uint8_t> symbols_;             // (rows, cols)
  std::vector<uint16_t> scale_;              // (rows)
  std::vector<TrellisScratch> scratch_;      // per worker
};

}  // namespace

Result<QuantResult> quantize_trellis(const MethodContext& context) {
  return Trellis(context).run();
}

}  // namespace planeloom
