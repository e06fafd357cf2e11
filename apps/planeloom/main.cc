#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "base/console.h"
#include "base/progress.h"
#include "commands.h"
#include "common.h"

namespace planeloom {
namespace {

constexpr const char* kVersion = "planeloom " PLANELOOM_VERSION;

/// `--isa list` answers and ends, as --version does.
void list_isas() {
  const Result<Isa> chosen = default_isa();
  for (const Isa isa : supported_isas())
    fmt::print("{}{}\n", isa_name(isa), chosen && *chosen == isa ? "  (default)" : "");
}

void add_globals(CLI::App& app) {
  GlobalOptions& options = global_options();
  app.add_option("-t,--threads", options.threads,
                 "Threads (default: the cores this process may use)")
      ->check(range(1, 1024))
      ->type_name("N");
  app.add_flag("--bind", options.bind,
               "Keep each thread on a CPU of its own, for a machine that does nothing else");
  app.add_option_function<std::string>(
         "--isa",
         [&options](const std::string& name) {
           if (name != "list") return void(options.isa = name);
           list_isas();
           throw CLI::Success();
         },
         "Kernels to use, or `list`; also PLANELOOM_ISA")
      ->type_name("NAME")
      ->trigger_on_parse();
  app.set_version_flag("--version", kVersion, "Print the version");
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// The word that the parser could not place: the command's own leftovers come before the program's.
std::string leftover(const CLI::App& app, const CLI::App* command) {
  for (const CLI::App* a : {command, &app})
    if (a && !a->remaining().empty()) return a->remaining().front();
  return {};
}

/// One line that says what was wrong and what was probably meant.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App* command = chosen.empty() ? nullptr : chosen.front();
  const std::string word = leftover(app, command);
  std::string message = error.what(), near;
  if (word.rfind("-", 0) == 0) {
    message = fmt::format("unknown option '{}'", word);
    near = nearest(word, option_names(command ? *command : app));
  } else if (!word.empty() && !command) {
    message = fmt::format("unknown command '{}'", word);
    near = nearest(word, command_names(app));
  } else if (!word.empty()) {
    message = fmt::format("unexpected argument '{}'", word);
  }
  if (!near.empty()) message += fmt::format("; did you mean '{}'?", near);
  print_error(message);
  const std::string where = command ? " " + command->get_name() : "";
  note("Try `planeloom{} --help`.\n", where);
  return kExitUsage;
}

int run(int argc, char** argv) {
  CLI::App app{"Planeloom: language models squeezed to a few bits, and what the squeeze cost."};
  app.name("planeloom");
  app.require_subcommand(1);
  app.fallthrough();
  set_examples(&app,
               "planeloom pull smollm2-135m-instruct\n"
               "planeloom chat -m smollm2-135m-instruct");
  add_globals(app);
  add_pull(app);
  add_run(app);
  add_chat(app);
  add_inspect(app);
  add_quantize(app);
  add_distill(app);
  add_scores(app);
  add_perplexity(app);
  add_choices(app);
  add_export(app);
  add_bench(app);
  add_demo(app);
  if (argc <= 1) {
    fmt::print("{}", app.help());
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& stop) {
    return stop.get_exit_code();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return usage_error(app, error);
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
    return kExitFailure;
  } catch (const std::system_error& error) {  // fmt's way to say that standard output is lost
    const Status printed = flush_output();
    print_error(printed ? error.what() : printed.error().message);
    return kExitFailure;
  }
  return 0;
}

}  // namespace
}  // namespace planeloom

int main(int argc, char** argv) {
  planeloom::reserve_standard_streams();
  planeloom::install_interrupt_handler();
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the user's limit is an error of the write
  const int status = planeloom::run(argc, argv);
  if (status != 0) return status;
  const planeloom::Status printed = planeloom::flush_output();
  if (printed) return 0;
  planeloom::print_error(printed.error().message);
  return planeloom::kExitFailure;
}
