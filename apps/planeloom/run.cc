// planeloom run: one prompt in, one answer out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "common.h"
#include "loaded_model.h"
#include "text_options.h"

namespace planeloom {
namespace {

struct RunOptions {
  TextOptions text;
  std::string prompt, file;
  bool raw = false, json = false;
};

Result<std::string> prompt_text(const RunOptions& options) {
  if (!options.file.empty()) return read_input(options.file);
  if (options.prompt != "-") return options.prompt;
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

Result<std::vector<int32_t>> prompt_tokens(const LoadedModel& loaded, const RunOptions& options) {
  PL_TRY(const std::string text, prompt_text(options));
  if (loaded.chat) {
    std::vector<ChatMessage> turns;
    if (!options.text.system.empty()) turns.push_back({"system", options.text.system});
    turns.push_back({"user", text});
    return render_turns(loaded, turns);
  }
  if (!options.text.system.empty())
    return fail("[run] --system needs a chat template, which {}",
                options.raw ? "--raw switches off" : "this model does not have");
  return loaded.tokenizer->encode(text);
}

/// Only as many positions as this one answer can need, so that little memory is touched.
int64_t context_for(const RunOptions& options, const Config& config, int64_t prompt) {
  if (options.text.context > 0) return options.text.context;
  const int64_t wanted = options.text.generate.max_tokens;
  if (wanted < 0 || wanted >= config.context) return config.context;
  return std::min(config.context, prompt + wanted);
}

Status run(RunOptions& options) {
  PL_CHECK(finish_text_options(options.text));
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const auto loaded, load_for_text(options.text.model, !options.raw));
  PL_TRY(const std::vector<int32_t> prompt, prompt_tokens(*loaded, options));
  if (prompt.empty()) return fail("[run] the prompt is empty");
  const int64_t positions =
      context_for(options, loaded->model.config, static_cast<int64_t>(prompt.size()));
  warn_beyond_training(loaded->model.config, positions);
  PL_TRY(const auto session, Session::create(loaded->model, context->compute(),
                                             session_options(options.text, positions)));
  std::string text;
  const auto show = [&](std::string_view piece) {
    if (options.json) return text += piece, true;
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    return std::fflush(stdout) == 0;
  };
  PL_TRY(const GenerationStats stats,
         generate(*session, *loaded->tokenizer, prompt, options.text.generate, show));
  if (options.json) {
    nlohmann::ordered_json object{{"text", text}};
    object.update(summary_json(stats, options.text));
    object["isa"] = context->isa();
    object["threads"] = context->threads();
    print_json(object);
    return {};
  }
  std::fputc('\n', stdout);
  PL_CHECK(flush_output());
  print_summary(stats, options.text);
  return {};
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Answer one prompt");
  auto options = std::make_shared<RunOptions>();
  add_text_options(command, options->text);
  auto* prompt =
      command->add_option("-p,--prompt", options->prompt, "The prompt; - reads standard input")
          ->type_name("TEXT");
  auto* file = command->add_option("-f,--file", options->file, "A file that holds the prompt")
                   ->type_name("FILE")
                   ->excludes(prompt);
  command->add_flag("--raw", options->raw, "Continue the prompt as it stands, no chat template");
  command->add_flag("--json", options->json, "One JSON object instead of streamed text");
  set_examples(command,
               "planeloom run -m smollm2-135m-instruct -p \"Why is the sky blue?\"\n"
               "planeloom run -m model.gguf --raw -p \"Once upon a time\" -n 100 --greedy");
  on_run(command, [options, prompt, file] {
    if (prompt->empty() && file->empty()) throw CLI::RequiredError("--prompt or --file");
    return run(*options);
  });
}

}  // namespace planeloom
