// planeloom quantize: every linear of a model to bit-planes or trit-planes.
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "allocate.h"
#include "base/console.h"
#include "base/file.h"
#include "base/report.h"
#include "codecs/trellis.h"
#include "commands.h"
#include "common.h"
#include "compress/awq.h"
#include "compress/memory.h"
#include "compress/quantize_model.h"
#include "compress/size_budget.h"
#include "distill_options.h"
#include "score.h"
#include "train/output_gradients.h"

namespace planeloom {
namespace {

struct Options {
  std::string model, out;
  QuantizeOptions quantize;
  bool awq = false;    // scale, then round as a clipped rtn does
  std::string size;    // of the file; empty: as --bpw says
  std::string memory;  // empty: as much as it takes
  double bpw = 0;      // 0: as the method and --bits say
  AllocateOptions allocate;
  std::vector<std::string> bits_for;
  int group = 0;  // 0: the method's published one
  int64_t calibration_tokens = 16384, guide_tokens = 0;
  bool guide_if_small = false;  // unless asked for: kChosenGuide, where the model is made for it
  bool json = false, force = false;
  bool rotate = false, no_rotate = false;  // neither: what the method is made for
  DistillOptions distill;                  // afterwards, when it has minutes or steps
  int64_t distill_tokens = 65536;
  std::string score_file;  // empty: not scored
  int64_t score_windows = 20;

