// What every subcommand shares: global options, threads and kernels, names of models, printing.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/result.h"
#include "kernels/compute.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace planeloom {

/// Exit codes. A usage error is one that `--help` would have prevented.
inline constexpr int kExitFailure = 1, kExitUsage = 2, kExitInterrupted = 130;

/// Options that stand before or after the subcommand's name.
struct GlobalOptions {
  int threads = 0;    // 0: every CPU that this process may use
  bool bind = false;  // threads to CPUs
  std::string isa;    // empty: PLANELOOM_ISA, else the best
};
GlobalOptions& global_options();

/// The threads and the kernels that -t and --isa ask for.
class AppContext {
 public:
  static Result<std::unique_ptr<AppContext>> create();
  Compute compute() { return {&pool_, kernels_}; }
  int threads() const { return pool_.size(); }
  std::string_view isa() const { return isa_name(kernels_->isa); }

 private:
  AppContext(int threads, bool bind, const Kernels& kernels)
      : pool_(threads, bind ? ThreadPool::Placement::kBound : ThreadPool::Placement::kFree),
        kernels_(&kernels) {}
  ThreadPool pool_;
  const Kernels* kernels_;
};

/// Runs `body` when the command is chosen. Its error is printed on stderr and the process ends with
/// kExitFailure; with kExitInterrupted after Ctrl-C, whether or not that was an error.
void on_run(CLI::App* command, std::function<Status()> body);

/// The text under a command's options: one or more complete example lines.
void set_examples(CLI::App* command, std::string_view lines);

/// An option that names several things, with commas or given again; `wrong` says what is wrong with
/// one of them, if anything is.
CLI::Option* add_list(CLI::App* command, const std::string& name, std::vector<std::string>& values,
                      const std::string& help,
                      std::function<std::string(const std::string&)> wrong = {});

/// An option that names texts (compress/calibration.h); `rest` is said at the end of its help.
void add_sources(CLI::App* command, const std::string& name, std::vector<std::string>& sources,
                 const std::string& rest = {});

/// Checks an integer without spelling the limits out in --help.
CLI::Validator range(int64_t least, int64_t most);
/// Not the empty text that an unset variable of a shell gives.
CLI::Validator something();

/// A path that exists, else a model in the cache (models/NAME or models/NAME.gguf); the error says
/// which near name exists, or how to pull it.
Result<std::filesystem::path> resolve_model(const std::string& name);

/// An error unless `out` may be written: none of the inputs, not there or to be replaced, and in a
/// folder that is there.
Status check_new_file(std::string_view command, const std::string& out,
                      std::span<const std::filesystem::path> inputs, bool force);

/// The known word that `word` is probably meant to be; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// "planeloom: MESSAGE" on stderr.
void print_error(std::string_view message);
/// An error when anything printed to stdout so far was lost.
Status flush_output();
/// One object on stdout, indented; bytes that are not UTF-8 become U+FFFD.
void print_json(const nlohmann::ordered_json& object);

/// "60MB", "1.5 G", "800000", "64KiB": bytes, above 0; units are decimal but for those with an i.
Result<uint64_t> parse_bytes(std::string_view text);
/// "98.4 MB", decimal units; "12,345,678".
std::string human_bytes(uint64_t bytes);
std::string grouped(int64_t value);

}  // namespace planeloom
