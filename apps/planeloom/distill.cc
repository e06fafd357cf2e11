// planeloom distill: better scales for a quantized model, learnt from the unquantized one.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/report.h"
#include "commands.h"
#include "common.h"
#include "distill_options.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, reference, out;
  DistillOptions distill;
  int64_t text_tokens = 131072;
  bool json = false, force = false;
};

Report make_report(const Options& o, const DistillSummary& s, AppContext& context) {
  Report r;
  r.title = "Distillation of scales";
  r.config = {{"model", o.model},
              {"reference", o.reference},
              {"text", s.text},
              {"windows per step", std::to_string(o.distill.windows)},
              {"rate", fmt::format("{:.3g}", s.rate)}};
  r.seed = o.distill.text.seed;
  r.environment = host_environment(context.threads(), context.isa());
  r.plots.push_back(distill_plot(s));
  r.results = distill_results(s);
  r.results["peak_rss_bytes"] = peak_rss_bytes();
  return r;
}

Status run(Options& o) {
  o.distill.text.windows = std::max<int64_t>(1, o.text_tokens / o.distill.text.context);
  PL_TRY(auto context, AppContext::create());
  std::filesystem::path inputs[2];
  PL_TRY(inputs[0], resolve_model(o.model));
  PL_TRY(inputs[1], resolve_model(o.reference));
  PL_CHECK(check_new_file("distill", o.out, inputs, o.force));
  PL_TRY(const Model model, load_model(inputs[0]));
  PL_TRY(const Model reference, load_model(inputs[1]));
  TerminalProgress progress;
  PL_TRY(const DistillSummary summary,
         distill(reference, model, o.out, o.distill, context->compute(), progress));
  progress.finish();
  PL_CHECK(save(make_report(o, summary, *context), o.out + ".report"));
  if (o.json) {
    nlohmann::ordered_json object{{"path", o.out}};
    object.update(distill_results(summary));
    object["isa"] = context->isa();
    object["threads"] = context->threads();
    print_json(object);
  } else {
    fmt::print("{}: {}\nreport: {}.report.html\n", o.out, distill_sentence(summary), o.out);
  }
  return {};
}

}  // namespace

void add_distill(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "distill", "Tune a quantized model's scales and norm gains towards the unquantized model");
  auto o = std::make_shared<Options>();
  command->add_option("-m,--model", o->model, "Quantized model, with fp16 scales")->required();
  command->add_option("--reference", o->reference, "The model as it was: a path or a pulled name")
      ->required();
  command
      ->add_option("-o,--out", o->out,
                   "File to write; OUT.partial holds an unfinished run, OUT.report.* says how the "
                   "loss fell")
      ->required();
  auto* minutes = command
                      ->add_option("--minutes", o->distill.minutes,
                                   "How long, about: the steps so far tell how many fit")
                      ->check(CLI::Range(0.001, kMostDistillMinutes));
  command
      ->add_option("--steps", o->distill.steps, "How many steps instead: the same bytes each time")
      ->check(CLI::Range(1, 1 << 24))
      ->excludes(minutes);
  command
      ->add_option(
          "--rate", o->distill.rate,
          "Largest relative change of a scale in a step, falling to 0 at the end (default: "
          "by how far the model is from the reference, 0.005 at most)")
      ->check(CLI::Range(1e-6, 0.5));
  command->add_option("--windows", o->distill.windows, "Windows of 512 tokens in a step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add_sources(command, "--text", o->distill.text.sources);
  command
      ->add_option("--text-tokens", o->text_tokens,
                   "How much of it; read again from the beginning when the steps ask for more")
      ->check(CLI::Range(512, 1 << 28))
      ->capture_default_str();
  command->add_option("--seed", o->distill.text.seed, "Of the self-written text and the order")
      ->capture_default_str();
  command->add_flag("--force", o->force, "Replace OUT when it exists");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(command,
               "planeloom distill -m smol.trellis2.gguf --reference smollm2-135m-instruct -o "
               "smol.better.gguf --minutes 30\n"
               "planeloom distill -m small.gguf --reference model.gguf -o out.gguf --steps 200 "
               "--text prose.txt,code.py,self");
  on_run(command, [o]() -> Status {
    if (o->distill.steps == 0 && o->distill.minutes == 0) o->distill.minutes = 20;
    return run(*o);
  });
}

}  // namespace planeloom
