#include "text_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/console.h"
#include "common.h"

namespace planeloom {
namespace {

void add_sampler_options(CLI::App* command, TextOptions& options) {
  SamplerOptions& s = options.generate.sampler;
  const char* group = "Sampling (in this order)";
  const auto number = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->group(group)->capture_default_str()->type_name("X");
  };
  number("--repeat-penalty", s.repeat_penalty, "Divides the logits of recent tokens; 1: off");
  number("--frequency-penalty", s.frequency_penalty, "Subtracted per recent occurrence");
  number("--presence-penalty", s.presence_penalty, "Subtracted once if it occurred recently");
  number("--repeat-last-n", s.repeat_last_n, "Tokens that count as recent; 0: none, -1: all");
  number("--top-k", s.top_k, "Only the K likeliest; 0: off");
  number("--top-p", s.top_p, "Only the likeliest that reach P together; 1: off");
  number("--min-p", s.min_p, "Only those P times as likely as the likeliest; 0: off");
  number("--temp", s.temperature, "Temperature; 0 or less: always the likeliest");
  command->add_flag("--greedy", options.greedy, "The same as --temp 0")->group(group);
  command
      ->add_option_function<std::string>(
          "--seed",
          [&options](const std::string& text) {
            int64_t seed = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
            if (error != std::errc() || end != text.data() + text.size() || seed < -1)
              throw CLI::ValidationError("--seed", text + ": a whole number, or -1, wanted");
            options.generate.sampler.seed = static_cast<uint64_t>(seed);
            options.seed_given = seed >= 0;
          },
          "Seed of the draws; -1: a random one, which is printed (default)")
      ->group(group)
      ->type_name("N");
}

/// "\n", "\t" and "\\" as a shell user writes them.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const char meant = next == 'n' ? '\n' : next == 't' ? '\t' : next == '\\' ? '\\' : '\0';
    out.push_back(meant ? meant : text[i]);
    if (meant) ++i;
  }
  return out;
}

}  // namespace

void add_text_options(CLI::App* command, TextOptions& options) {
  command->add_option("-m,--model", options.model, "A GGUF file, a Hugging Face folder or a name")
      ->required()
      ->type_name("MODEL");
  command->add_option("--system", options.system, "System message")->type_name("TEXT");
  command
      ->add_option("-n,--tokens", options.generate.max_tokens,
                   "At most so many new tokens; -1: until the context is full")
      ->check(CLI::Range(int64_t{-1}, std::numeric_limits<int64_t>::max()))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--stop", options.generate.stops, "Ends the text (repeatable; \\n is a newline)")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_flag("--ignore-eos", options.generate.ignore_end, "Go on after an end token");
  command->add_option("--ctx", options.context, "Positions of the cache")
      ->check(range(1, int64_t{1} << 24))
      ->type_name("N");
  command
      ->add_option("--activations", options.activations,
                   "int8: rounded where the format allows; float: exact")
      ->check(CLI::IsMember({"int8", "float"}))
      ->capture_default_str()
      ->type_name("TYPE");
  add_cache_option(command, options.cache);
  add_sampler_options(command, options);
}

Status finish_text_options(TextOptions& options) {
  SamplerOptions& sampler = options.generate.sampler;
  if (options.greedy) sampler.temperature = 0;
  if (!options.seed_given) sampler.seed = std::random_device{}();
  for (std::string& stop : options.generate.stops) stop = unescape(stop);
  return check(sampler);
}

void warn_beyond_training(const Config& config, int64_t context) {
  if (context > config.context)
    note("planeloom: {} positions, more than the {} this model was trained for\n", grouped(context),
         grouped(config.context));
}

void add_cache_option(CLI::App* command, std::string& name) {
  command->add_option("--cache", name, "Type of cached keys and values: f16, f32 or q8_0")
      ->check(CLI::IsMember({"f16", "f32", "q8_0"}))
      ->capture_default_str()
      ->type_name("TYPE");
}

DType cache_type(std::string_view name) {
  return name == "f32" ? DType::kF32 : name == "q8_0" ? DType::kQ8_0 : DType::kF16;
}

ActivationMode activation_mode(std::string_view name) {
  return name == "float" ? ActivationMode::kFloat : ActivationMode::kInt8;
}

SessionOptions session_options(const TextOptions& options, int64_t context) {
  SessionOptions session;
  session.context = context;
  session.activations = activation_mode(options.activations);
  session.cache = cache_type(options.cache);
  return session;
}

void print_summary(const GenerationStats& stats, const TextOptions& options) {
  const bool color = isatty(STDERR_FILENO) != 0;
  std::string speed;
  if (stats.decode_tokens_per_second > 0)
    speed = fmt::format(" at {:.1f} tokens/s, {:.2f} GB/s", stats.decode_tokens_per_second,
                        stats.read_gb_per_second);
  note(
      "{}[prompt {} at {:.1f} tokens/s | answer {}{} | {} | peak memory {} | seed {} | logits "
      "{}]{}\n",
      color ? "\033[2m" : "", stats.read_tokens, stats.prefill_tokens_per_second,
      stats.tokens.size(), speed, finish_name(stats.finish), human_bytes(peak_rss_bytes()),
      options.generate.sampler.seed, stats.logits_hash.empty() ? "none" : stats.logits_hash,
      color ? "\033[0m" : "");
}

nlohmann::ordered_json summary_json(const GenerationStats& stats, const TextOptions& options) {
  return {{"prompt_tokens", stats.prompt_tokens},
          {"tokens", stats.tokens.size()},
          {"finish_reason", finish_name(stats.finish)},
          {"prefill_tokens_per_second", stats.prefill_tokens_per_second},
          {"decode_tokens_per_second", stats.decode_tokens_per_second},
          {"read_gb_per_second", stats.read_gb_per_second},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"logits_hash", stats.logits_hash},
          {"seed", options.generate.sampler.seed}};
}

}  // namespace planeloom
