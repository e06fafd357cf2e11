#include "quant/quantizer.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "codecs/planes.h"
#include "codecs/trellis.h"
#include "quant/methods.h"
#include "quant/row_feedback.h"
#include "quant/trellis.h"
#include "tensor/half.h"

namespace planeloom {
namespace {

constexpr int64_t kMaxDimension = int64_t{1} << 24;
constexpr int kMaxRounds = 1000;

struct Method {
  std::string_view name;
  Result<QuantResult> (*quantize)(const MethodContext&);
  bool hessian;  // works on the identity when there is none
};
constexpr Method kMethods[] = {
    {"rtn", quantize_rtn, false},     {"hqq", quantize_hqq, false},
    {"gptq", quantize_gptq, true},    {"bpdq", quantize_bpdq, true},
    {"ptqtp", quantize_ptqtp, false}, {"trellis", quantize_trellis, true}};

const Method* find_method(std::string_view name) {
  const auto* found = std::ranges::find(kMethods, name, &Method::name);
  return found == std::end(kMethods) ? nullptr : found;
}

Status check_shape(const LayerInput& in, const QuantOptions& o) {
  if (in.rows <= 0 || in.cols <= 0 || in.rows > kMaxDimension || in.cols > kMaxDimension)
    return fail("[quantize] shape {} x {} out of range", in.rows, in.cols);
  if (in.weights.size() != static_cast<uint64_t>(in.rows * in.cols))
    return fail("[quantize] {} weights, {} x {} wanted", in.weights.size(), in.rows, in.cols);
  if (o.group > in.cols)
    return fail("[quantize] group {} is longer than a row of {} columns", o.group, in.cols);
  if (in.cols % o.group != 0)
    return fail("[quantize] {} columns, a multiple of the group {} wanted", in.cols, o.group);
  if (in.prepared && (in.prepared->cols != in.cols || in.prepared->group != o.group))
    return fail("[quantize] a Hessian prepared for {} columns in groups of {}, wanted {} and {}",
                in.prepared->cols, in.prepared->group, in.cols, o.group);
  if (in.prepared && o.method == "trellis" && in.prepared->order != trellis_order(in.cols))
    return fail("[quantize] a Hessian prepared in an order of columns that trellis does not take");
  if (in.outputs && (in.outputs->cols != in.rows || in.outputs->group != kRowsInTurn))
    return fail("[quantize] outputs prepared for {} rows in blocks of {}, wanted {} and {}",
                in.outputs->cols, in.outputs->group, in.rows, kRowsInTurn);
  if (in.prepared && o.refine > 0 && in.prepared->matrix.empty())
    return fail("[quantize] a Hessian prepared without its matrix, which refining needs");
  return {};
}

Status check_weights(const LayerInput& in, ThreadPool& pool) {
  std::atomic<int64_t> first_bad{in.rows * in.cols};
  pool.parallel_for(in.rows, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * in.cols; i < end * in.cols; ++i) {
      if (std::abs(in.weights[static_cast<size_t>(i)]) <= kLargestHalf) continue;  // false for NaN
      int64_t seen = first_bad.load();
      while (i < seen && !first_bad.compare_exchange_weak(seen, i)) {
      }
      return;
    }
  });
  const int64_t bad = first_bad.load();
  if (bad == in.rows * in.cols) return {};
  return fail("[quantize] weight {} at row {}, column {}; finite and at most {} wanted",
              in.weights[static_cast<size_t>(bad)], bad / in.cols, bad % in.cols, kLargestHalf);
}

Result<Isa> isa_of(const QuantOptions& options) {
  return options.isa ? Result<Isa>(*options.isa) : default_isa();
}

}  // namespace

uint16_t round_to_half(double value) {
  const double limit = static_cast<double>(kLargestHalf);
  return float_to_half(static_cast<float>(std::fmax(-limit, std::fmin(limit, value))));
}

