// planeloom bench: tokens per second of a model or of a published shape, beside what the machine
// could do.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "common.h"
#include "eval/machine.h"
#include "eval/speed.h"
#include "eval/synthetic_model.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, shape, codec = "bitplane k=2 g=64", head = "Q8_0";
  std::vector<int> threads;
  SpeedOptions speed;
  bool float_activations = false, json = false;
};

/// What is measured, and under which name.
struct Subject {
  Model model;                                // of a file
  std::unique_ptr<SyntheticModel> synthetic;  // or of a shape
  std::string name;
  const Model& get() const { return synthetic ? synthetic->model : model; }
};

std::string shape_names() {
  std::string names;
  for (const ModelShape& s : model_shapes())
    names += (names.empty() ? "" : ", ") + std::string(s.name);
  return names;
}

Result<Subject> load(const Options& o) {
  Subject subject;
  if (!o.model.empty()) {
    PL_TRY(const auto path, resolve_model(o.model));
    PL_TRY(subject.model, load_model(path));
    subject.name = path.filename().string();
    return subject;
  }
  for (const ModelShape& s : model_shapes()) {
    if (s.name != o.shape) continue;
    PL_TRY(SyntheticModel made, make_synthetic(s, o.codec, o.head));
    subject.synthetic = std::make_unique<SyntheticModel>(std::move(made));
    subject.name = fmt::format("{}, {}, head {}", s.name, o.codec, o.head);
    return subject;
  }
  return fail("[bench] shape '{}'; known: {}", o.shape, shape_names());
}

double best(const std::vector<double>& seconds) {
  return *std::min_element(seconds.begin(), seconds.end());
}
double median(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  return seconds.size() % 2 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
}

/// One phase beside the machine's limits: weights are read once per token in decode; in prefill
/// what counts is multiply-adds.
nlohmann::ordered_json phase_json(const PhaseSpeed& phase, int64_t tokens, double bytes_per_second,
                                  double weights, double peak, bool decode, const Model& model,
                                  bool profile) {
  const auto count = static_cast<double>(tokens);
  const double seconds = best(phase.seconds);
  nlohmann::ordered_json j{{"tokens", tokens},
                           {"rounds", phase.seconds.size()},
                           {"tokens_per_second", count / seconds},
                           {"tokens_per_second_median", count / median(phase.seconds)}};
  if (decode) {
    const double rate = count * static_cast<double>(bytes_per_token(model)) / seconds;
    j["read_gb_per_second"] = rate / 1e9;
    j["percent_of_read_bandwidth"] = 100 * rate / bytes_per_second;
  }
  const double multiply_adds = count * weights / seconds;
  j["multiply_adds_per_ns"] = multiply_adds / 1e9;
  if (peak > 0) j["percent_of_int8_peak"] = 100 * multiply_adds / peak;
  if (!profile) return j;
  double rest = phase.seconds.back();
  for (size_t i = 0; i < Profile::kOperations; ++i) {
    j["profile"][std::string(Profile::kNames[i])] = 1000 * phase.profile.seconds[i] / count;
    rest -= phase.profile.seconds[i];
  }
  j["profile"]["rest"] = 1000 * rest / count;
  return j;
}

/// The linears of the blocks alone: bytes and time, when a profile was taken.
void add_linears(nlohmann::ordered_json& j, const PhaseSpeed& phase, int64_t tokens,
                 double bytes_per_second, const Model& model) {
  double seconds = 0;
  for (size_t i = 0; i + 1 < Profile::kLinears; ++i) seconds += phase.profile.seconds[i];
  const double rate = static_cast<double>(tokens * linear_size(model).bytes) / seconds;
  j["linears_gb_per_second"] = rate / 1e9;
  j["linears_percent_of_read_bandwidth"] = 100 * rate / bytes_per_second;
}

