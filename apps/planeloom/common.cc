#include "common.h"

#include "base/file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/console.h"
#include "base/progress.h"
#include "formats/pull.h"

namespace planeloom {

namespace fs = std::filesystem;

GlobalOptions& global_options() {
  static GlobalOptions options;
  return options;
}

Result<std::unique_ptr<AppContext>> AppContext::create() {
  PL_TRY(Isa isa, default_isa());
  if (const std::string& wanted = global_options().isa; !wanted.empty()) {
    PL_TRY(isa, parse_isa(wanted));
    const std::vector<Isa> isas = supported_isas();
    if (std::find(isas.begin(), isas.end(), isa) == isas.end())
      return fail("[isa] this CPU cannot run {}; `planeloom --isa list` names what it can", wanted);
  }
  return std::unique_ptr<AppContext>(
      new AppContext(global_options().threads, global_options().bind, kernels_for(isa)));
}

void on_run(CLI::App* command, std::function<Status()> body) {
  command->callback([body = std::move(body)] {
    const Status status = body();
    std::fflush(stdout);
    if (!status) print_error(status.error().message);
    if (interrupted()) throw CLI::RuntimeError(kExitInterrupted);
    if (!status) throw CLI::RuntimeError(kExitFailure);
  });
}

void set_examples(CLI::App* command, std::string_view lines) {
  std::string text = "Example:\n";
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    text += "  " + std::string(lines.substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  text.pop_back();
  command->footer(text);
}

namespace {

/// Names that resolve_model() would find in the cache.
std::vector<std::string> cached_models() {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(models_folder(), error), end; !error && it != end;
       it.increment(error)) {
    const bool model = it->path().extension() == ".gguf" || it->is_directory(error);
    if (model) names.push_back(it->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> pullable_models() {
  std::vector<std::string> names;
  for (const PullEntry& entry : pull_table()) names.push_back(entry.name);
  return names;
}

/// What commas part.
std::vector<std::string> parts(const std::string& text) {
  std::vector<std::string> all;
  for (size_t begin = 0, end = 0; end != text.npos; begin = end + 1) {
    end = text.find(',', begin);
    all.push_back(text.substr(begin, end - begin));
  }
  return all;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

Status check_new_file(std::string_view command, const std::string& out,
                      std::span<const std::filesystem::path> inputs, bool force) {
  std::error_code error;
  for (const auto& input : inputs)
    if (std::filesystem::equivalent(input, out, error))
      return fail("[{}] {} is the input itself", command, out);
  if (std::filesystem::exists(out, error) && !force)
    return fail("[{}] {} exists; --force replaces it", command, out);
  return check_output(out);
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 100;
  const std::string wanted = lower(word.substr(0, kLongest));
  std::string best;
  size_t best_distance = wanted.size() / 3 + 2;  // farther than this is another word
  for (const std::string& name : known) {
    const std::string candidate = lower(std::string_view(name).substr(0, kLongest));
    // Half a name is as good as a misspelt one: "smollm2" for "smollm2-135m-instruct".
    const bool part = wanted.size() >= 3 && candidate.find(wanted) != std::string::npos;
    const size_t distance = part ? 1 : edit_distance(wanted, candidate);
    if (distance >= best_distance || distance >= std::max(wanted.size(), candidate.size()))
      continue;
    best_distance = distance;
    best = name;
  }
  return best;
}

Result<fs::path> resolve_model(const std::string& name) {
  std::error_code error;
  if (name.empty()) return fail("[model] no name given");
  if (fs::exists(name, error)) return fs::path(name);
  const fs::path path(name);
  const bool looks_like_path = path.has_parent_path();
  if (!looks_like_path)
    for (const char* suffix : {"", ".gguf"})
      if (fs::path cached = models_folder() / (name + suffix); fs::exists(cached, error))
        return cached;
  if (looks_like_path || path.extension() == ".gguf")
    return fail("[model] {}: no such file or folder", name);
  const std::vector<std::string> cached = cached_models();
  std::vector<std::string> known = pullable_models();
  if (std::find(known.begin(), known.end(), name) != known.end())
    return fail("[model] '{}' is not here yet; `planeloom pull {}` fetches it", name, name);
  known.insert(known.begin(), cached.begin(),
               cached.end());  // of equally near names, one that is here
  const std::string near = nearest(name, known);
  if (near.empty())
    return fail("[model] '{}' is neither a file nor a pulled model; see `planeloom pull --list`",
                name);
  if (std::find(cached.begin(), cached.end(), near) != cached.end())
    return fail("[model] '{}' is not here; did you mean '{}'?", name, near);
  return fail("[model] '{}' is unknown; did you mean '{}'? `planeloom pull {}` fetches it", name,
              near, near);
}

void print_error(std::string_view message) { note("planeloom: {}\n", one_line(message)); }

Status flush_output() {
  std::cout.flush();  // the parser prints its help there
  if (std::fflush(stdout) == 0 && !std::ferror(stdout) && std::cout) return {};
  return fail("[output] standard output could not be written: is it closed, or its disk full?");
}

void print_json(const nlohmann::ordered_json& object) {
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  const std::string text = object.dump(2, ' ', false, replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

CLI::Option* add_list(CLI::App* command, const std::string& name, std::vector<std::string>& values,
                      const std::string& help,
                      std::function<std::string(const std::string&)> wrong) {
  // Not the parser's own delimiter: it passes over what is empty, and where nothing else is left
  // takes the next word of the command line.
  const auto take = [&values](const std::vector<std::string>& given) {
    values.clear();
    for (const std::string& text : given)
      for (std::string& one : parts(text)) values.push_back(std::move(one));
  };
  const auto check = [wrong = std::move(wrong)](const std::string& text) -> std::string {
    for (const std::string& one : parts(text)) {
      if (one.empty()) return fmt::format("'{}' has a name that is empty", text);
      if (const std::string why = wrong ? wrong(one) : ""; !why.empty()) return why;
    }
    return {};
  };
  return command->add_option_function<std::vector<std::string>>(name, take, help)
      ->allow_extra_args(false)
      ->check(CLI::Validator(check, ""));
}

void add_sources(CLI::App* command, const std::string& name, std::vector<std::string>& sources,
                 const std::string& rest) {
  add_list(command, name, sources,
           "Text files, and self: the model writes its own; several, with commas, share the tokens "
           "evenly" +
               rest)
      ->type_name("SOURCE[,SOURCE...]")
      ->default_str("self");
}

CLI::Validator range(int64_t least, int64_t most) {
  return CLI::Range(least, most).description("");
}

CLI::Validator something() {
  return CLI::Validator([](const std::string& text) { return text.empty() ? "nothing given" : ""; },
                        "");
}

Result<uint64_t> parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  std::erase(unit, ' ');
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (unit.ends_with('b')) unit.pop_back();
  const bool binary = unit.ends_with('i');
  if (binary) unit.pop_back();
  constexpr std::string_view kUnits = "kmgt";
  const size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
  value *= std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power));
  if (error != std::errc() || unit.size() > 1 || (!unit.empty() && power == 0) ||
      (binary && unit.empty()) || !(value >= 1 && value < 0x1p62))
    return fail("{} is no size; wanted a number of bytes, as in 800000, 60MB or 1.5GiB", text);
  return static_cast<uint64_t>(value);
}

std::string human_bytes(uint64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1000000) return fmt::format("{:.1f} kB", b / 1e3);
  if (bytes < 1000000000) return fmt::format("{:.1f} MB", b / 1e6);
  return fmt::format("{:.2f} GB", b / 1e9);
}

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

}  // namespace planeloom
