// planeloom perplexity: how well a model predicts a text, and how far it is from a reference.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "common.h"
#include "score.h"
#include "text_options.h"

namespace planeloom {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string file, reference, activations = "int8", reference_activations = "float", cache = "f16";
  ScoreOptions score;
  bool json = false;
};

Status print(const Options& o, const std::string& model, const ScoredModel& scored,
             const AppContext& context) {
  if (o.json) {
    nlohmann::ordered_json object{{"model", model}};
    object.update(score_json(scored));
    object["isa"] = context.isa();
    object["threads"] = context.threads();
    object["activations"] = o.activations;
    print_json(object);
    return flush_output();
  }
  const TextScore& s = scored.score;
  if (o.models.size() > 1) fmt::print("{}:\n", model);
  fmt::print(
      "{}\n{:.4f} bits per linear weight, {:.4f} over the file ({}); {:.0f} tokens/s read; peak "
      "memory {}; logits {:016x}\n",
      score_sentence(scored, o.score.windows), scored.bits_per_weight_linear,
      scored.bits_per_weight_file, human_bytes(scored.file_bytes), s.prefill_tokens_per_second,
      human_bytes(peak_rss_bytes()), s.logits_hash);
  return flush_output();
}

Status run(Options& o) {
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const std::string text, read_input(o.file));
  TerminalProgress progress;
  o.score.session.activations = activation_mode(o.activations);
  o.score.session.cache = cache_type(o.cache);
  std::vector<std::filesystem::path> paths;
  for (const std::string& model : o.models) {
    PL_TRY(paths.emplace_back(), resolve_model(model));
  }
  std::unique_ptr<LogitStore> reference;
  if (!o.reference.empty()) {
    ScoreOptions as_reference = o.score;
    as_reference.session.activations = activation_mode(o.reference_activations);
    PL_TRY(const auto reference_path, resolve_model(o.reference));
    for (const auto& path : paths) PL_CHECK(check_same_tokens(path, reference_path, text));
    PL_TRY(reference,
           record_reference(reference_path, text, as_reference, context->compute(), progress));
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    PL_TRY(const ScoredModel scored,
           score_model(paths[i], text, o.score, context->compute(), reference.get(), progress));
    progress.finish();
    PL_CHECK(print(o, o.models[i], scored, *context));
    if (scored.score.interrupted) break;
  }
  return {};
}

}  // namespace

void add_perplexity(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("perplexity", "Score a text, and the distance from a reference model");
  auto o = std::make_shared<Options>();
  command
      ->add_option("-m,--model", o->models,
                   "Model: a path or a pulled name; given again, each is scored in turn, and the "
                   "reference is read once")
      ->allow_extra_args(false)
      ->required();
  command->add_option("-f,--file", o->file, "The text")->required()->check(CLI::ExistingFile);
  command->add_option("--reference", o->reference,
                      "Model whose distributions are taken as the truth");
  command
      ->add_option("--context", o->score.windows.context,
                   "Tokens per window; the second half is scored")
      ->check(CLI::Range(8, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--windows", o->score.windows.windows,
                   "At most so many windows; 0: the whole text")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  const CLI::IsMember modes({"int8", "float"});
  command->add_option("--activations", o->activations, "int8 or float")
      ->check(modes)
      ->capture_default_str();
  command->add_option("--reference-activations", o->reference_activations, "int8 or float")
      ->check(modes)
      ->capture_default_str();
  add_cache_option(command, o->cache);
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(command,
               "planeloom perplexity -m smol.bpdq2.gguf -f text.txt --reference "
               "smollm2-135m-instruct --context 512 --windows 20");
  on_run(command, [o] { return run(*o); });
}

}  // namespace planeloom
