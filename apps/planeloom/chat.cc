// planeloom chat: a conversation on the terminal, or line by line from a pipe.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/console.h"
#include "base/progress.h"
#include "commands.h"
#include "common.h"
#include "line_reader.h"
#include "loaded_model.h"
#include "text_options.h"

namespace planeloom {
namespace {

constexpr const char* kHelp =
    "  /reset   forget the conversation\n"
    "  /exit    leave (also Ctrl-D)\n"
    "  /help    this text\n"
    "End a line with \\ to go on in the next one. Ctrl-C stops an answer.\n";

struct ChatOptions {
  TextOptions text;
  bool quiet = false;
};

/// The conversation and how much of it the session has read.
class Chat {
 public:
  Chat(const LoadedModel& loaded, Session& session, const ChatOptions& options)
      : loaded_(loaded), session_(session), options_(options) {
    reset();
  }

  void reset() {
    turns_.clear();
    if (!options_.text.system.empty()) turns_.push_back({"system", options_.text.system});
    first_ = turns_.size();
  }

  /// Streams the answer to stdout. On an error the conversation is as before.
  Status answer(const std::string& text) {
    turns_.push_back({"user", text});
    auto stats = generate_answer();
    if (!stats) {
      turns_.pop_back();
      return tl::unexpected(std::move(stats).error());
    }
    turns_.push_back({"assistant", std::move(reply_)});
    if (!options_.quiet) print_summary(*stats, options_.text);
    return {};
  }

 private:
  Result<GenerationStats> generate_answer() {
    reply_.clear();
    PL_TRY(std::vector<int32_t> prompt, fitting_prompt());
    rewind(prompt);
    const auto show = [this](std::string_view piece) {
      reply_ += piece;
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      return std::fflush(stdout) == 0;
    };
    GenerateOptions generation = options_.text.generate;
    generation.sampler.seed += answers_++;  // not the same draws for every answer
    auto stats = generate(session_, *loaded_.tokenizer, prompt, generation, show);
    std::fputc('\n', stdout);
    PL_CHECK(flush_output());
    read_ = std::move(prompt);
    if (stats) read_.insert(read_.end(), stats->tokens.begin(), stats->tokens.end());
    read_.resize(std::min(read_.size(), static_cast<size_t>(session_.position())));
    return stats;
  }

  /// The whole conversation, without its oldest turns where it would leave no room for an answer.
  Result<std::vector<int32_t>> fitting_prompt() {
    const int64_t quarter = session_.context() / 4, wanted = options_.text.generate.max_tokens;
    const int64_t room = wanted < 0 ? quarter : std::min(wanted, quarter);
    std::vector<ChatMessage> kept = turns_;
    for (size_t dropped = 0;; dropped += 2) {
      PL_TRY(std::vector<int32_t> prompt, render_turns(loaded_, kept));
      if (static_cast<int64_t>(prompt.size()) + room <= session_.context()) {
        if (dropped > 0)
          note("[the context is full: the oldest {} turns are forgotten]\n", dropped);
        turns_ = std::move(kept);
        return prompt;
      }
      if (kept.size() < first_ + 3)
        return fail("[chat] {} tokens leave no room in a context of {}; --ctx makes it larger",
                    prompt.size(), session_.context());
      const auto oldest = kept.begin() + static_cast<std::ptrdiff_t>(first_);
      kept.erase(oldest, oldest + 2);  // a question and its answer
    }
  }

  /// Keeps of the cache what the new prompt begins with; at least one token is left to read.
  void rewind(const std::vector<int32_t>& prompt) {
    const auto end = std::mismatch(read_.begin(), read_.end(), prompt.begin(), prompt.end()).first;
    const auto common = std::min<int64_t>(end - read_.begin(), std::ssize(prompt) - 1);
    session_.truncate(common);
  }

  const LoadedModel& loaded_;
  Session& session_;
  const ChatOptions& options_;
  std::vector<ChatMessage> turns_;
  size_t first_ = 0;           // turns before it (the system message) are never dropped
  std::vector<int32_t> read_;  // what the session holds
  std::string reply_;
  uint64_t answers_ = 0;
};

/// One line, or several joined where they end in a backslash. False at the end of the input and
/// when Ctrl-C was pressed while waiting.
bool read_message(LineReader& input, bool terminal, std::string& message) {
  message.clear();
  for (std::string line;;) {
    if (terminal) {
      fmt::print("{}", message.empty() ? "> " : ". ");
      std::fflush(stdout);
    }
    if (!input.next(line)) return !message.empty() && !interrupted();
    const bool more = !line.empty() && line.back() == '\\';
    if (more) line.back() = '\n';
    message += line;
    if (!more) return true;
  }
}

Status talk(Chat& chat, bool terminal) {
  LineReader input(STDIN_FILENO);
  for (std::string message; read_message(input, terminal, message);) {
    const size_t begin = message.find_first_not_of(" \t\n");
    if (begin == std::string::npos) continue;
    const std::string command =
        message.substr(begin, message.find_last_not_of(" \t\n") - begin + 1);
    if (command == "/exit" || command == "/quit" || command == "/bye") return {};
    if (command == "/help" || command == "/?") {
      fmt::print("{}", kHelp);
    } else if (command == "/reset" || command == "/clear") {
      chat.reset();
      fmt::print("The conversation is forgotten.\n");
    } else if (command[0] == '/' && command.find_first_of(" /", 1) == std::string::npos) {
      const std::string near = nearest(command, {"/exit", "/help", "/reset"});
      fmt::print("Unknown command '{}'; {}\n", command,
                 near.empty() ? "/help names them." : "did you mean " + near + "?");
    } else if (const Status status = chat.answer(message); !status) {
      if (!terminal) return status;
      print_error(status.error().message);
    }
    clear_interrupt();  // it was meant for the answer
    std::fflush(stdout);
  }
  if (terminal) fmt::print("\n");
  clear_interrupt();  // Ctrl-C at the prompt is a way to leave, no failure
  return {};
}

Status run(ChatOptions& options) {
  PL_CHECK(finish_text_options(options.text));
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const auto loaded, load_for_text(options.text.model, true));
  if (!loaded->chat)
    return fail("[chat] this model has no chat template; `planeloom run` continues plain text");
  PL_TRY(const auto session, Session::create(loaded->model, context->compute(),
                                             session_options(options.text, options.text.context)));
  warn_beyond_training(loaded->model.config, session->context());
  const bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  if (terminal)
    fmt::print("{}, context {}. /help tells more.\n",
               loaded->model.file->metadata().string_or("general.name", options.text.model),
               session->context());
  Chat chat(*loaded, *session, options);
  return talk(chat, terminal);
}

}  // namespace

void add_chat(CLI::App& app) {
  CLI::App* command = app.add_subcommand("chat", "Talk with a model");
  auto options = std::make_shared<ChatOptions>();
  options->text.generate.max_tokens = 1024;
  add_text_options(command, options->text);
  command->add_flag("-q,--quiet", options->quiet, "No line about speed and memory after an answer");
  set_examples(command,
               "planeloom chat -m smollm2-135m-instruct\n"
               "printf 'Hello!\\nAnd again?\\n' | planeloom chat -m model.gguf --greedy");
  on_run(command, [options] { return run(*options); });
}

}  // namespace planeloom
