// planeloom inspect: what a model file holds and what it needs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "common.h"
#include "formats/planes_pair.h"
#include "inspect_model.h"

namespace planeloom {
namespace {

using nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  int64_t context = 0;
  bool json = false, metadata = false, tensors = false;
};

/// What is said of one plane pair; the tensor table says the same.
bool describes_pair(const std::string& key) {
  return std::ranges::any_of(kWeightKeys, [&](auto prefix) { return key.starts_with(prefix); });
}

void print_metadata(const Metadata& metadata) {
  size_t widest = 0, pairs = 0;
  for (const auto& [key, value] : metadata.entries())
    if (describes_pair(key))
      ++pairs;
    else
      widest = std::max(widest, key.size());
  widest = std::min<size_t>(widest, 48);
  fmt::print("\nMetadata ({})\n", metadata.entries().size());
  for (const auto& [key, value] : metadata.entries())
    if (!describes_pair(key))
      fmt::print("  {:<{}}  {}\n", printable(key, 200), widest, describe(value));
  if (pairs > 0) fmt::print("  ({} entries with the codec and shape of tensors)\n", pairs);
}

void print_tensors(const std::vector<TensorLine>& lines) {
  size_t name = 4, codec = 4, shape = 5;
  for (const TensorLine& t : lines) {
    name = std::max(name, t.name.size());
    codec = std::max(codec, t.codec.size());
    shape = std::max(shape, shape_text(t).size());
  }
  fmt::print("  {:<{}}  {:<{}}  {:>{}}  {:>10}  {:>11}\n", "name", name, "type", codec, "shape",
             shape, "MB", "bits/weight");
  for (const TensorLine& t : lines)
    fmt::print("  {:<{}}  {:<{}}  {:>{}}  {:>10.3f}  {:>11.3f}\n", t.name, name, t.codec, codec,
               shape_text(t), shape, static_cast<double>(t.bytes) / 1e6, t.bits_per_weight());
}

void print_totals(const Totals& totals) {
  const auto line = [](const char* what, const std::string& value) {
    fmt::print("  {:<22} {}\n", what, value);
  };
  line("architecture", totals.architecture);
  line("parameters", grouped(totals.parameters));
  line("file", human_bytes(totals.file_bytes));
  line("bits per weight", fmt::format("{:.3f} over the whole file", totals.bits_per_weight_file));
  if (!totals.problem.empty()) return line("cannot run", totals.problem);
  line("", fmt::format("{:.3f} over the linear layers", totals.bits_per_weight_linear));
  line("trained context", grouped(totals.trained_context));
  line("memory needed", fmt::format("{} at a context of {}", human_bytes(totals.memory_bytes()),
                                    grouped(totals.context)));
  line("", fmt::format("{} weights + {} cache (f16) + {} scratch", human_bytes(totals.weight_bytes),
                       human_bytes(totals.cache_bytes), human_bytes(totals.scratch_bytes)));
}

ordered_json totals_json(const Totals& totals) {
  ordered_json object{{"architecture", totals.architecture},
                      {"parameters", totals.parameters},
                      {"file_bytes", totals.file_bytes},
                      {"bits_per_weight_file", totals.bits_per_weight_file}};
  if (!totals.problem.empty()) {
    object["problem"] = totals.problem;
    return object;
  }
  object["bits_per_weight_linear"] = totals.bits_per_weight_linear;
  object["trained_context"] = totals.trained_context;
  object["context"] = totals.context;
  object["memory_bytes"] = totals.memory_bytes();
  object["memory_weight_bytes"] = totals.weight_bytes;
  object["memory_cache_bytes"] = totals.cache_bytes;
  object["memory_scratch_bytes"] = totals.scratch_bytes;
  return object;
}

ordered_json tensor_json(const TensorLine& t) {
  return {{"name", t.name},
          {"type", t.codec},
          {"shape", t.shape},
          {"bytes", t.bytes},
          {"bits_per_weight", t.bits_per_weight()}};
}

Status run(const InspectOptions& options) {
  PL_TRY(const auto path, resolve_model(options.model));
  PL_TRY(const auto file, ModelFile::open(path));
  const bool all = !options.metadata && !options.tensors;
  const std::vector<TensorLine> lines = tensor_lines(*file);
  const Totals totals = model_totals(file, lines, options.context);
  if (options.json) {
    ordered_json object{{"path", path.string()}};
    if (all) object.update(totals_json(totals));
    if (all || options.metadata)
      for (const auto& [key, value] : file->metadata().entries())
        object["metadata"][key] = meta_json(value);
    if (all || options.tensors)
      for (const TensorLine& t : lines) object["tensors"].push_back(tensor_json(t));
    print_json(object);
    return {};
  }
  fmt::print("{}\n", path.string());
  if (all || options.metadata) print_metadata(file->metadata());
  if (all || options.tensors) {
    fmt::print("\nTensors ({})\n", lines.size());
    print_tensors(lines);
  }
  if (all) {
    fmt::print("\nTotals\n");
    print_totals(totals);
  }
  return {};
}

}  // namespace

void add_inspect(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("inspect", "Metadata, tensors, bits per weight, memory needed");
  auto options = std::make_shared<InspectOptions>();
  command
      ->add_option("model,-m,--model", options->model,
                   "A GGUF file, a Hugging Face folder or a name")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--context", options->context,
                   "Context to plan memory for (default: the trained one, at most 4096)")
      ->check(range(1, int64_t{1} << 24))
      ->type_name("N");
  command->add_flag("--metadata", options->metadata, "Only the metadata");
  command->add_flag("--tensors", options->tensors, "Only the tensors");
  command->add_flag("--json", options->json, "One JSON object; long arrays as their length");
  set_examples(command,
               "planeloom inspect smollm2-135m-instruct --context 8192\n"
               "planeloom inspect model.gguf --tensors");
  on_run(command, [options] { return run(*options); });
}

}  // namespace planeloom
