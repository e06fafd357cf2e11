#include "quant/trellis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "codecs/trellis.h"
#include "quant/methods.h"
#include "quant/trellis_search.h"
#include "quant/triangular.h"
#include "tensor/half.h"

namespace planeloom {

using lanes::kLanes;
using lanes::Lanes;

namespace {
constexpr int64_t kPiece = 4 * kTrellisSegment;  // columns: a segment of each sequence
}

std::vector<int32_t> trellis_order(int64_t cols) {
  std::vector<int32_t> order;
  for (int64_t piece = 0; piece < cols; piece += kPiece)
    for (int64_t sequence = 0; sequence < 4; ++sequence)
      for (int64_t c = piece + sequence; c < std::min(cols, piece + kPiece); c += 4)
        order.push_back(static_cast<int32_t>(c));
  return order;
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
    : alive(static_cast<size_t>(table.survivors + 16)),
      cost(alive.size()),
      error(alive.size()),
      parent(alive.size()),
      targets{std::vector<CacheLine>(static_cast<size_t>(table.survivors * kTrellisColumns / 16)),
              std::vector<CacheLine>(static_cast<size_t>(table.survivors * kTrellisColumns / 16))},
      slot(alive.size()),
      touched(alive.size()),
      best(alive.size(), std::numeric_limits<int32_t>::max()),
      oldest(alive.size() * kTrellisColumns) {}

namespace {

/// Columns of one sequence that are decided together, and those of its next piece that the search
/// looks at: positions in trellis_order.
struct Span {
  int64_t first, n, next, total;  // total: n and what follows at position next
  int64_t position(int64_t t) const { return t < n ? first + t : next + t - n; }
};

/// All of them in order, sequence i mod 4.
std::vector<Span> spans_of(int64_t cols) {
  std::vector<Span> all;
  for (int64_t piece = 0; piece < cols; piece += kPiece) {
    const auto columns = [&](int64_t from) {
      return std::clamp<int64_t>((cols - from) / 4, 0, kTrellisSegment);
    };
    const int64_t n = columns(piece), next = columns(piece + kPiece);
    for (int64_t sequence = 0; sequence < 4; ++sequence)
      all.push_back({piece + sequence * n, n, piece + kPiece + sequence * next,
                     n + std::min(next, kTrellisAhead)});
  }
  return all;
}

/// A span's part of the Hessian, R_SS, as the search wants it (trellis_search.h), and its inverse.
struct SpanFactor {
  std::vector<float> weight;         // (kTrellisColumns)
  std::vector<float> push, inverse;  // (kTrellisColumns, kTrellisColumns), upper triangular
};

/// Sixteen rows in trellis_order.
struct Rows {
  explicit Rows(int64_t cols)
      : weight(static_cast<size_t>(cols)),
        error(weight.size()),
        symbol(static_cast<size_t>(cols * kLanes)) {}

  int64_t count = 0;                 // rows that are there
  std::vector<Lanes> weight, error;  // (cols): W and D = W - W'
  std::vector<uint8_t> symbol;       // (cols, 16)
  float scale[kLanes];               // as they are stored
};

class Trellis {
 public:
  explicit Trellis(const MethodContext& c)
      : c_(c),
        cols_(c.input.cols),
        code_(trellis_code(c.options.bits)),
        table_(c.options.bits),
        search_(trellis_search(c.isa, c.options.bits)),
        spans_(spans_of(cols_)),
        symbols_(static_cast<size_t>(c.input.rows * cols_)),
        scale_(static_cast<size_t>(c.input.rows)),
        scratch_(static_cast<size_t>(c.pool.size()), TrellisScratch(table_)) {
    for (const Span& span : spans_) factors_.push_back(factor_of(span));
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
  float factor(const Span& s, int64_t t, int64_t k) const {
    return c_.hessian->r(s.position(t), s.position(k));
  }

  SpanFactor factor_of(const Span& s) const {
    constexpr auto kSquare = static_cast<size_t>(kTrellisColumns * kTrellisColumns);
    SpanFactor out{std::vector<float>(kTrellisColumns), std::vector<float>(kSquare),
                   std::vector<float>(kSquare)};
    for (int64_t k = 0; k < s.total; ++k) {
      out.weight[static_cast<size_t>(k)] = factor(s, k, k) * factor(s, k, k);
      for (int64_t t = 0; t < k; ++t)
        out.push[static_cast<size_t>(t * kTrellisColumns + k)] = factor(s, t, k) / factor(s, k, k);
    }
    invert_upper(
        s.total, [&](int64_t i, int64_t j) { return static_cast<double>(factor(s, i, j)); },
        out.inverse.data(), kTrellisColumns);
    return out;
  }

  /// Rows 16 b ...: span by span, so that D R of what is done is a product of many columns.
  void block(int64_t b, TrellisScratch& scratch) {
    Rows rows(cols_);
    rows.count = std::min<int64_t>(kLanes, c_.input.rows - b * kLanes);
    for (int64_t n = 0; n < cols_; ++n)
      rows.weight[n] = load_column(c_.input, b, c_.hessian->order[static_cast<size_t>(n)]);
    for (int64_t l = 0; l < rows.count; ++l) rows.scale[l] = start_scale(b * kLanes + l);
    uint32_t survivor[kLanes][4] = {};  // by sequence
    for (size_t i = 0; i < spans_.size(); ++i) {
      const Span& span = spans_[i];
      Lanes pushed[kTrellisColumns] = {};  // what the errors so far make of the span's columns
      add_pushed(span.first, span.first, span.n, pushed, rows);
      add_pushed(span.first, span.next, span.total - span.n, pushed + span.n, rows);
      Lanes shift[kTrellisColumns] = {};  // what to add to W: pushed R_SS^-1
      c_.kernels.multiply_add(pushed, span.total, {factors_[i].inverse.data(), kTrellisColumns},
                              (span.total + 7) / 8 * 8, false, shift);
      for (int64_t l = 0; l < rows.count; ++l)
        row_span(i, l, shift, survivor[l][i % 4], rows, scratch);
    }
    store(b, rows);
  }

  /// (D R) of columns at ... at + n - 1, so far as the first `done` columns go.
  void add_pushed(int64_t done, int64_t at, int64_t n, Lanes* to, const Rows& rows) const {
    if (n > 0)
      c_.kernels.multiply_add(rows.error.data(), done, c_.hessian->factor_from(0, at), n, false,
                              to);
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

  void row_span(size_t i, int64_t l, const Lanes* shift, uint32_t& survivor, Rows& rows,
                TrellisScratch& scratch) const {
    const Span& span = spans_[i];
    const float scale = rows.scale[l], inverse = scale > 0 ? 1 / scale : 0.0f,
                zero = static_cast<float>(code_.zero());
    float target[kTrellisColumns];
    uint32_t window[kTrellisColumns];
    for (int64_t t = 0; t < span.total; ++t)
      target[t] = (rows.weight[span.position(t)].v[l] + shift[t].v[l]) * inverse + zero;
    search_(
        table_,
        {span.total, target, factors_[i].weight.data(), factors_[i].push.data(), survivor, window},
        scratch);
    survivor = window[span.n - 1] % static_cast<uint32_t>(table_.survivors);
    for (int64_t t = 0; t < span.n; ++t) {
      const int64_t at = span.first + t;
      rows.symbol[static_cast<size_t>(at * kLanes + l)] =
          static_cast<uint8_t>(window[t] & ((1u << code_.bits) - 1));
      rows.error[at].v[l] = rows.weight[at].v[l] - scale * (table_.value[window[t]] - zero);
    }
  }

  void store(int64_t b, const Rows& rows) {
    for (int64_t l = 0; l < rows.count; ++l) {
      const int64_t row = b * kLanes + l;
      scale_[static_cast<size_t>(row)] = float_to_half(rows.scale[l]);
      for (int64_t n = 0; n < cols_; ++n)
        symbols_[static_cast<size_t>(row * cols_ + c_.hessian->order[static_cast<size_t>(n)])] =
            rows.symbol[static_cast<size_t>(n * kLanes + l)];
    }
  }

  const MethodContext& c_;
  const int64_t cols_;
  const TrellisCode& code_;
  const TrellisTable table_;
  const TrellisSearch search_;
  const std::vector<Span> spans_;
  std::vector<SpanFactor> factors_;      // by span
  std::vector<uint8_t> symbols_;         // (rows, cols)
  std::vector<uint16_t> scale_;          // (rows)
  std::vector<TrellisScratch> scratch_;  // per worker
};

}  // namespace

Result<QuantResult> quantize_trellis(const MethodContext& context) {
  return Trellis(context).run();
}

}  // namespace planeloom
