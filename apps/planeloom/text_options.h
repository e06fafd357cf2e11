// Options and output that `run` and `chat` share.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "decode/generate.h"
#include "models/session.h"

namespace CLI {
class App;
}

namespace planeloom {

struct TextOptions {
  std::string model, system;
  std::string activations = "int8", cache = "f16";
  int64_t context = 0;  // 0: the command's own choice
  bool seed_given = false, greedy = false;
  GenerateOptions generate;
};

/// -m, -n, the samplers, --stop, --ctx and what else decides which text comes out.
void add_text_options(CLI::App* command, TextOptions& options);

/// To be called when parsing is over: draws a seed where none was given, undoes escapes in stop
/// strings, and checks the samplers.
Status finish_text_options(TextOptions& options);

/// A line on stderr when the context is longer than the model has seen.
void warn_beyond_training(const Config& config, int64_t context);

/// --cache, and what its names mean.
void add_cache_option(CLI::App* command, std::string& name);
DType cache_type(std::string_view name);
/// "float" or "int8".
ActivationMode activation_mode(std::string_view name);
SessionOptions session_options(const TextOptions& options, int64_t context);

/// Speeds, memory and hash in one line on stderr.
void print_summary(const GenerationStats& stats, const TextOptions& options);
nlohmann::ordered_json summary_json(const GenerationStats& stats, const TextOptions& options);

}  // namespace planeloom
