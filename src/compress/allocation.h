// Which form every linear takes, so that all of them fit a number of bits.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "compress/oracle.h"

namespace planeloom {

/// Whether all linears of a layer take one form, or each its own.
enum class Grain { kLayer, kTensor };

/// What every choice of one item costs: an item is a linear, or all of a layer.
struct Allocation {
  struct Item {
    int64_t layer = 0, weights = 0;
    std::vector<Linear> linears;  // one, or all
    std::vector<int64_t> bytes;   // (forms)
    std::vector<double> cost;     // (forms): as the metric sees it, or measured KL
    size_t chosen = 0;            // of the forms

    double bits() const {
      return 8 * static_cast<double>(bytes[chosen]) / static_cast<double>(weights);
    }
  };
  std::vector<std::string> forms;
  std::vector<Item> items;
  std::string unit;            // of costs
  double bits_per_weight = 0;  // of the linears, every scale counted; at most what was asked for

  /// For QuantizeOptions::own.
  std::map<std::pair<int64_t, Linear>, QuantOptions> options(const std::vector<Form>& forms) const;
};

/// Bits per weight when every linear has the smallest or the largest of the forms.
struct BitsRange {
  double least = 0, most = 0;
};
/// An error where a form does not fit a linear's width.
Result<BitsRange> bits_range(const Model& model, const std::vector<Form>& forms);
/// An error when the smallest of the forms take more bits: what can be told before any measuring.
Status check_budget(const Model& model, const std::vector<Form>& forms, double bits_per_weight);

/// By a metric: an item costs its sensitivity, softplus(unusual()) among all (alloc/combine.h) or
/// the metric itself where that is a cost,
/// times the error that a form makes on a Gaussian matrix, since rotated weights are nearly that:
/// relative errors add up to the loss's (HIGGS, arXiv 2411.17525), whatever the size of the matrix.
/// Of two forms the layers that the metric puts first have the larger, as published.
Result<Allocation> allocate_by_metric(const Model& model, const Metric& metric,
                                      const std::vector<Form>& forms, Grain grain,
                                      double bits_per_weight, ThreadPool& pool);

/// By what was measured: a linear costs its KL, a layer the sum.
Result<Allocation> allocate_by_oracle(const Model& model, const Oracle& oracle,
                                      const std::vector<Form>& forms, Grain grain,
                                      double bits_per_weight);

}  // namespace planeloom