  bool distills() const { return distill.minutes != 0 || distill.steps > 0; }
};

/// What --bpw and --size read when they choose the method: as much as leaves SmolLM2 below ten
/// minutes on two cores (docs/trellis.md). A guide only where its moments take no more than this:
/// models of up to some half a billion parameters.
constexpr int64_t kChosenTokens = 12288, kChosenGuide = 4096;
constexpr uint64_t kChosenGuideBytes = uint64_t{1} << 30;
constexpr const char* kChosenMeasure =
    "kinds";  // the best of those that read weights alone (docs/allocation.md)

/// "down=3"; none of what is not written so.
std::optional<std::pair<Linear, int>> linear_bits(const std::string& pair) {
  constexpr std::string_view kNames[] = {"q", "k", "v", "o", "gate", "up", "down"};
  const size_t equals = pair.find('=');
  const auto name = std::ranges::find(kNames, std::string_view(pair).substr(0, equals));
  if (equals == std::string::npos || name == std::end(kNames) || pair.size() != equals + 2 ||
      pair.back() < '1' || pair.back() > '4')
    return {};
  return {{kBlockLinears[name - std::begin(kNames)], pair.back() - '0'}};
}

Report make_report(const Options& o, const QuantizeSummary& s,
                   const std::optional<Allocation>& allocation,
                   const std::optional<DistillSummary>& distilled, AppContext& context) {
  Report r;
  const bool mixed = std::ranges::any_of(o.quantize.own, [&](const auto& own) {
    return own.second.method != o.quantize.quant.method;
  });
  const std::string method = o.awq ? "awq" : mixed ? "mixed" : o.quantize.quant.method;
  r.title = mixed ? fmt::format("Quantization in forms by {}", o.allocate.metric)
                  : fmt::format("Quantization with {}", method);
  r.config = {{"model", o.model}, {"method", method}};
  if (allocation)
    r.config.emplace_back("forms", fmt::format("{}", fmt::join(allocation->forms, ", ")));
  else
    r.config.insert(r.config.end(), {{"bits", std::to_string(o.quantize.quant.bits)},
                                     {"group", std::to_string(o.quantize.quant.group)}});
  r.config.emplace_back("calibration", s.calibration);
  if (o.quantize.upstream > 0)
    r.config.emplace_back("upstream", fmt::format("{}", o.quantize.upstream));
  if (o.quantize.guide_windows > 0)
    r.config.emplace_back(
        "guide tokens", std::to_string(o.quantize.guide_windows * o.quantize.calibration.context));
  if (o.quantize.embedding_bits > 0)
    r.config.emplace_back("bits of embedding and head, at most",
                          fmt::format("{:.3f}", o.quantize.embedding_bits));
  if (s.calibration_tokens) r.seed = o.quantize.calibration.seed;
  r.environment = host_environment(context.threads(), context.isa());
  Table tensors{"Linears",
                {{"tensor", false},
                 {"codec", false},
                 {"shape"},
                 {"bits/weight"},
                 {"weight error"},
                 {"output error"},
                 {"rounds"}},
                {}};
  Plot plot{"Error by layer",
            "layer",
            !s.tensors.empty() && s.tensors[0].error.output_error ? "relative output error"
                                                                  : "relative weight error",
            false,
            true,
            {}};
  for (const TensorReport& t : s.tensors) {
    const double error = t.error.output_error.value_or(t.error.weight_error);
    tensors.rows.push_back(
        {t.name, t.codec, fmt::format("{} x {}", t.rows, t.cols),
         fmt::format("{:.4f}", t.error.bits_per_weight),
         fmt::format("{:.4f}", t.error.weight_error),
         t.error.output_error ? fmt::format("{:.5f}", *t.error.output_error) : "-",
         std::to_string(t.error.rounds)});
    if (!t.name.starts_with("blk.")) continue;  // embedding and head are in no layer
    const std::string kind = t.name.substr(t.name.find('.', 4) + 1);
    auto series = std::find_if(plot.series.begin(), plot.series.end(),
                               [&](const Series& x) { return x.name == kind; });
    if (series == plot.series.end()) series = plot.series.insert(series, Series{kind, {}, true});
    series->points.push_back({static_cast<double>(t.layer), error, ""});
  }
  r.tables.push_back(std::move(tensors));
  r.plots.push_back(std::move(plot));
  if (allocation) {
    r.config.emplace_back("allocated by", o.allocate.metric);
    r.tables.push_back(allocation_table(*allocation));
    r.plots.push_back(allocation_plot(*allocation));
  }
  r.results = {{"method", method},
               {"rotated", o.quantize.rotation_seed.has_value()},
               {"bits_per_weight_linear", s.bits_per_weight_linear},
               {"bits_per_weight_file", s.bits_per_weight_file},
               {"file_bytes", s.file_bytes},
               {"seconds", s.seconds},
               {"calibration_tokens", s.calibration_tokens},
               {"resumed_layers", s.resumed_layers},
               {"peak_rss_bytes", peak_rss_bytes()}};
  if (s.bits_per_weight_embedding > 0)
    r.results["bits_per_weight_embedding"] = s.bits_per_weight_embedding;
  if (allocation) {
    r.results["allocated_by"] = o.allocate.metric;
    r.results["allocation"] = allocation_json(*allocation);
  }
  if (distilled) {
    r.config.emplace_back("distilled on", distilled->text);
    r.plots.push_back(distill_plot(*distilled));
    r.results["distill"] = distill_results(*distilled);
  }
  return r;
}

/// The model as awq has scaled it, until it is quantized.
std::filesystem::path awq_scaled(const Options& o) { return o.out + ".awq"; }

/// Where the quantized model lies before it is distilled, and until then.
std::filesystem::path undistilled(const Options& o) { return o.out + ".undistilled"; }

Result<DistillSummary> distill_after(Options& o, const Model& model, const Compute& compute,
                                     Progress& progress) {
  o.distill.text = o.quantize.calibration;
  o.distill.text.windows = std::max<int64_t>(1, o.distill_tokens / o.distill.text.context);
  PL_TRY(const Model quantized, load_model(undistilled(o)));
  PL_TRY(DistillSummary summary, distill(model, quantized, o.out, o.distill, compute, progress));
  std::error_code error;  // what is left over is only in the way
  std::filesystem::remove(undistilled(o), error);
  std::filesystem::remove_all(undistilled(o).string() + ".partial", error);
  return summary;
}

/// What can be told before the work: whether the text has a window to score.
Status check_score_text(const Options& o, const Model& model, const std::string& text) {
  const WindowOptions windows;
  PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
  if (window_count(static_cast<int64_t>(tokenizer->encode(text).size()), windows) > 0) return {};
  return fail("[quantize] --score {}: less than one window of {} tokens", o.score_file,
              windows.context);
}

/// What is left of the model, on a text: the written file against the one that came.
Result<ScoredModel> score_after(const Options& o, const std::filesystem::path& original,
                                const std::string& text, const Compute& compute,
                                Progress& progress) {
  ScoreOptions options;
  options.windows.windows = o.score_windows;
  options.session.activations = ActivationMode::kFloat;
  PL_TRY(const auto reference, record_reference(original, text, options, compute, progress));
  options.session.activations = ActivationMode::kInt8;
  return score_model(o.out, text, options, compute, reference.get(), progress);
}

/// What --bpw or --size leave for the linears, and what each of them may be.
struct Share {
  std::vector<Form> forms;  // empty: as --bits say
  double bits_per_weight = 0;
};

/// The method as it is set up, of one to four bits.
std::vector<Form> forms_of(const QuantOptions& quant) {
  std::vector<Form> forms;
  for (int bits = 1; bits <= kMaxTrellisBits; ++bits) {
    Form& form = forms.emplace_back(Form{fmt::format("{}{}", quant.method, bits), quant});
    form.quant.bits = bits;
  }
  return forms;
}

Result<Share> share_of(Options& o, const Model& model) {
  Share share{{}, o.bpw};
  const bool named = !o.allocate.metric.empty();
  if (named) {
    PL_TRY(share.forms, parse_forms(o.allocate.forms));
  } else if (o.bpw != 0 || !o.size.empty()) {
    o.allocate.metric = kChosenMeasure;
    share.forms = forms_of(o.quantize.quant);
  }
  if (!o.size.empty()) {
    PL_TRY(const uint64_t bytes, parse_bytes(o.size));
    PL_TRY(const SizeBudget whole, within_bytes(model, bytes, share.forms));
    o.quantize.embedding_bits = whole.embedding_bits;
    share.bits_per_weight = whole.bits_per_weight;
  }
  if (share.forms.empty()) return share;
  PL_CHECK(check_budget(model, share.forms, share.bits_per_weight));
  // One bit is far from what the measure was fitted to: not where two fit.
  const std::vector<Form> two(share.forms.begin() + 1, share.forms.end());
  if (!named && check_budget(model, two, share.bits_per_weight)) share.forms = two;
  o.quantize.quant = share.forms[0].quant;
  const auto bytes = [](const Form& f) { return f.quant.coefficients == Coefficients::kByte; };
  if (const auto form = std::ranges::find_if(share.forms, bytes);
      o.distills() && form != share.forms.end())
    return fail("[quantize] --distill tunes fp16 scales: not with --choices {}", form->name);
  PL_TRY(const BitsRange range, bits_range(model, share.forms));
  if (share.bits_per_weight > range.most + 0.005)
    note(
        "all linears have the most that their forms take, {:.3f} bits per weight; there is room "
        "for {:.3f}\n",
        range.most, share.bits_per_weight);
  return share;
}

Status run(Options& o) {
  QuantOptions& quant = o.quantize.quant;
  quant.group = o.group > 0 ? o.group : quant.method == "ptqtp" ? 128 : 64;
  CalibrationOptions& calibration = o.quantize.calibration;
  calibration.windows = std::max<int64_t>(1, o.calibration_tokens / calibration.context);
  PL_TRY(auto context, AppContext::create());
  PL_TRY(const auto path, resolve_model(o.model));
  PL_CHECK(check_new_file("quantize", o.out, std::span(&path, 1), o.force));
  PL_TRY(const std::string score_text,
         o.score_file.empty() ? std::string() : read_input(o.score_file));
  PL_TRY(Model model, load_model(path));
  if (!o.score_file.empty()) PL_CHECK(check_score_text(o, model, score_text));
  TerminalProgress progress;
  if (o.awq) {
    PL_CHECK(
        write_awq_scaled(model, awq_scaled(o), calibration, quant, context->compute(), progress));
    PL_TRY(model, load_model(awq_scaled(o)));
  }
  PL_TRY(const Share share, share_of(o, model));
  if (o.guide_if_small && has_output_gradients(model) &&
      OutputMoments::bytes(model) <= kChosenGuideBytes)
    o.guide_tokens = kChosenGuide;
  o.quantize.guide_windows = (o.guide_tokens + calibration.context - 1) / calibration.context;
  if (o.quantize.guide_windows > 0)
    o.quantize.learn_bytes = output_gradients_bytes(model, calibration.context);
  if (!o.memory.empty()) {
    PL_TRY(const uint64_t bytes, parse_bytes(o.memory));
    auto windows = windows_within(model, o.quantize, bytes);
    if (!windows && o.guide_if_small) {  // nobody asked for a guide
      o.quantize.guide_windows = 0;
      windows = windows_within(model, o.quantize, bytes);
    }
    PL_TRY(calibration.windows, windows);
  }
  o.quantize.guide_windows = std::min(o.quantize.guide_windows, calibration.windows);
  std::optional<Allocation> allocation;
  if (!o.allocate.metric.empty()) {
    PL_TRY(allocation, allocate_bits(model, o.allocate, share.forms, share.bits_per_weight,
                                     context->compute(), progress, o.quantize));
  }
  o.quantize.learn_outputs = [&](const Model& original, const CalibrationText& text) {
    return output_gradients(original, text, calibration.seed, context->compute(), progress);
  };
  o.quantize.keep_partial = o.distills();
  PL_TRY(QuantizeSummary summary,
         quantize_model(model, o.distills() ? undistilled(o) : std::filesystem::path(o.out),
                        o.quantize, context->compute(), progress));
  progress.finish();
  std::error_code error;
  if (o.awq) std::filesystem::remove(awq_scaled(o), error);
  std::optional<DistillSummary> distilled;
  if (o.distills()) {
    PL_TRY(distilled, distill_after(o, model, context->compute(), progress));
    progress.finish();
    summary.seconds += distilled->seconds;
    summary.file_bytes = std::filesystem::file_size(o.out, error);
  }
  Report report = make_report(o, summary, allocation, distilled, *context);
  PL_CHECK(save(report, o.out + ".report"));  // also when scoring is interrupted
  std::optional<ScoredModel> scored;
  if (!o.score_file.empty()) {
    PL_TRY(scored, score_after(o, path, score_text, context->compute(), progress));
    progress.finish();
    report.config.emplace_back("scored on", o.score_file);
    report.results["score"] = score_json(*scored);
    PL_CHECK(save(report, o.out + ".report"));
  }
  if (o.json) {
    nlohmann::ordered_json object{{"path", o.out}};
    object.update(report.results);
    object["isa"] = context->isa();
    object["threads"] = context->threads();
    print_json(object);
  } else {
    const std::string embedding =
        summary.bits_per_weight_embedding > 0
            ? fmt::format(", {:.4f} of the embedding", summary.bits_per_weight_embedding)
            : "";
    fmt::print(
        "{}: {:.4f} bits per linear weight{}, {:.4f} over the file, {}, {:.0f} s\nreport: "
        "{}.report.html\n",
        o.out, summary.bits_per_weight_linear, embedding, summary.bits_per_weight_file,
        human_bytes(summary.file_bytes), summary.seconds, o.out);
    if (distilled) fmt::print("distilled: {}\n", distill_sentence(*distilled));
    if (scored) fmt::print("{}\n", score_sentence(*scored, {}));
  }
  return {};
}

}  // namespace

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Squeeze a model's linear layers to bit-planes, trit-planes or trellis codes");
  auto o = std::make_shared<Options>();
  command->add_option("-m,--model", o->model, "Model: a path or a pulled name")->required();
  command
      ->add_option(
          "-o,--out", o->out,
          "File to write; OUT.partial holds an unfinished run, OUT.report.* says what was lost")
      ->required();
  auto* method =
      command
          ->add_option("--method", o->quantize.quant.method,
                       "rtn, awq, hqq, gptq, bpdq, ptqtp or trellis")
          ->check(CLI::IsMember({"rtn", "awq", "hqq", "gptq", "bpdq", "ptqtp", "trellis"}))
          ->capture_default_str();
  auto* bpw = command
                  ->add_option("--bpw,--target-bpw", o->bpw,
                               "So many bits per weight over the linears at most, every scale "
                               "counted: the best that is known for them, a trellis, or the "
                               "bit-planes of a --method, every linear with bits of its own by "
                               "--allocate kinds unless that names another measure")
                  ->check(CLI::Range(1.0, 8.0));
  auto* size = command
                   ->add_option("--size", o->size,
                                "So large a file at most, as in 60MB: --bpw and --embedding-bits "
                                "are chosen for it")
                   ->type_name("BYTES")
                   ->check(something())
                   ->excludes(bpw);
  add_allocate_options(command, o->allocate);
  auto* bits = command
                   ->add_option("--bits", o->quantize.quant.bits,
                                "Bits per weight, scales not counted (ptqtp always has two "
                                "trit-planes)")
                   ->check(CLI::Range(1, 4))
                   ->capture_default_str();
  add_list(
      command, "--bits-for", o->bits_for,
      "Bits of some linears in every layer instead: q, k, v, o, gate, up or down, for instance "
      "down=3,o=3",
      [](const std::string& pair) {
        return linear_bits(pair) ? ""
                                 : pair +
                                       ": wanted q, k, v, o, gate, up or down, =, and 1 to "
                                       "4 bits, as in down=3";
      })
      ->type_name("NAME=BITS[,NAME=BITS...]");
  command
      ->add_option(
          "--embedding-bits", o->quantize.embedding_bits,
          "Also the embedding and the head, as trellis codes of so many bits per weight at "
          "most, scales counted, rows of common tokens with more than others (default: as "
          "they came)")
      ->check(CLI::Range(1.0, 8.0))
      ->excludes(size);
  command
      ->add_option("--group", o->group,
                   "Columns that share coefficients: 32, 64, 96, 128, 192, 256 (default 64; ptqtp "
                   "128). A narrower one is taken where it does not divide a layer's width")
      ->check(CLI::IsMember({32, 64, 96, 128, 192, 256}));
  command
      ->add_option("--coefficients", o->quantize.quant.coefficients,
                   "How scales are stored: half (fp16, as published), byte (int8 and an exponent: "
                   "fewer bits, faster), tied (ptqtp: one fp16 for both planes, ratio 3:2)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Coefficients>{{"half", Coefficients::kHalf},
                                              {"byte", Coefficients::kByte},
                                              {"tied", Coefficients::kTied}},
          CLI::ignore_case))
      ->type_name("FORM")
      ->default_str("half");
  command->add_flag("--clip", o->quantize.quant.clip,
                    "rtn: search for the best narrower range of each row and group, errors "
                    "weighted by what the calibration text feeds the column");
  auto* rotate =
      command->add_flag("--rotate", o->rotate,
                        "Turn the inputs of every linear by a random Hadamard rotation, which "
                        "evens outliers out; undone when the model runs");
  command->add_flag("--no-rotate", o->no_rotate, "trellis: do not, though it is made for it")
      ->excludes(rotate);
  command
      ->add_option(
          "--refine", o->quantize.quant.refine,
          "bpdq: more starts, and so many passes of coordinate descent after the published "
          "method (2 to 4 are worth their time). ptqtp: the same for trit-planes, whose published "
          "method knows nothing of the inputs; best with --coefficients tied and --rotate")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  auto* upstream =
      command
          ->add_option(
              "--upstream", o->quantize.upstream,
              "gptq, bpdq, trellis, refined ptqtp: how much a linear makes up for what the layers "
              "before it have "
              "lost, "
              "0 to 1. Lowers the loss on text like the calibration text, may raise it on other "
              "text "
              "(default 0; 0.5 where --bpw or --size chooses the method)")
          ->check(CLI::Range(0.0, 1.0));
  add_sources(command, "--calibration", o->quantize.calibration.sources,
              ". none: nothing is known of the inputs");
  auto* guide =
      command
          ->add_option(
              "--guide", o->guide_tokens,
              "Learn from so many tokens which outputs matter to the model together, and let "
              "later rows make up for the errors of earlier ones (default 0; 4096 where --bpw or "
              "--size chooses the method, for models small enough)")
          ->check(CLI::Range(0, 1 << 24));
  auto* tokens =
      command
          ->add_option(
              "--calibration-tokens", o->calibration_tokens,
              "How much of it to read (default 16384; 12288 where --bpw or --size chooses the "
              "method)")
          ->check(CLI::Range(512, 1 << 24));
  command
      ->add_option("--memory", o->memory,
                   "At most so much memory while quantizing, as in 8G, mapped files not counted: "
                   "less of the text is read when it would not fit")
      ->type_name("BYTES");
  auto* minutes =
      command
          ->add_option("--distill", o->distill.minutes,
                       "Afterwards tune the scales and norm gains towards the unquantized model "
                       "for about so many minutes, on more of the calibration text; needs fp16 "
                       "scales (trellis, or --coefficients half)")
          ->check(CLI::Range(0.001, kMostDistillMinutes))
          ->type_name("MINUTES");
  command
      ->add_option("--distill-steps", o->distill.steps,
                   "The same for so many steps: the same bytes each time")
      ->check(CLI::Range(1, 1 << 24))
      ->excludes(minutes);
  command->add_option("--distill-tokens", o->distill_tokens, "How much text --distill reads")
      ->check(CLI::Range(512, 1 << 28))
      ->capture_default_str();
  command
      ->add_option("--score", o->score_file,
                   "Then score a text that calibration has not seen: perplexity, and the KL "
                   "divergence from the unquantized model")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  command->add_option("--score-windows", o->score_windows, "Windows of 512 tokens to score")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("--seed", o->quantize.calibration.seed,
                   "Of the self-written text and the rotation")
      ->capture_default_str();
  command->add_flag("--force", o->force, "Replace OUT when it exists");
  command->add_flag("--json", o->json, "One JSON object instead of text");
  set_examples(command,
               "planeloom quantize -m smollm2-135m-instruct -o smol.gguf --bpw 2.4\n"
               "planeloom quantize -m model.gguf -o small.gguf --size 60MB\n"
               "planeloom quantize -m smollm2-135m-instruct -o smol.bpdq2.gguf --method bpdq "
               "--bits 2 --group 64\n"
               "planeloom quantize -m model.gguf -o out.gguf --method trellis --bits 2 "
               "--calibration prose.txt,code.py,self --distill 20\n"
               "planeloom quantize -m model.gguf -o out.gguf --allocate nsds --bpw 2.3 --choices "
               "trellis2,trellis3,trellis4\n"
               "planeloom quantize -m model.gguf -o out.gguf --method gptq --bits 3 --group 128");
  on_run(command, [o, bits, bpw, size, method, upstream, guide, tokens]() -> Status {
    for (const std::string& pair : o->bits_for) o->quantize.bits.insert(*linear_bits(pair));
    if (!o->allocate.metric.empty()) {
      if (bpw->empty() && size->empty())
        return fail("[quantize] --allocate needs to know how much: --bpw or --size");
      if (!method->empty() || o->group > 0 || o->rotate || o->no_rotate ||
          o->quantize.quant.coefficients != Coefficients::kHalf || o->quantize.quant.refine > 0 ||
          o->quantize.quant.clip)
        return fail(
            "[quantize] --allocate chooses methods and their settings: say which with --choices");
    }
    if (!std::isfinite(o->quantize.embedding_bits))
      return fail("[quantize] --embedding-bits {}: a number of bits wanted",
                  o->quantize.embedding_bits);
    if (!bpw->empty() && !std::isfinite(o->bpw))
      return fail("[quantize] --bpw {}: a number of bits wanted", o->bpw);
    if (!bpw->empty() || !size->empty()) {
      if (!bits->empty() || !o->quantize.bits.empty())
        return fail("[quantize] {} chooses the bits: not with --bits or --bits-for",
                    bpw->empty() ? "--size" : "--bpw");
      if (method->empty()) {
        o->quantize.quant.method = "trellis";
        if (upstream->empty() && !o->quantize.calibration.none()) o->quantize.upstream = 0.5;
        if (tokens->empty()) o->calibration_tokens = kChosenTokens;
        o->guide_if_small = guide->empty() && !o->quantize.calibration.none();
      }
      if (!size->empty() && o->quantize.quant.method != "trellis")
        return fail("[quantize] --size is for a trellis: not with another --method");
      if (o->quantize.quant.method == "ptqtp")
        return fail("[quantize] --bpw does not apply: ptqtp always has two trit-planes");
    }
    if (o->quantize.quant.method == "ptqtp" && (!bits->empty() || !o->quantize.bits.empty()))
      return fail(
          "[quantize] --bits and --bits-for do not apply: ptqtp always has two trit-planes");
    if (o->quantize.quant.method == "trellis" &&
        (o->group > 0 || o->quantize.quant.coefficients != Coefficients::kHalf))
      return fail(
          "[quantize] --group and --coefficients do not apply: a trellis has one scale a row");
    if (o->distills() && o->quantize.quant.coefficients == Coefficients::kByte)
      return fail(
          "[quantize] --distill tunes fp16 scales: not with --coefficients byte; half or tied, or "
          "--method trellis");
    if (o->distills() && o->quantize.calibration.none())
      return fail("[quantize] --distill needs a text: not with --calibration none");
    if (o->quantize.quant.method == "awq") {
      if (o->rotate)
        return fail("[quantize] --rotate mixes the columns that awq scales: one of them, not both");
      o->awq = o->quantize.quant.clip = true;
      o->quantize.quant.method = "rtn";
    }
    if (o->rotate || (o->quantize.quant.method == "trellis" && !o->no_rotate))
      o->quantize.rotation_seed = static_cast<uint32_t>(o->quantize.calibration.seed);
    return run(*o);
  });
}

}  // namespace planeloom
