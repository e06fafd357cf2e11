// What `scores` shows and `quantize --allocate` goes by.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "compress/layer_scores.h"
#include "compress/oracle.h"

namespace CLI {
class App;
}  // namespace CLI

namespace planeloom {

struct SensitivityOptions {
  std::set<std::string> metrics;  // wanted
  CalibrationOptions text;        // of measures that read one
  std::vector<std::string> forms = kDefaultForms;
  int64_t text_tokens = 16384;  // in all, of which
  int64_t score_tokens = 4096;  // the last are scored; the oracle's Hessians are of those before

  bool wants(std::string_view metric) const { return metrics.contains(std::string(metric)); }
  /// "all" stands for every one.
  void want(const std::vector<std::string>& names);
};

/// What is wrong with a measure's name: empty, or which one was probably meant.
std::string wrong_measure(const std::string& name);

/// -f, --text-tokens, --score-tokens, --choices, --seed.
void add_sensitivity_options(CLI::App* command, SensitivityOptions& o);

struct Sensitivity {
  std::vector<Metric> metrics;            // those that were wanted
  std::optional<WeightMeasures> weights;  // what they are made of
  std::optional<TextMeasures> on_text;
  std::optional<Oracle> oracle;
  size_t oracle_at = 0;                 // of metrics, with an oracle: its form of two bits or so
  std::optional<CalibrationText> text;  // that was read
  int64_t scored_windows = 0;           // of it, the last
  double seconds = 0;
};

/// Measures what the wanted metrics need and no more. The oracle's finished layers are kept in the
/// cache (base/file.h). After an error, Ctrl-C among them, `out` has the metrics that were
/// finished.
Status measure_sensitivity(const Model& model, const SensitivityOptions& o, const Compute& compute,
                           Progress& progress, Sensitivity& out);

}  // namespace planeloom
