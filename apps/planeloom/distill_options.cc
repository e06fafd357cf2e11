#include "distill_options.h"

#include <fmt/format.h>

#include <algorithm>

namespace planeloom {
namespace {

/// Steps whose mean is told: one window's loss says little.
constexpr size_t kMean = 16;

double mean(const double* first, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += first[i];
  return n ? sum / static_cast<double>(n) : 0;
}
double first_kl(const DistillSummary& s) { return mean(s.kl.data(), std::min(kMean, s.kl.size())); }
double last_kl(const DistillSummary& s) {
  const size_t n = std::min(kMean, s.kl.size());
  return mean(s.kl.data() + (s.kl.size() - n), n);
}

}  // namespace

Plot distill_plot(const DistillSummary& s) {
  Plot plot{"KL to the original", "step", "KL, nats", false, true, {}};
  Series series{"mean of 16 steps", {}, true};
  for (size_t i = 0; i < s.kl.size(); i += kMean)
    series.points.push_back(
        {static_cast<double>(i), mean(s.kl.data() + i, std::min(kMean, s.kl.size() - i)), ""});
  plot.series.push_back(std::move(series));
  return plot;
}

nlohmann::ordered_json distill_results(const DistillSummary& s) {
  nlohmann::ordered_json j{{"steps", s.steps},
                           {"tokens", s.tokens},
                           {"first_kl", first_kl(s)},
                           {"last_kl", last_kl(s)},
                           {"rate", s.rate},
                           {"text", s.text},
                           {"resumed_steps", s.resumed_steps},
                           {"seconds", s.seconds}};
  if (s.held_out)
    j["held_out"] = {{"tokens", s.held_out->tokens},
                     {"kl_before", s.held_out->before},
                     {"kl", s.held_out->after},
                     {"share", s.held_out->share}};
  return j;
}

std::string distill_sentence(const DistillSummary& s) {
  std::string text =
      fmt::format("KL {:.4f} -> {:.4f} on the text it read, {} steps, {} tokens, {:.0f} s",
                  first_kl(s), last_kl(s), s.steps, s.tokens, s.seconds);
  if (!s.held_out) return text;
  text += fmt::format("\nKL {:.4f} -> {:.4f} on {} tokens that it did not read", s.held_out->before,
                      s.held_out->after, s.held_out->tokens);
  if (s.held_out->share == 0)
    text += ": the scales stay as they were, more steps or a smaller --rate may help";
  else if (s.held_out->share < 1)
    text += ": half of the way, all of it is worse there";
  return text;
}

}  // namespace planeloom
