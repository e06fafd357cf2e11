#include "compress/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "alloc/combine.h"
#include "alloc/solver.h"
#include "base/rng.h"
#include "codecs/planes.h"

namespace planeloom {
namespace {

/// Of what is reckoned in bits per weight: 4.1 bits of 61,440 weights are 31,488 bytes, and not
/// 31,487.999...
constexpr double kRounding = 1e-12;

/// What an item costs in a form.
using CostOf = FunctionRef<double(const Allocation::Item& item, size_t form)>;

Result<Allocation> allocate_forms(const Model& model, const std::vector<Form>& forms, Grain grain,
                                  double bits_per_weight, const char* unit, CostOf cost) {
  Allocation out;
  out.unit = unit;
  for (const Form& form : forms) out.forms.push_back(form.name);
  PL_CHECK(check_budget(model, forms, bits_per_weight));
  double weights = 0;
  for (int64_t l = 0; l < model.config.layers; ++l)
    for (const Linear linear : kBlockLinears) {
      if (out.items.empty() || grain == Grain::kTensor || linear == kBlockLinears[0])
        out.items.push_back({l,
                             0,
                             {},
                             std::vector<int64_t>(forms.size(), 0),
                             std::vector<double>(forms.size(), 0.0),
                             0});
      Allocation::Item& item = out.items.back();
      item.linears.push_back(linear);
      const PackedMatrix& w = model.layers[static_cast<size_t>(l)].at(linear);
      item.weights += w.rows * w.cols;
      weights += static_cast<double>(w.rows * w.cols);
      for (size_t f = 0; f < forms.size(); ++f) {
        PL_TRY(const int64_t bytes, stored_bytes(forms[f], w.rows, w.cols));
        item.bytes[f] += bytes;
      }
    }
  for (Allocation::Item& item : out.items)
    for (size_t f = 0; f < forms.size(); ++f) {
      item.cost[f] = cost(item, f);
      if (!std::isfinite(item.cost[f]))
        return fail("[allocate] {}: {} as {}, a measure that is no number",
                    linear_name(item.layer, item.linears[0]), item.cost[f], forms[f].name);
    }
  std::vector<std::vector<Choice>> choices;
  for (const Allocation::Item& item : out.items) {
    auto& of_item = choices.emplace_back();
    for (size_t f = 0; f < forms.size(); ++f) of_item.push_back({item.bytes[f], item.cost[f]});
  }
  PL_TRY(const std::vector<int> chosen,
         allocate(choices, static_cast<int64_t>(bits_per_weight * (1 + kRounding) * weights / 8)));
  double bytes = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    out.items[i].chosen = static_cast<size_t>(chosen[i]);
    bytes += static_cast<double>(out.items[i].bytes[out.items[i].chosen]);
  }
  out.bits_per_weight = 8 * bytes / weights;
  return out;
}

/// Relative squared error of a form on weights that are as rotated ones are.
Result<double> gaussian_error(const Form& form, ThreadPool& pool) {
  constexpr int64_t kRows = 32, kCols = 768;  // a multiple of every group
  Rng rng(1);
  std::vector<float> w(kRows * kCols);
  for (float& x : w) x = static_cast<float>(rng.normal());
  QuantOptions quant = form.quant;
  quant.group = fitting_group(quant.group, kCols);
  PL_TRY(const QuantResult made, quantize_layer({w, kRows, kCols}, quant, pool));
  return made.report.weight_error * made.report.weight_error;
}

}  // namespace

Result<BitsRange> bits_range(const Model& model, const std::vector<Form>& forms) {
  BitsRange bytes;
  double weights = 0;
  for (const LayerWeights& layer : model.layers)
    for (const PackedMatrix& w : layer.linears) {
      double least = INFINITY, most = 0;
      for (const Form& form : forms) {
        PL_TRY(const int64_t stored, stored_bytes(form, w.rows, w.cols));
        least = std::min(least, static_cast<double>(stored));
        most = std::max(most, static_cast<double>(stored));
      }
      bytes.least += least;
      bytes.most += most;
      weights += static_cast<double>(w.rows * w.cols);
    }
  return BitsRange{8 * bytes.least / weights, 8 * bytes.most / weights};
}

Status check_budget(const Model& model, const std::vector<Form>& forms, double bits_per_weight) {
  PL_TRY(const BitsRange range, bits_range(model, forms));
  if (range.least <= bits_per_weight * (1 + kRounding)) return {};
  return fail("[quantize] {} bits per weight: the smallest of the forms take {:.4g}",
              bits_per_weight, std::ceil(1e3 * range.least) / 1e3);
}

std::map<std::pair<int64_t, Linear>, QuantOptions> Allocation::options(
    const std::vector<Form>& with) const {
  std::map<std::pair<int64_t, Linear>, QuantOptions> own;
  for (const Item& item : items)
    for (const Linear linear : item.linears) own[{item.layer, linear}] = with[item.chosen].quant;
  return own;
}

Result<Allocation> allocate_by_metric(const Model& model, const Metric& metric,
                                      const std::vector<Form>& forms, Grain grain,
                                      double bits_per_weight, ThreadPool& pool) {
  std::vector<double> error(forms.size()), of_linear;
  for (size_t f = 0; f < forms.size(); ++f) {
    PL_TRY(error[f], gaussian_error(forms[f], pool));
  }
  for (int64_t l = 0; l < model.config.layers; ++l)
    for (const Linear linear : kBlockLinears) of_linear.push_back(metric.of(l, linear));
  const bool layers = grain == Grain::kLayer;
  const std::vector<double> z = unusual(layers ? metric.layer : of_linear);
  return allocate_forms(
      model, forms, grain, bits_per_weight, metric.is_cost ? "cost x error" : "sensitivity x error",
      [&](const Allocation::Item& item, size_t f) {
        const auto l = static_cast<size_t>(item.layer);
        const size_t at = layers ? l : l * kLinears + static_cast<size_t>(item.linears[0]);
        const double value = layers ? metric.layer[at] : of_linear[at];
        if (metric.is_cost) return value * error[f];
        // Of equals, as the linears of a layer often are, the larger: no bytes are left over.
        return softplus(z[at]) * error[f] * (1 + 1e-12 * static_cast<double>(item.weights));
      });
}

Result<Allocation> allocate_by_oracle(const Model& model, const Oracle& oracle,
                                      const std::vector<Form>& forms, Grain grain,
                                      double bits_per_weight) {
  return allocate_forms(
      model, forms, grain, bits_per_weight, "KL, nats",
      [&](const Allocation::Item& item, size_t f) {
        double kl = 0;
        for (const Linear linear : item.linears)
          kl += oracle.kl[static_cast<size_t>(item.layer)][static_cast<size_t>(linear)][f];
        return kl;
      });
}

}  // namespace planeloom