void print_phase(const char* name, const nlohmann::ordered_json& j) {
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

Status run(Options& o) {
  if (o.speed.prompt + o.speed.answer == 0)
    return fail("[bench] nothing to measure: -p and -n are both 0");
  if (!o.threads.empty()) global_options().threads = o.threads.front();
  PL_TRY(auto first, AppContext::create());
  const Isa isa = first->compute().kernels->isa;
  if (o.threads.empty()) o.threads = {first->threads()};
  PL_TRY(const Subject subject, load(o));
  const Model& model = subject.get();
  o.speed.session.activations =
      o.float_activations ? ActivationMode::kFloat : ActivationMode::kInt8;
  const double weights = static_cast<double>(linear_size(model).weights);
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  TerminalProgress progress;
  for (const int threads : o.threads) {
    if (interrupted()) break;
    ThreadPool pool(threads);
    const Compute compute{&pool, &kernels_for(isa)};
    const double bandwidth = read_bandwidth(pool), peak = int8_peak(pool, isa);
    PL_TRY(const Speed speed, measure_speed(model, compute, o.speed, progress));
    nlohmann::ordered_json j{{"threads", threads},
                             {"machine_read_gb_per_second", bandwidth / 1e9},
                             {"machine_int8_multiply_adds_per_ns", peak / 1e9}};
    if (!speed.prefill.seconds.empty())
      j["prefill"] = phase_json(speed.prefill, o.speed.prompt, bandwidth, weights, peak, false,
                                model, o.speed.profile);
    if (!speed.decode.seconds.empty()) {
      j["decode"] = phase_json(speed.decode, o.speed.answer, bandwidth, weights, peak, true, model,
                               o.speed.profile);
      if (o.speed.profile) add_linears(j["decode"], speed.decode, o.speed.answer, bandwidth, model);
    }
    runs.push_back(std::move(j));
  }
  progress.finish();
  nlohmann::ordered_json object{{"model", subject.name},
                                {"isa", isa_name(isa)},
                                {"bits_per_weight_linear", linear_size(model).bits_per_weight()},
                                {"bytes_per_token", bytes_per_token(model)},
                                {"interrupted", interrupted()},
                                {"runs", runs},
                                {"peak_rss_bytes", peak_rss_bytes()}};
  if (o.json) {
    print_json(object);
    return {};
  }
  fmt::print("{}: {:.4f} bits per linear weight, {} read per token, {}{}\n", subject.name,
             linear_size(model).bits_per_weight(),
             human_bytes(static_cast<uint64_t>(bytes_per_token(model))), isa_name(isa),
             interrupted() ? " (interrupted: not all rounds are in)" : "");
  for (const auto& j : runs) {
    fmt::print("{} threads: the machine reads {:.1f} GB/s, int8 peak {:.0f} multiply-adds/ns\n",
               j["threads"].get<int>(), j["machine_read_gb_per_second"].get<double>(),
               j["machine_int8_multiply_adds_per_ns"].get<double>());
    for (const char* phase : {"prefill", "decode"})
      if (j.contains(phase)) print_phase(phase, j[phase]);
  }
  fmt::print("peak memory {}\n", human_bytes(peak_rss_bytes()));
  return {};
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "Speed, beside what this machine could do");
  auto o = std::make_shared<Options>();
  auto* model = command->add_option("-m,--model", o->model, "Model: a path or a pulled name");
  auto* shape =
      command
          ->add_option("--shape", o->shape, "Random weights of a published shape: " + shape_names())
          ->excludes(model)
          ->type_name("NAME");
  command->add_option("--codec", o->codec, "Format of the shape's linears")
      ->needs(shape)
      ->capture_default_str();
  command->add_option("--head", o->head, "Format of the shape's embedding and head")
      ->needs(shape)
      ->capture_default_str();
  command->add_option("-p,--prompt-tokens", o->speed.prompt, "Tokens read in one pass; 0: none")
      ->check(range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-n,--tokens", o->speed.answer, "Tokens written one by one; 0: none")
      ->check(range(0, 1 << 20))
      ->capture_default_str();
  command->add_option("-t,--threads", o->threads, "Threads, or several numbers: 1,2")
      ->delimiter(',')
      ->check(range(1, 1024));
  command
      ->add_option("-r,--rounds", o->speed.rounds, "Repetitions; the best and the median are told")
      ->check(range(1, 1000))
      ->capture_default_str();
  command->add_flag("--profile", o->speed.profile, "Time per operation");
  command->add_flag("--float-activations", o->float_activations, "Activations stay float");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(
      command,
      "planeloom bench -m smollm2-135m-instruct -t 1,2\n"
      "planeloom bench --shape qwen2.5-7b --codec \"bitplane k=2 g=64\" -p 512 -n 16 --profile");
  on_run(command, [o, model, shape] {
    if (model->empty() && shape->empty()) throw CLI::RequiredError("--model or --shape");
    return run(*o);
  });
}

}  // namespace planeloom
