#include "bench_report.h"

#include <algorithm>

#include "base/console.h"
#include "common.h"

namespace planeloom {
namespace {

using nlohmann::ordered_json;

double best(const std::vector<double>& seconds) {
  return *std::min_element(seconds.begin(), seconds.end());
}
double median(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  return seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
}

/// {size_name: tokens}, rounds, and `count` tokens per second.
ordered_json speed_json(const char* size_name, int64_t size, int64_t count,
                        const std::vector<double>& seconds) {
  return {{size_name, size},
          {"rounds", seconds.size()},
          {"tokens_per_second", static_cast<double>(count) / best(seconds)},
          {"tokens_per_second_median", static_cast<double>(count) / median(seconds)}};
}

/// The linears of the blocks alone: bytes and time.
void add_linears(ordered_json& j, const PhaseSpeed& phase, int64_t tokens,
                 const MachineLimits& limits, const Model& model) {
  double seconds = 0;
  for (size_t i = 0; i + 1 < Profile::kLinears; ++i) seconds += phase.profile.seconds[i];
  const double rate = static_cast<double>(tokens * linear_size(model).bytes) / seconds;
  j["linears_gb_per_second"] = rate / 1e9;
  j["linears_percent_of_read_bandwidth"] = 100 * rate / limits.bytes_per_second;
}

void add_profile(ordered_json& j, const PhaseSpeed& phase, int64_t tokens) {
  const auto count = static_cast<double>(tokens);
  double rest = phase.seconds.back();
  for (size_t i = 0; i < Profile::kOperations; ++i) {
    j["profile"][std::string(Profile::kNames[i])] = 1000 * phase.profile.seconds[i] / count;
    rest -= phase.profile.seconds[i];
  }
  j["profile"]["rest"] = 1000 * rest / count;
}

void print_phase(const char* name, const ordered_json& j) {
  fmt::print("  {:<8} {:>9.2f} tokens/s, best of {} (median {:.2f})", name,
             j["tokens_per_second"].get<double>(), j["rounds"].get<int>(),
             j["tokens_per_second_median"].get<double>());
  if (j.contains("read_gb_per_second"))
    fmt::print(", {:.1f} GB/s = {:.0f} % of the read bandwidth",
               j["read_gb_per_second"].get<double>(), j["percent_of_read_bandwidth"].get<double>());
  else if (j.contains("percent_of_int8_peak"))
    fmt::print(", {:.0f} multiply-adds/ns = {:.0f} % of the int8 peak",
               j["multiply_adds_per_ns"].get<double>(), j["percent_of_int8_peak"].get<double>());
  if (j.contains("linears_gb_per_second"))
    fmt::print("; linears alone {:.1f} GB/s = {:.0f} %", j["linears_gb_per_second"].get<double>(),
               j["linears_percent_of_read_bandwidth"].get<double>());
  fmt::print("\n");
  if (!j.contains("profile")) return;
  for (const auto& [operation, ms] : j["profile"].items())
    fmt::print("    {:<12} {:>9.4f} ms per token\n", operation, ms.get<double>());
}

void print_batches(const ordered_json& batches) {
  fmt::print("  {:>8} {:>12} {:>10} {:>12} {:>10} {:>14}\n", "tokens", "ms per pass", "(median)",
             "tokens/s", "(median)", "times 1 token");
  for (const auto& j : batches)
    fmt::print("  {:>8} {:>12.3f} {:>10.3f} {:>12.2f} {:>10.2f} {:>14.2f}\n",
               j["tokens"].get<int64_t>(), j["ms_per_pass"].get<double>(),
               j["ms_per_pass_median"].get<double>(), j["tokens_per_second"].get<double>(),
               j["tokens_per_second_median"].get<double>(), j["times_one_token"].get<double>());
}

void print_contexts(const ordered_json& contexts) {
  fmt::print("  {:>8} {:>12} {:>10} {:>12} {:>12}\n", "context", "tokens/s", "(median)", "cache",
             "peak memory");
  for (const auto& j : contexts)
    fmt::print("  {:>8} {:>12.2f} {:>10.2f} {:>12} {:>12}\n", j["context"].get<int64_t>(),
               j["tokens_per_second"].get<double>(), j["tokens_per_second_median"].get<double>(),
               human_bytes(j["cache_bytes"].get<uint64_t>()),
               human_bytes(j["peak_rss_bytes"].get<uint64_t>()));
}

void print_run(const ordered_json& run) {
  fmt::print("{} threads: the machine reads {:.1f} GB/s, int8 peak {:.0f} multiply-adds/ns\n",
             run["threads"].get<int>(), run["machine_read_gb_per_second"].get<double>(),
             run["machine_int8_multiply_adds_per_ns"].get<double>());
  for (const char* phase : {"prefill", "decode"})
    if (run.contains(phase)) print_phase(phase, run[phase]);
  if (run.contains("batches")) print_batches(run["batches"]);
  if (run.contains("contexts")) print_contexts(run["contexts"]);
}

}  // namespace

ordered_json phase_json(const PhaseSpeed& phase, int64_t tokens, bool decode, bool profiled,
                        const MachineLimits& limits, const Model& model) {
  ordered_json j = speed_json("tokens", tokens, tokens, phase.seconds);
  const double per_second = j["tokens_per_second"];
  if (decode) {
    const double rate = per_second * static_cast<double>(bytes_per_token(model));
    j["read_gb_per_second"] = rate / 1e9;
    j["percent_of_read_bandwidth"] = 100 * rate / limits.bytes_per_second;
  }
  const double multiply_adds = per_second * static_cast<double>(linear_size(model).weights);
  j["multiply_adds_per_ns"] = multiply_adds / 1e9;
  if (limits.int8_multiply_adds > 0)
    j["percent_of_int8_peak"] = 100 * multiply_adds / limits.int8_multiply_adds;
  if (profiled) add_profile(j, phase, tokens);
  if (profiled && decode) add_linears(j, phase, tokens, limits, model);
  return j;
}

ordered_json batches_json(const std::vector<SweepSpeed>& sweep) {
  ordered_json batches = ordered_json::array();
  for (const SweepSpeed& s : sweep) {
    if (s.seconds.empty()) continue;
    ordered_json j = speed_json("tokens", s.size, s.size, s.seconds);
    j["ms_per_pass"] = 1000 * best(s.seconds);
    j["ms_per_pass_median"] = 1000 * median(s.seconds);
    j["times_one_token"] = best(s.seconds) / best(sweep.front().seconds);  // 1 is always measured
    batches.push_back(std::move(j));
  }
  return batches;
}

ordered_json contexts_json(const std::vector<SweepSpeed>& sweep, const Config& config,
                           DType cache) {
  ordered_json contexts = ordered_json::array();
  for (const SweepSpeed& s : sweep) {
    if (s.seconds.empty()) continue;
    ordered_json j = speed_json("context", s.size, 1, s.seconds);
    j["ms_per_token"] = 1000 * best(s.seconds);
    j["ms_per_token_median"] = 1000 * median(s.seconds);
    j["cache_bytes"] = cache_bytes(config, s.size, cache);
    j["peak_rss_bytes"] = s.peak_rss;
    contexts.push_back(std::move(j));
  }
  return contexts;
}

void print_bench(const ordered_json& bench) {
  fmt::print("{}: {:.4f} bits per linear weight, {} read per token, {}{}\n",
             bench["model"].get<std::string>(), bench["bits_per_weight_linear"].get<double>(),
             human_bytes(bench["bytes_per_token"].get<uint64_t>()), bench["isa"].get<std::string>(),
             bench["interrupted"].get<bool>() ? " (interrupted: not all rounds are in)" : "");
  for (const ordered_json& run : bench["runs"]) print_run(run);
  fmt::print("memory: {} weights, cache in {}, at most {} held\n",
             human_bytes(bench["weight_bytes"].get<uint64_t>()),
             bench["cache_type"].get<std::string>(),
             human_bytes(bench["peak_rss_bytes"].get<uint64_t>()));
}

}  // namespace planeloom
