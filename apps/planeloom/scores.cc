// planeloom scores: which layers and linears of a model need their bits, as measures see it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "alloc/combine.h"
#include "base/file.h"
#include "base/report.h"
#include "commands.h"
#include "common.h"
#include "sensitivity.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, out;
  std::vector<std::string> with{"nsds", "index", "kurtosis", "mse"};
  SensitivityOptions sensitivity;
  bool json = false, force = false;
};

constexpr std::string_view kLinearNames[] = {"q", "k", "v", "o", "gate", "up", "down"};

/// Roles and what they are made of, layer by layer.
Table nsds_table(const WeightMeasures& m) {
  Table table{
      "NSDS: vulnerability and expressiveness (strength / directions) of roles", {{"layer"}}, {}};
  for (const std::string_view role : kRoleNames)
    for (const char* part : {"vulnerability", "strength", "directions"})
      table.columns.push_back({fmt::format("{} {}", role, part)});
  for (size_t l = 0; l < m.roles.size(); ++l) {
    auto& row = table.rows.emplace_back();
    row.push_back(std::to_string(l));
    for (const RoleMeasures& r : m.roles[l])
      for (const double value : {r.vulnerability, r.strength, r.directions})
        row.push_back(fmt::format("{:.4g}", value));
  }
  return table;
}

Table lieq_table(const TextMeasures& m) {
  Table table{
      "LieQ: what the model loses without a layer, and what its projections have made of the text",
      {{"layer"}, {"perplexity drop"}, {"compactness"}, {"top-k energy gain"}},
      {}};
  for (size_t l = 0; l < m.lieq.size(); ++l)
    table.rows.push_back({std::to_string(l), fmt::format("{:.4g}", m.lieq[l].perplexity_drop),
                          fmt::format("{:.4f}", m.lieq[l].compactness),
                          fmt::format("{:.4f}", m.lieq[l].energy)});
  return table;
}

Table oracle_table(const Oracle& oracle) {
  Table table{"Oracle: mean KL when one linear alone is stored in a form", {{"linear", false}}, {}};
  for (const std::string& form : oracle.forms) table.columns.push_back({form});
  for (size_t l = 0; l < oracle.kl.size(); ++l)
    for (const Linear linear : kBlockLinears) {
      auto& row = table.rows.emplace_back();
      row.push_back(linear_name(static_cast<int64_t>(l), linear));
      for (const double kl : oracle.kl[l][static_cast<size_t>(linear)])
        row.push_back(fmt::format("{:.6f}", kl));
    }
  return table;
}

std::string score_text(double score) {
  return std::isnan(score) ? "-" : fmt::format("{:.4g}", score);
}

/// Scores of layers: a column for every metric.
Table layer_table(const std::vector<Metric>& metrics) {
  Table table{"Layers: the higher, the more it needs its bits", {{"layer"}}, {}};
  for (const Metric& m : metrics) table.columns.push_back({m.name});
  for (size_t l = 0; l < metrics[0].layer.size(); ++l) {
    auto& row = table.rows.emplace_back();
    row.push_back(std::to_string(l));
    for (const Metric& m : metrics) row.push_back(score_text(m.layer[l]));
  }
  return table;
}

/// The same for linears: of measures that know only layers the layer's.
Table linear_score_table(const std::vector<Metric>& metrics) {
  Table table{"Linears", {{"linear", false}}, {}};
  for (const Metric& m : metrics) table.columns.push_back({m.name});
  for (size_t l = 0; l < metrics[0].layer.size(); ++l)
    for (const Linear linear : kBlockLinears) {
      auto& row = table.rows.emplace_back();
      row.push_back(linear_name(static_cast<int64_t>(l), linear));
      for (const Metric& m : metrics)
        row.push_back(score_text(m.of(static_cast<int64_t>(l), linear)));
    }
  return table;
}

std::vector<double> all_linears(const Metric& m) {
  std::vector<double> all;
  for (size_t l = 0; l < m.layer.size(); ++l)
    for (const Linear linear : kBlockLinears) all.push_back(m.of(static_cast<int64_t>(l), linear));
  return all;
}

