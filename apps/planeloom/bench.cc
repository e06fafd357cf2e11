// planeloom bench: tokens per second of a model or of a published shape, beside what the machine
// could do.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench_report.h"
#include "commands.h"
#include "common.h"
#include "eval/machine.h"
#include "eval/synthetic_model.h"
#include "text_options.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, shape, codec = "bitplane k=2 g=64", head = "Q8_0", cache = "f16";
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

/// All that is asked for, with so many threads.
Result<nlohmann::ordered_json> measure_run(const Options& o, const Model& model, int threads,
                                           uint64_t& peak) {
  global_options().threads = threads;
  PL_TRY(const auto context, AppContext::create());
  const Compute compute = context->compute();
  const MachineLimits limits{read_bandwidth(*compute.pool),
                             int8_peak(*compute.pool, compute.kernels->isa)};
  restart_peak_rss();  // that took a large buffer
  nlohmann::ordered_json j{{"threads", threads},
                           {"machine_read_gb_per_second", limits.bytes_per_second / 1e9},
                           {"machine_int8_multiply_adds_per_ns", limits.int8_multiply_adds / 1e9}};
  TerminalProgress progress;
  if (o.speed.prompt + o.speed.answer > 0) {
    PL_TRY(const Speed speed, measure_speed(model, compute, o.speed, progress));
    const bool profiled = o.speed.profile;
    if (!speed.prefill.seconds.empty())
      j["prefill"] = phase_json(speed.prefill, o.speed.prompt, false, profiled, limits, model);
    if (!speed.decode.seconds.empty())
      j["decode"] = phase_json(speed.decode, o.speed.answer, true, profiled, limits, model);
  }
  if (!o.speed.batches.empty()) {
    PL_TRY(const auto sweep, measure_batches(model, compute, o.speed, progress));
    j["batches"] = batches_json(sweep);
  }
  peak = std::max(peak, peak_rss_bytes());
  if (!o.speed.contexts.empty()) {
    PL_TRY(const auto sweep, measure_contexts(model, compute, o.speed, progress));
    j["contexts"] = contexts_json(sweep, model.config, o.speed.session.cache);
    for (const SweepSpeed& s : sweep) peak = std::max(peak, s.peak_rss);
  }
  return j;
}

Status run(Options& o) {
  if (o.speed.prompt + o.speed.answer == 0 && o.speed.batches.empty() && o.speed.contexts.empty())
    return fail("[bench] nothing to measure: -p and -n are both 0, without --batch and --context");
  PL_TRY(const auto first, AppContext::create());  // before a model is loaded in vain
  if (o.threads.empty()) o.threads = {first->threads()};
  PL_TRY(const Subject subject, load(o));
  const Model& model = subject.get();
  o.speed.session.activations =
      o.float_activations ? ActivationMode::kFloat : ActivationMode::kInt8;
  o.speed.session.cache = cache_type(o.cache);
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  uint64_t peak = 0;
  for (const int threads : o.threads) {
    if (interrupted()) break;
    PL_TRY(auto run, measure_run(o, model, threads, peak));
    runs.push_back(std::move(run));
  }
  const nlohmann::ordered_json object{
      {"model", subject.name},
      {"isa", first->isa()},
      {"bits_per_weight_linear", linear_size(model).bits_per_weight()},
      {"bytes_per_token", bytes_per_token(model)},
      {"weight_bytes", weight_bytes(model)},
      {"cache_type", o.cache},
      {"interrupted", interrupted()},
      {"runs", std::move(runs)},
      {"peak_rss_bytes", peak}};
  if (o.json)
    print_json(object);
  else
    print_bench(object);
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
  command
      ->add_option("--batch", o->speed.batches,
                   "Passes over so few tokens, all of their logits wanted: 1,2,4,8")
      ->delimiter(',')
      ->check(range(1, 1 << 12))
      ->type_name("N,...");
  command
      ->add_option("--context", o->speed.contexts,
                   "The next token's cost after so many positions: 512,8192")
      ->delimiter(',')
      ->check(range(0, (1 << 24) - 1))
      ->type_name("N,...");
  add_cache_option(command, o->cache);
  command->add_flag("--profile", o->speed.profile, "Time per operation");
  command->add_flag("--float-activations", o->float_activations, "Activations stay float");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(
      command,
      "planeloom bench -m smollm2-135m-instruct -t 1,2\n"
      "planeloom bench --shape qwen2.5-7b --codec \"bitplane k=2 g=64\" -p 512 -n 16 --profile\n"
      "planeloom bench -m model.gguf -p 0 -n 0 --batch 1,2,4,8 --context 512,8192 --cache q8_0");
  on_run(command, [o, model, shape] {
    if (model->empty() && shape->empty()) throw CLI::RequiredError("--model or --shape");
    return run(*o);
  });
}

}  // namespace planeloom
