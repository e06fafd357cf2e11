#include "sensitivity.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>

#include "base/file.h"
#include "common.h"
#include "compress/allocation.h"

namespace planeloom {
namespace {

const std::vector<std::string> kOfRoles{"nsds", "nsds-product"}, kOfEnergies{"kinds", "stream"},
    kPlain{"uniform", "alike", "index"}, kOfMatrices{"kurtosis", "kurtboost", "zd", "mse"},
    kOfText{"lieq", "lieq-compactness", "lieq-drop", "lieq-energy", "lim"};
constexpr const char* kOracle = "oracle";

std::vector<std::string> known_measures() {
  std::vector<std::string> known;
  for (const auto* some : {&kOfRoles, &kOfEnergies, &kPlain, &kOfMatrices, &kOfText})
    known.insert(known.end(), some->begin(), some->end());
  known.emplace_back(kOracle);
  return known;
}

bool any_of(const SensitivityOptions& o, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [&](const std::string& n) { return o.wants(n); });
}

/// Those that are wanted.
void take(std::vector<Metric> from, const SensitivityOptions& o, std::vector<Metric>& to) {
  for (Metric& m : from)
    if (o.wants(m.name)) to.push_back(std::move(m));
}

/// The text that measures read.
Result<CalibrationText> read_text(const Model& model, const SensitivityOptions& o,
                                  const Compute& compute, Progress& progress) {
  if (o.text.none()) return fail("[scores] lieq, lim and the oracle read a text: not with none");
  CalibrationOptions options = o.text;
  const auto sources = static_cast<int64_t>(options.sources.size());
  options.windows = std::max(2 * sources, o.text_tokens / options.context);
  PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
  PL_TRY(CalibrationText text,
         calibration_text(model, *tokenizer, compute, options, nullptr, progress));
  if (text.windows() < 2)
    return fail(
        "[scores] {}: one to learn from and another to score wanted, a text of {} tokens at least",
        text.description, 2 * options.context);
  return text;
}

/// How many of its windows, the last, are scored: every source has its turn in them; a short file
/// gives less of both.
int64_t scored_windows(const CalibrationText& text, const SensitivityOptions& o) {
  const auto sources = static_cast<int64_t>(o.text.sources.size());
  return std::clamp<int64_t>(o.score_tokens / text.context, sources,
                             std::max(sources, text.windows() / 2));
}

/// The form nearest to two bits, scales counted: what measures are held against.
size_t two_bits(const Model& model, const std::vector<Form>& forms) {
  const PackedMatrix& w = model.layers[0].at(Linear::kDown);
  const auto distance = [&](const Form& form) {
    const auto bytes = stored_bytes(form, w.rows, w.cols);  // measured already, so it has a size
    return std::abs(8 * static_cast<double>(bytes.value()) / static_cast<double>(w.rows * w.cols) -
                    2);
  };
  return static_cast<size_t>(std::ranges::min_element(forms, {}, distance) - forms.begin());
}

}  // namespace

void SensitivityOptions::want(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name == "all") {
      const std::vector<std::string> known = known_measures();
      metrics.insert(known.begin(), known.end());
    } else {
      metrics.insert(name);
    }
  }
}

std::string wrong_measure(const std::string& name) {
  const std::vector<std::string> known = known_measures();
  if (std::ranges::find(known, name) != known.end()) return {};
  const std::string near = nearest(name, known);
  return near.empty() ? fmt::format("no measure '{}'; wanted {}", name, fmt::join(known, ", "))
                      : fmt::format("no measure '{}'; did you mean '{}'?", name, near);
}

void add_sensitivity_options(CLI::App* command, SensitivityOptions& o) {
  add_sources(command, "-f,--file", o.text.sources);
  command->add_option("--text-tokens", o.text_tokens, "How much of it")
      ->check(CLI::Range(1024, 1 << 25))
      ->capture_default_str();
  command
      ->add_option("--score-tokens", o.score_tokens,
                   "How much of that is scored: the last; lieq and lim read no more, the oracle "
                   "learns from what is before")
      ->check(CLI::Range(512, 1 << 24))
      ->capture_default_str();
  add_list(command, "--choices", o.forms,
           "Forms that the oracle tries, with commas: trellis1 to trellis4, bitplane2g64 and the "
           "like, tritplane")
      ->type_name("FORM[,FORM...]")
      ->default_str("trellis1,trellis2,trellis3,trellis4");
  command->add_option("--seed", o.text.seed, "Of the self-written text and what is drawn")
      ->capture_default_str();
}

Status measure_sensitivity(const Model& model, const SensitivityOptions& o, const Compute& compute,
                           Progress& progress, Sensitivity& out) {
  const auto begin = std::chrono::steady_clock::now();
  PL_TRY(const std::vector<Form> forms, parse_forms(o.forms));
  if (o.wants(kOracle)) PL_CHECK(bits_range(model, forms));  // told before anything is measured
  CalibrationText learn, score;
  if (any_of(o, kOfText) || o.wants(kOracle)) {
    PL_TRY(out.text, read_text(model, o, compute, progress));
    out.scored_windows = scored_windows(*out.text, o);
    learn = out.text->first(out.text->windows() - out.scored_windows);
    score = out.text->last(out.scored_windows);
  }
  const WeightParts parts{any_of(o, kOfRoles), any_of(o, kOfMatrices), any_of(o, kOfEnergies)};
  if (parts.roles || parts.matrices || parts.energies) {
    PL_TRY(out.weights, measure_weights(model, parts, compute, progress));
    take(weight_metrics(*out.weights), o, out.metrics);
  }
  take(plain_metrics(model.config), o, out.metrics);
  if (any_of(o, kOfText)) {
    PL_TRY(out.on_text, measure_on_text(model, score, o.text.seed, compute, progress));
    take(text_metrics(*out.on_text), o, out.metrics);
  }
  if (o.wants(kOracle)) {
    PL_TRY(out.oracle,
           measure_oracle(model, learn, score, {forms, cache_dir() / "oracle"}, compute, progress));
    out.oracle_at = out.metrics.size();
    out.metrics.push_back(oracle_metric(*out.oracle, two_bits(model, forms)));
  }
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {};
}

}  // namespace planeloom
