// planeloom demo: the whole story on one small model: pull, squeeze four ways, ask, measure, one
// table.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/console.h"
#include "base/file.h"
#include "base/report.h"
#include "commands.h"
#include "common.h"
#include "compress/quantize_model.h"
#include "formats/pull.h"
#include "loaded_model.h"
#include "score.h"
#include "text_options.h"

namespace planeloom {
namespace {

struct Options {
  std::string model = "smollm2-135m-instruct", out = "demo",
              question = "What is the capital of France, and what is it known for?", text;
  int64_t windows = 10, calibration_tokens = 8192;
  bool json = false;
};

struct Row {
  std::string name;
  std::filesystem::path path;
  ScoredModel scored;
  std::string answer;
  double decode_tokens_per_second = 0;
};

/// Text that the model writes itself and that calibration never sees (another seed): no data set is
/// needed.
Result<std::string> own_text(const std::filesystem::path& path, int64_t windows,
                             AppContext& context, Progress& progress) {
  PL_TRY(const Model model, load_model(path));
  PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
  CalibrationOptions o;
  o.windows = windows + 1;  // room for another tokenization of the same text
  o.seed = 1000;
  PL_TRY(const CalibrationText text,
         calibration_text(model, *tokenizer, context.compute(), o, nullptr, progress));
  return tokenizer->decode(text.tokens, true);
}

Status answer(Row& row, const Options& o, AppContext& context) {
  PL_TRY(const auto loaded, load_for_text(row.path.string(), true));
  const ChatMessage turns[] = {{"user", o.question}};
  PL_TRY(const auto prompt,
         loaded->chat ? render_turns(*loaded, turns)
                      : Result<std::vector<int32_t>>(loaded->tokenizer->encode(o.question)));
  SessionOptions session_options;
  session_options.context = static_cast<int64_t>(prompt.size()) + 64;
  PL_TRY(const auto session, Session::create(loaded->model, context.compute(), session_options));
  GenerateOptions generate_options;
  generate_options.max_tokens = 48;
  generate_options.sampler.temperature = 0;
  PL_TRY(const GenerationStats stats, generate(*session, *loaded->tokenizer, prompt,
                                               generate_options, [&](std::string_view piece) {
                                                 row.answer += piece;
                                                 return true;
                                               }));
  row.decode_tokens_per_second = stats.decode_tokens_per_second;
  return {};
}

struct Way {
  const char *method, *name;
  int bits, group;
};
constexpr Way kWays[] = {{"rtn", "RTN 2-bit g64", 2, 64},
                         {"bpdq", "BPDQ 2-bit g64", 2, 64},
                         {"ptqtp", "PTQTP g128", 2, 128},
                         {"trellis", "trellis 3-bit", 3, 64}};

Result<Row> quantized(const std::filesystem::path& source, const Way& way, const Options& o,
                      AppContext& context, Progress& progress) {
  QuantizeOptions q;
  q.quant.method = way.method;
  q.quant.bits = way.bits;
  q.quant.group = way.group;
  q.calibration.windows = std::max<int64_t>(1, o.calibration_tokens / q.calibration.context);
  Row row;
  row.name = way.name;
  row.path = std::filesystem::path(o.out) / fmt::format("{}.gguf", way.method);
  PL_TRY(const Model model, load_model(source));
  PL_CHECK(quantize_model(model, row.path, q, context.compute(), progress));
  return row;
}

Report make_report(const std::vector<Row>& rows, const Options& o, AppContext& context) {
  Report r;
  r.title = "Planeloom demo: what the squeeze costs";
  r.config = {{"model", o.model},
              {"question", o.question},
              {"text", o.text.empty() ? "written by the model (seed 1000)" : o.text},
              {"windows", std::to_string(rows[0].scored.score.windows)},
              {"calibration tokens", std::to_string(o.calibration_tokens)}};
  r.seed = 1;
  r.environment = host_environment(context.threads(), context.isa());
  r.notes = {
      "KL and top-1 agreement are against the unquantized model with float activations on the same "
      "text. Bits per weight count every scale. "
      "Only linear layers are quantized; the file also holds the embedding as it came. The shipped "
      "model's own row differs from its reference "
      "by the rounding of activations to int8 alone."};
  Table table{"",
              {{"method", false},
               {"bits/weight linears"},
               {"bits/weight file"},
               {"MB"},
               {"perplexity"},
               {"KL"},
               {"top-1 %"},
               {"tokens/s"}},
              {}};
  Table answers{o.question, {{"method", false}, {"answer (greedy)", false}}, {}};
  Plot quality{"Distance from the unquantized model",
               "bits per weight over the linears",
               "mean KL (nats)",
               false,
               true,
               {{"", {}, false}}};
  Plot bytes{"Perplexity against size", "file size (MB)", "perplexity", false, true,
             {{"", {}, false}}};
  r.results["models"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    const ScoredModel& s = row.scored;
    table.rows.push_back({row.name, fmt::format("{:.3f}", s.bits_per_weight_linear),
                          fmt::format("{:.3f}", s.bits_per_weight_file),
                          fmt::format("{:.1f}", static_cast<double>(s.file_bytes) / 1e6),
                          s.score.perplexity < 1e5 ? fmt::format("{:.2f}", s.score.perplexity)
                                                   : fmt::format("{:.2e}", s.score.perplexity),
                          fmt::format("{:.4f}", s.score.divergence->mean),
                          fmt::format("{:.1f}", 100 * s.score.divergence->top1_agreement),
                          fmt::format("{:.1f}", row.decode_tokens_per_second)});
    answers.rows.push_back({row.name, row.answer});
    quality.series[0].points.push_back(
        {s.bits_per_weight_linear, s.score.divergence->mean, row.name});
    bytes.series[0].points.push_back(
        {static_cast<double>(s.file_bytes) / 1e6, s.score.perplexity, row.name});
    nlohmann::ordered_json j{{"method", row.name}, {"answer", row.answer}};
    j.update(score_json(s));
    j["decode_tokens_per_second"] = row.decode_tokens_per_second;
    r.results["models"].push_back(std::move(j));
  }
  r.tables = {std::move(table), std::move(answers)};
  r.plots = {std::move(quality), std::move(bytes)};
  return r;
}

Status run(const Options& o) {
  PL_TRY(auto context, AppContext::create());
  std::error_code error;
  std::filesystem::create_directories(o.out, error);
  if (error) return fail("[demo] cannot create {}: {}", o.out, error.message());
  TerminalProgress downloads(true), progress;
  auto source = resolve_model(o.model);
  if (!source) source = pull(o.model, {}, downloads);
  downloads.finish();
  PL_CHECK(source);
  PL_TRY(const std::string text,
         o.text.empty() ? own_text(*source, o.windows, *context, progress) : read_input(o.text));

  std::vector<Row> rows{{"as shipped", *source, {}, {}, 0}};
  for (const Way& way : kWays) {
    progress.finish();
    note("quantizing with {}\n", way.method);
    PL_TRY(Row row, quantized(*source, way, o, *context, progress));
    rows.push_back(std::move(row));
  }
  ScoreOptions score;
  score.windows.windows = o.windows;
  ScoreOptions reference_options = score;
  reference_options.session.activations = ActivationMode::kFloat;
  PL_TRY(const auto reference,
         record_reference(*source, text, reference_options, context->compute(), progress));
  for (Row& row : rows) {
    progress.finish();
    note("measuring {}\n", row.name);
    PL_TRY(row.scored,
           score_model(row.path, text, score, context->compute(), reference.get(), progress));
    PL_CHECK(answer(row, o, *context));
    if (interrupted()) return fail("[demo] interrupted; what is quantized stays in {}", o.out);
  }
  progress.finish();
  const Report report = make_report(rows, o, *context);
  const auto prefix = std::filesystem::path(o.out) / "report";
  PL_CHECK(save(report, prefix));
  if (o.json) {
    print_json(to_json(report));
    return {};
  }
  fmt::print("\n{}\n", o.question);
  for (const Row& row : rows) fmt::print("  {}: {}\n", row.name, row.answer);
  fmt::print("\n{}\nreport: {}.html\n", text_table(report.tables[0]), prefix.string());
  return {};
}

}  // namespace

void add_demo(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("demo", "Pull a small model, squeeze it four ways, ask and measure");
  auto o = std::make_shared<Options>();
  command->add_option("-m,--model", o->model, "Model: a path or a name")->capture_default_str();
  command->add_option("-o,--out", o->out, "Folder for the quantized models and the report")
      ->capture_default_str();
  command->add_option("-p,--prompt", o->question, "What to ask")->capture_default_str();
  command->add_option("-f,--file", o->text, "Text to score (default: the model writes one)")
      ->check(CLI::ExistingFile);
  command->add_option("--windows", o->windows, "Windows of 512 tokens to score")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--calibration-tokens", o->calibration_tokens,
                   "Tokens that the model writes for BPDQ and the trellis")
      ->check(CLI::Range(512, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", o->json, "The report as JSON on standard output");
  set_examples(command, "planeloom demo\nplaneloom demo -m gemma-3-270m -o gemma-demo");
  on_run(command, [o] { return run(*o); });
}

}  // namespace planeloom