std::string correlation_text(double c) { return std::isnan(c) ? "-" : fmt::format("{:.3f}", c); }

/// Spearman's correlation of every metric with the oracle, of layers and of linears.
Table correlation_table(const std::vector<Metric>& metrics, const Metric& oracle) {
  Table table{fmt::format("Rank correlation with \"{}\"", oracle.name),
              {{"metric", false}, {"layers"}, {"linears"}},
              {}};
  for (const Metric& m : metrics)
    if (&m != &oracle)
      table.rows.push_back(
          {m.name, correlation_text(rank_correlation(m.layer, oracle.layer)),
           correlation_text(rank_correlation(all_linears(m), all_linears(oracle)))});
  return table;
}

/// Ranks of layers, so that measures of any unit share a drawing.
Plot rank_plot(const std::vector<Metric>& metrics) {
  Plot plot{"Rank of every layer (1: needs its bits most)", "layer", "rank", false, false, {}};
  for (const Metric& m : metrics) {
    Series series{m.name, {}, true};
    const std::vector<int64_t> order = by_score(m.layer);
    std::vector<double> rank(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      rank[static_cast<size_t>(order[i])] = static_cast<double>(i + 1);
    for (size_t l = 0; l < rank.size(); ++l)
      series.points.push_back({static_cast<double>(l), rank[l], ""});
    plot.series.push_back(std::move(series));
  }
  return plot;
}

/// What NSDS is made of: {role: {part: (layers)}}.
nlohmann::ordered_json roles_json(const WeightMeasures& m) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (size_t role = 0; role < kRoles; ++role) {
    std::vector<double> vulnerability, strength, directions;
    for (const BlockMeasures& layer : m.roles) {
      vulnerability.push_back(layer[role].vulnerability);
      strength.push_back(layer[role].strength);
      directions.push_back(layer[role].directions);
    }
    all[std::string(kRoleNames[role])] = {
        {"vulnerability", vulnerability}, {"strength", strength}, {"directions", directions}};
  }
  return all;
}

/// {form: {linear: (layers)}}, nats.
nlohmann::ordered_json oracle_json(const Oracle& oracle) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (size_t f = 0; f < oracle.forms.size(); ++f)
    for (size_t i = 0; i < kLinears; ++i) {
      std::vector<double> kl;
      for (const auto& layer : oracle.kl) kl.push_back(layer[i][f]);
      all[oracle.forms[f]][std::string(kLinearNames[i])] = kl;
    }
  return all;
}

nlohmann::ordered_json metrics_json(const std::vector<Metric>& metrics) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const Metric& m : metrics) {
    nlohmann::ordered_json one{{"layers", m.layer}};
    if (!m.linear.empty()) {
      nlohmann::ordered_json linears = nlohmann::ordered_json::object();
      for (size_t i = 0; i < kLinears; ++i) {
        std::vector<double> of_layers;
        for (const auto& layer : m.linear) of_layers.push_back(layer[i]);
        linears[std::string(kLinearNames[i])] = of_layers;
      }
      one["linears"] = std::move(linears);
    }
    all[m.name] = std::move(one);
  }
  return all;
}

