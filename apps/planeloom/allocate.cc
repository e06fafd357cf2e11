#include "allocate.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common.h"

namespace planeloom {
namespace {

/// Tokens of a calibration text that are scored, at most: beyond them an oracle takes hours.
constexpr int64_t kMostScored = 8192;

std::string name_of(const Allocation::Item& item) {
  return item.linears.size() == 1 ? linear_name(item.layer, item.linears[0])
                                  : fmt::format("layer {}", item.layer);
}

/// What the chosen form is an upgrade of: of the forms that are smaller the one that costs least;
/// none of the smallest.
std::optional<size_t> one_less(const Allocation::Item& item) {
  std::optional<size_t> best;
  for (size_t f = 0; f < item.bytes.size(); ++f)
    if (item.bytes[f] < item.bytes[item.chosen] && (!best || item.cost[f] < item.cost[*best]))
      best = f;
  return best;
}

}  // namespace

void add_allocate_options(CLI::App* command, AllocateOptions& o) {
  auto* allocate =
      command
          ->add_option(
              "--allocate", o.metric,
              "Give every linear a form of its own within --bpw or --size, by this measure of "
              "how much it needs its bits: nsds, lieq, oracle (measures each in every form: "
              "long, kept for the next time) and the others of planeloom scores, uniform (the same "
              "bits for all, the rest spread evenly) among them. The last quarter of the "
              "calibration text, at most 8,192 tokens, is scored, the rest learnt from")
          ->check(CLI::Validator(wrong_measure, ""))
          ->type_name("MEASURE");
  add_list(command, "--choices", o.forms,
           "--allocate: the forms, with commas: trellis1 to trellis4, bitplane2g64 and the like, "
           "tritplane")
      ->needs(allocate)
      ->type_name("FORM[,FORM...]")
      ->default_str("trellis1,trellis2,trellis3,trellis4");
  command
      ->add_option("--grain", o.grain,
                   "--allocate: whether linears (tensor) or whole layers (layer) have forms of "
                   "their own")
      ->check(CLI::IsMember({"layer", "tensor"}))
      ->needs(allocate)
      ->capture_default_str();
}

Result<Allocation> allocate_bits(const Model& model, const AllocateOptions& o,
                                 const std::vector<Form>& forms, double bits_per_weight,
                                 const Compute& compute, Progress& progress,
                                 QuantizeOptions& quantize) {
  const CalibrationOptions& text = quantize.calibration;
  if (!text.none()) {  // told before hours of measuring
    PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
    PL_CHECK(check_calibration(*tokenizer, text));
  }
  SensitivityOptions sensitivity;
  sensitivity.metrics = {o.metric};
  sensitivity.text = text;
  sensitivity.text_tokens = text.windows * text.context;
  sensitivity.score_tokens = std::min(kMostScored, sensitivity.text_tokens / 4);
  sensitivity.forms = o.forms;
  Sensitivity s;
  PL_CHECK(measure_sensitivity(model, sensitivity, compute, progress, s));
  progress.finish();
  const Grain grain = o.grain == "layer" ? Grain::kLayer : Grain::kTensor;
  PL_TRY(Allocation allocation,
         s.oracle ? allocate_by_oracle(model, *s.oracle, forms, grain, bits_per_weight)
                  : allocate_by_metric(model, s.metrics[0], forms, grain, bits_per_weight,
                                       *compute.pool));
  quantize.own = allocation.options(forms);
  // Measures ask for a window to score of every source, and so perhaps for more than there are.
  if (s.text && s.text->windows() <= text.windows) quantize.text = std::move(s.text);
  return allocation;
}

Table allocation_table(const Allocation& a) {
  Table table{"Where the bits went, and what each step to a larger form bought",
              {{"what", false},
               {"form", false},
               {"bits/weight"},
               {"bytes"},
               {fmt::format("cost ({})", a.unit)},
               {"bytes more than the best smaller form"},
               {"cost saved by them"}},
              {}};
  int64_t bytes = 0, more = 0;
  double cost = 0, saved = 0;  // against the smallest form of each
  for (const Allocation::Item& item : a.items) {
    const auto less = one_less(item);
    table.rows.push_back(
        {name_of(item), a.forms[item.chosen], fmt::format("{:.3f}", item.bits()),
         grouped(item.bytes[item.chosen]), fmt::format("{:.4g}", item.cost[item.chosen]),
         less ? grouped(item.bytes[item.chosen] - item.bytes[*less]) : "-",
         less ? fmt::format("{:.4g}", item.cost[*less] - item.cost[item.chosen]) : "-"});
    const auto smallest =
        static_cast<size_t>(std::ranges::min_element(item.bytes) - item.bytes.begin());
    bytes += item.bytes[item.chosen];
    cost += item.cost[item.chosen];
    more += item.bytes[item.chosen] - item.bytes[smallest];
    saved += item.cost[smallest] - item.cost[item.chosen];
  }
  table.rows.push_back({"together (more, saved: against the smallest form of each)", "",
                        fmt::format("{:.3f}", a.bits_per_weight), grouped(bytes),
                        fmt::format("{:.4g}", cost), grouped(more), fmt::format("{:.4g}", saved)});
  return table;
}

nlohmann::ordered_json allocation_json(const Allocation& a) {
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  for (const Allocation::Item& item : a.items)
    items.push_back({{"what", name_of(item)},
                     {"form", a.forms[item.chosen]},
                     {"bytes", item.bytes[item.chosen]},
                     {"cost", item.cost[item.chosen]}});
  return {{"bits_per_weight", a.bits_per_weight}, {"unit", a.unit}, {"items", items}};
}

Plot allocation_plot(const Allocation& a) {
  Plot plot{"Bits per weight by layer", "layer", "bits per weight", false, false, {}};
  for (const Allocation::Item& item : a.items) {
    const std::string kind = name_of(item).starts_with("blk.")
                                 ? name_of(item).substr(name_of(item).find('.', 4) + 1)
                                 : "all linears";
    auto series = std::ranges::find(plot.series, kind, &Series::name);
    if (series == plot.series.end()) series = plot.series.insert(series, Series{kind, {}, true});
    series->points.push_back({static_cast<double>(item.layer), item.bits(), ""});
  }
  return plot;
}

}  // namespace planeloom
