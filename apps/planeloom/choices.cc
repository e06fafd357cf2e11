// planeloom choices: which of several continuations a model holds for likeliest.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "common.h"
#include "eval/choices.h"
#include "text_options.h"

namespace planeloom {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string file, activations = "int8", cache = "f16";
  int64_t items = 0;
  SessionOptions session;
  bool json = false;
};

Status print(const Options& o, const std::string& model, const ChoiceScore& s,
             const AppContext& context) {
  if (o.json) {
    print_json({{"model", model},
                {"items", s.items},
                {"interrupted", s.interrupted},
                {"accuracy", s.accuracy},
                {"accuracy_stderr", s.accuracy_stderr},
                {"accuracy_per_byte", s.accuracy_per_byte},
                {"accuracy_per_byte_stderr", s.accuracy_per_byte_stderr},
                {"chance", s.chance},
                {"margin", s.margin},
                {"margin_stderr", s.margin_stderr},
                {"log_likelihood", s.right},
                {"isa", context.isa()},
                {"threads", context.threads()},
                {"activations", o.activations}});
    return flush_output();
  }
  if (o.models.size() > 1) fmt::print("{}:\n", model);
  fmt::print(
      "{:.1f} ± {:.1f} % of {} right by likelihood, {:.1f} ± {:.1f} % by likelihood per byte "
      "(guessing {:.1f} %){}\n"
      "the right choice has {:.3f} nats, {:.3f} ± {:.3f} more than the likeliest wrong one\n",
      100 * s.accuracy, 100 * s.accuracy_stderr, grouped(s.items), 100 * s.accuracy_per_byte,
      100 * s.accuracy_per_byte_stderr, 100 * s.chance,
      s.interrupted ? " (interrupted: these are not all)" : "", s.right, s.margin, s.margin_stderr);
  return flush_output();
}

Status run(Options& o) {
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const std::string text, read_input(o.file));
  PL_TRY(std::vector<ChoiceItem> items, parse_choices(text));
  if (o.items > 0) items.resize(std::min(items.size(), static_cast<size_t>(o.items)));
  o.session.activations = activation_mode(o.activations);
  o.session.cache = cache_type(o.cache);
  TerminalProgress progress;
  for (const std::string& name : o.models) {
    PL_TRY(const auto path, resolve_model(name));
    PL_TRY(const Model model, load_model(path));
    PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
    PL_TRY(const ChoiceScore score,
           score_choices(model, *tokenizer, context->compute(), o.session, items, progress));
    progress.finish();
    PL_CHECK(print(o, name, score, *context));
    if (score.interrupted) break;
  }
  return {};
}

}  // namespace

void add_choices(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("choices", "Multiple choice: how often the likeliest answer is right");
  auto o = std::make_shared<Options>();
  command
      ->add_option("-m,--model", o->models,
                   "Model: a path or a pulled name; given again, each is scored in turn")
      ->allow_extra_args(false)
      ->required();
  command
      ->add_option(
          "-f,--file", o->file,
          "One JSON object a line: {\"context\": \"...\", \"choices\": [\"...\", \"...\"], "
          "\"answer\": 0}")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_option("--items", o->items, "At most so many; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command
      ->add_option("--context", o->session.context,
                   "Tokens that an item may have; 0: what the model was trained on, at most 4096")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command->add_option("--activations", o->activations, "int8 or float")
      ->check(CLI::IsMember({"int8", "float"}))
      ->capture_default_str();
  add_cache_option(command, o->cache);
  command->add_flag("--json", o->json, "One JSON object for each model instead of text");
  set_examples(command,
               "planeloom choices -m smollm2-135m-instruct -m smol.bpdq2.gguf -f questions.jsonl");
  on_run(command, [o] { return run(*o); });
}

}  // namespace planeloom