lanes::Lanes load_column(const LayerInput& input, int64_t block, int64_t col) {
  lanes::Lanes out{};
  const int64_t first = block * lanes::kLanes,
                count = std::min<int64_t>(lanes::kLanes, input.rows - first);
  for (int64_t l = 0; l < count; ++l)
    out.v[l] = input.weights[static_cast<size_t>((first + l) * input.cols + col)];
  return out;
}

Status check_options(const QuantOptions& o) {
  if (!find_method(o.method))
    return fail("[quantize] method '{}'; rtn, hqq, gptq, bpdq, ptqtp or trellis wanted", o.method);
  const int most = o.method == "trellis" ? kMaxTrellisBits : kMaxPlanes;
  if (o.method != "ptqtp" && (o.bits < 1 || o.bits > most))
    return fail("[quantize] {} bits; 1 to {} wanted", o.bits, most);
  if (o.coefficients == Coefficients::kTied && o.method != "ptqtp")
    return fail("[quantize] tied coefficients with {}; only ptqtp has two planes to tie", o.method);
  if (!plane_group_known(o.group))
    return fail("[quantize] group {}; 32, 64, 96, 128, 192 or 256 wanted", o.group);
  if (o.rounds < 0 || o.rounds > kMaxRounds)
    return fail("[quantize] {} rounds; 0 to {} wanted", o.rounds, kMaxRounds);
  if (!(o.ridge >= 0) || !std::isfinite(o.ridge))
    return fail("[quantize] ridge {}; 0 or more wanted", o.ridge);
  if (o.refine < 0 || o.refine > kMaxRounds)
    return fail("[quantize] {} refining passes; 0 to {} wanted", o.refine, kMaxRounds);
  if (o.clip && o.method != "rtn")
    return fail("[quantize] a clipping search with {}; only rtn has it as an option", o.method);
  if (o.refine > 0 && o.method != "bpdq" && o.method != "ptqtp")
    return fail("[quantize] refining passes with {}; only bpdq and ptqtp have them", o.method);
  return {};
}

bool reads_hessian(const QuantOptions& options) {
  const Method* method = find_method(options.method);
  return options.clip || options.refine > 0 || (method && method->hessian);
}

Result<PreparedHessian> prepare_hessian(std::span<const double> hessian, int64_t cols,
                                        const QuantOptions& options, ThreadPool& pool) {
  PL_TRY(const Isa isa, isa_of(options));
  return prepare_hessian(hessian, cols, options.group, options.damping, options.refine > 0,
                         options.method == "trellis" ? trellis_order(cols) : std::vector<int32_t>{},
                         isa, &pool);
}

Result<PreparedHessian> prepare_outputs(std::span<const double> moments, int64_t rows, Isa isa,
                                        ThreadPool& pool, double damping) {
  // A block takes rows from everywhere: neighbours, as in a head, are the most alike.
  std::vector<int32_t> order;
  const int64_t blocks = rows / kRowsInTurn;
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t r = b; r < rows; r += blocks) order.push_back(static_cast<int32_t>(r));
  return prepare_hessian(moments, rows, kRowsInTurn, damping, false, std::move(order), isa, &pool);
}

Result<QuantResult> quantize_layer(const LayerInput& input, const QuantOptions& options,
                                   ThreadPool& pool) {
  PL_CHECK(check_options(options));
  PL_CHECK(check_shape(input, options));
  PL_CHECK(check_weights(input, pool));
  const Method& method = *find_method(options.method);
  PL_TRY(const Isa isa, isa_of(options));
  PreparedHessian own;
  const PreparedHessian* hessian = input.prepared;
  if (!hessian && (method.hessian || options.refine > 0 || !input.hessian.empty())) {
    PL_TRY(own, prepare_hessian(input.hessian, input.cols, options, pool));
    hessian = &own;
  }
  const MethodContext context{input, options, hessian, isa, lanes::lane_kernels(isa), pool};
  PL_TRY(QuantResult result, input.outputs ? quantize_rows_in_turn(context, method.quantize)
                                           : method.quantize(context));
  measure_error(context, result);
  return result;
}

}  // namespace planeloom
