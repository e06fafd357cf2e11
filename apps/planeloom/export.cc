// planeloom export: a Planeloom file as an ordinary GGUF for other engines.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "commands.h"
#include "common.h"
#include "compress/export_model.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, out, type = "f16";
  bool json = false, force = false;
};

Status run(const Options& o) {
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const auto path, resolve_model(o.model));
  PL_CHECK(check_new_file("export", o.out, std::span(&path, 1), o.force));
  PL_CHECK(check_output(o.out));
  PL_TRY(const Model model, load_model(path));
  TerminalProgress progress;
  PL_CHECK(export_model(model, o.type == "f16" ? DType::kF16 : DType::kQ8_0, o.out,
                        context->compute(), progress));
  progress.finish();
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(o.out, error);
  if (o.json)
    print_json({{"path", o.out},
                {"type", o.type},
                {"file_bytes", bytes},
                {"isa", context->isa()},
                {"threads", context->threads()}});
  else
    fmt::print("{}: {}\n", o.out, human_bytes(bytes));
  return {};
}

}  // namespace

void add_export(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("export", "Write a plain F16 or Q8_0 GGUF that other engines load");
  auto o = std::make_shared<Options>();
  command->add_option("-m,--model", o->model, "Model: a path or a pulled name")->required();
  command->add_option("-o,--out", o->out, "File to write")->required();
  command->add_option("--type", o->type, "f16 or q8_0, of the matrices that were planes or codes")
      ->check(CLI::IsMember({"f16", "q8_0"}))
      ->capture_default_str();
  command->add_flag("--force", o->force, "Replace OUT when it exists");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(command, "planeloom export -m smol.bpdq2.gguf -o smol.f16.gguf --type f16");
  on_run(command, [o] { return run(*o); });
}

}  // namespace planeloom