Report make_report(const Options& o, const Sensitivity& s, AppContext& context) {
  Report r;
  r.title = "Sensitivity of layers";
  r.config = {{"model", o.model}};
  if (s.text)
    r.config.emplace_back("text", fmt::format("{}; the last {} windows scored", s.text->description,
                                              s.scored_windows));
  r.seed = o.sensitivity.text.seed;
  r.environment = host_environment(context.threads(), context.isa());
  r.tables.push_back(layer_table(s.metrics));
  if (s.oracle && s.metrics.size() > 1)
    r.tables.push_back(correlation_table(s.metrics, s.metrics[s.oracle_at]));
  r.tables.push_back(linear_score_table(s.metrics));
  if (s.weights && !s.weights->roles.empty()) r.tables.push_back(nsds_table(*s.weights));
  if (s.on_text) r.tables.push_back(lieq_table(*s.on_text));
  if (s.oracle) r.tables.push_back(oracle_table(*s.oracle));
  const auto unknown = [](const Metric& m) {
    return std::ranges::any_of(m.layer, [](double x) { return std::isnan(x); });
  };
  if (std::ranges::any_of(s.metrics, unknown))
    r.notes.emplace_back("-: not measured; mse needs rows of a multiple of 32 weights.");
  r.plots.push_back(rank_plot(s.metrics));
  r.results = {{"metrics", metrics_json(s.metrics)}, {"seconds", s.seconds}};
  if (s.weights && !s.weights->roles.empty()) r.results["nsds"] = roles_json(*s.weights);
  if (s.on_text) r.results["perplexity"] = s.on_text->perplexity;
  if (s.oracle) {
    r.results["oracle"] = oracle_json(*s.oracle);
    auto& correlation = r.results["rank_correlation"] = nlohmann::ordered_json::object();
    const Metric& truth = s.metrics[s.oracle_at];
    for (const Metric& m : s.metrics)
      if (&m != &truth)
        correlation[m.name] = {{"layers", rank_correlation(m.layer, truth.layer)},
                               {"linears", rank_correlation(all_linears(m), all_linears(truth))}};
  }
  return r;
}

Status run(Options& o) {
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const auto path, resolve_model(o.model));
  if (!o.out.empty()) {
    PL_CHECK(check_output(o.out));
    for (const char* ending : {".json", ".md", ".html"})
      PL_CHECK(check_new_file("scores", o.out + ending, std::span(&path, 1), o.force));
  }
  PL_TRY(const Model model, load_model(path));
  TerminalProgress progress;
  Sensitivity s;
  Status measured = measure_sensitivity(model, o.sensitivity, context->compute(), progress, s);
  progress.finish();
  if (!measured && (!interrupted() || s.metrics.empty())) return measured;
  const Report report = make_report(o, s, *context);
  if (o.json) {
    nlohmann::ordered_json object = report.results;
    object["isa"] = context->isa();
    object["threads"] = context->threads();
    object["interrupted"] = !measured.has_value();
    print_json(object);
  } else {
    fmt::print("{}", text_table(report.tables[0]));
    if (s.oracle && s.metrics.size() > 1) fmt::print("\n{}", text_table(report.tables[1]));
    for (const std::string& note : report.notes) fmt::print("\n{}\n", note);
  }
  if (!measured || o.out.empty()) return measured;  // a report is of all that was wanted
  PL_CHECK(save(report, o.out));
  if (!o.json) fmt::print("report: {}.html\n", o.out);
  return {};
}

}  // namespace

void add_scores(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("scores", "Which layers and linears need their bits, by several measures");
  auto o = std::make_shared<Options>();
  command->add_option("-m,--model", o->model, "Model: a path or a pulled name")->required();
  add_list(
      command, "--with", o->with,
      "Measures, with commas: nsds, nsds-product, kinds, stream, uniform, alike, index, "
      "kurtosis, kurtboost, zd, mse (from the weights alone); lieq, lieq-compactness, lieq-drop, "
      "lieq-energy, lim (read a text); oracle (quantizes one linear after another: long); all",
      [](const std::string& name) { return name == "all" ? "" : wrong_measure(name); })
      ->type_name("NAME[,NAME...]")
      ->default_str("nsds,index,kurtosis,mse");
  add_sensitivity_options(command, o->sensitivity);
  command->add_option("-o,--out", o->out, "Report to write: OUT.json, OUT.md and OUT.html")
      ->check(something());
  command->add_flag("--force", o->force, "Replace them when they exist");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(command,
               "planeloom scores -m smollm2-135m-instruct\n"
               "planeloom scores -m smollm2-135m-instruct --with all -f prose.txt -o scores");
  on_run(command, [o]() -> Status {
    o->sensitivity.want(o->with);
    return run(*o);
  });
}

}  // namespace planeloom
