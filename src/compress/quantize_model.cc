#include "compress/quantize_model.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "codecs/planes.h"
#include "codecs/rotation.h"
#include "codecs/row_parts.h"
#include "compress/decode_rows.h"
#include "compress/embedding_parts.h"
#include "compress/layer_inputs.h"
#include "compress/quantized_file.h"
#include "compress/workspace.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

/// Linears that read the same input, quantized together on one Hessian.
struct Stage {
  std::vector<Linear> linears;
};
const Stage kStages[] = {{{Linear::kQ, Linear::kK, Linear::kV}},
                         {{Linear::kO}},
                         {{Linear::kGate, Linear::kUp}},
                         {{Linear::kDown}}};

QuantOptions options_of(const QuantizeOptions& o, int64_t layer, Linear linear) {
  if (const auto own = o.own.find({layer, linear}); own != o.own.end()) return own->second;
  QuantOptions quant = o.quant;
  if (const auto bits = o.bits.find(linear); bits != o.bits.end()) quant.bits = bits->second;
  return quant;
}

/// What a matrix's bytes depend on.
std::string describe(const QuantOptions& q) {
  return fmt::format(
      "{} bits {} group {} coefficients {} rounds {} damping {} ridge {} cap {} rows {} refine {} "
      "clip {}",
      q.method, q.bits, q.group, static_cast<int>(q.coefficients), q.rounds, q.damping, q.ridge,
      q.cap_ridge, q.per_row_best, q.refine, q.clip);
}

std::string report_to_json(const ErrorReport& r) {
  nlohmann::json j{{"weight_error", r.weight_error}, {"rounds", r.rounds},
                   {"mean_rounds", r.mean_rounds},   {"unfinished", r.unfinished},
                   {"damping", r.damping},           {"bits_per_weight", r.bits_per_weight}};
  if (r.output_error) j["output_error"] = *r.output_error;
  return j.dump();
}

ErrorReport report_from_json(const std::string& text) {
  const auto j = nlohmann::json::parse(text, nullptr, false);
  ErrorReport r;
  if (!j.is_object()) return r;
  const auto number = [&](const char* key) {
    return j.contains(key) && j[key].is_number() ? j[key].get<double>() : 0.0;
  };
  r.weight_error = number("weight_error");
  r.rounds = static_cast<int>(number("rounds"));
  r.mean_rounds = number("mean_rounds");
  r.unfinished = static_cast<int64_t>(number("unfinished"));
  r.damping = number("damping");
  r.bits_per_weight = number("bits_per_weight");
  if (j.contains("output_error")) r.output_error = number("output_error");
  return r;
}

/// For the file, whose size is promised: as many sources as find room; the report has all.
std::string note_of(const std::string& calibration) {
  constexpr size_t kLongest = 2048;
  if (calibration.size() <= kLongest) return calibration;
  const size_t end = calibration.rfind("; ", kLongest);
  return end == std::string::npos ? "a text of a long name"
                                  : calibration.substr(0, end) + "; and more";
}

/// What a prepared Hessian depends on, and more: bits it does not.
std::string without_bits(QuantOptions quant) {
  quant.bits = 0;
  return describe(quant);
}
using PreparedHessians = std::map<std::string, PreparedHessian>;

/// Everything that the output depends on: weights, method, calibration. Threads and ISA are not in
/// it: they change nothing.
Result<std::string> fingerprint(const Model& model, const QuantizeOptions& o) {
  std::string text = fmt::format(
      "planeloom quantize 13\nmodel {}\n{} rotation {} upstream {} {} guide {} embedding {}\n",
      model_hash(model), describe(o.quant),
      o.rotation_seed ? fmt::format("{}", *o.rotation_seed) : "none", o.upstream,
      o.upstream_damping, o.guide_windows, o.embedding_bits);
  for (const auto& [linear, bits] : o.bits)
    text += fmt::format("bits of linear {}: {}\n", static_cast<int>(linear), bits);
  for (const auto& [at, own] : o.own)
    text += fmt::format("linear {} in layer {}: {}\n", static_cast<int>(at.second), at.first,
                        describe(own));
  if (!reads_text(o)) return text;
  PL_TRY(const std::string source, calibration_fingerprint(o.calibration));
  return text + source;
}

/// What can be told of the calibration text before any work: a file that is not there or too short.
Status check_text(const Model& model, const CalibrationOptions& options) {
  PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
  return check_calibration(*tokenizer, options);
}

/// The group for a linear of `cols` columns.
Result<int> group_for(const QuantOptions& o, const std::string& name, int64_t cols) {
  const int group = fitting_group(o.group, cols);
  if (group > 0) return group;
  return fail(
      "[quantize] {}: {} columns are no multiple of any group (32, 64, 96, 128, 192, 256) up to {}",
      name, cols, o.group);
}

QuantOptions embedding_options(int bits) {
  QuantOptions quant;
  quant.method = "trellis";
  quant.bits = bits;
  return quant;
}

/// What can be told before any work: a width that no group divides or that has no rotation.
Status check_widths(const Model& model, const QuantizeOptions& o) {
  for (const Linear linear : kBlockLinears) {
    const int64_t cols = model.layers[0].at(linear).cols;
    if (o.rotation_seed) PL_CHECK(Rotation::make(cols, *o.rotation_seed));
  }
  if (o.embedding_bits == 0) return {};
  PL_CHECK(embedding_parts(model.embedding, row_weights(model.vocab(), {}), o.embedding_bits));
  PL_CHECK(group_for(embedding_options(1), "token_embd.weight", model.config.width));
  PL_CHECK(Rotation::make(model.config.width, 0));
  return {};
}

uint64_t weights_of(const PackedMatrix& w) { return static_cast<uint64_t>(w.rows * w.cols); }

/// One run: the model whose linears are replaced one after another, and the calibration state.
class Run {
 public:
  Run(const Model& model, const QuantizeOptions& options, const Compute& compute,
      Progress& progress, Workspace workspace)
      : model_(model),
        has_head_(!model.tied()),
        options_(options),
        compute_(compute),
        progress_(progress),
        workspace_(std::move(workspace)) {
    options_.quant.isa = compute.kernels->isa;
    for (int64_t l = 0; l < model_.config.layers; ++l)
      for (const auto& [name, w] : matrices(l)) total_ += weights_of(*w);
    if (options_.embedding_bits == 0) return;
    ends_.push_back({"token_embd.weight", &model_.embedding, {}, {}});
    if (has_head_) ends_.push_back({"output.weight", &model_.head, {}, {}});
    for (const End& end : ends_) total_ += weights_of(*end.whole);
  }

  /// Reads the calibration text, or lets the model write it.
  Result<CalibrationText> calibration() {
    if (options_.text) return std::move(*options_.text);
    PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model_.file->metadata()));
    return calibration_text(model_, *tokenizer, compute_, options_.calibration, &workspace_,
                            progress_);
  }

  /// Embeds it, where there is one.
  Status prepare() {
    if (!reads_text(options_)) return {};
    PL_TRY(CalibrationText text, calibration());
    summary.calibration = text.description;
    summary.calibration_tokens = static_cast<int64_t>(text.tokens.size());
    if (options_.guide_windows > 0) {
      PL_TRY(outputs_, options_.learn_outputs(model_, text.first(options_.guide_windows)));
    }
    std::optional<double> damping;
    if (options_.upstream > 0) damping = options_.upstream_damping;
    PL_TRY(inputs_, LayerInputs::create(model_, std::move(text), rotations_, damping, compute_));
    return {};
  }

  /// Quantizes or restores one layer and moves the hidden states past it.
  Status layer(int64_t layer) {
    PL_CHECK(restore_or(layer, [&]() -> Status {
      for (const Stage& stage : kStages) PL_CHECK(quantize_stage(layer, stage));
      return {};
    }));
    if (inputs_) inputs_->pass(layer);
    return {};
  }

  Status layers() {
    for (const Linear linear : kBlockLinears) {
      if (!options_.rotation_seed) break;
      const int64_t cols = linear_shape(model_.config, linear).cols;
      PL_TRY(rotations_[cols], Rotation::make(cols, *options_.rotation_seed));
    }
    PL_CHECK(prepare());
    for (int64_t l = 0; l < model_.config.layers; ++l) PL_CHECK(layer(l));
    return options_.embedding_bits > 0 ? embedding_and_head() : Status{};
  }

  /// After an error: what is saved stays for the next run.
  void leave() const { workspace_.remove_unless_used(); }

  Status write(const std::filesystem::path& out) {
    std::map<std::string, const PackedMatrix*> quantized;
    for (int64_t l = 0; l < model_.config.layers; ++l)
      for (const auto& [name, w] : matrices(l)) quantized[name] = w;
    for (const End& end : ends_)
      if (!end.stays()) quantized[end.name] = end.whole;
    const std::filesystem::path partial = workspace_.path("out.gguf");
    PL_CHECK(write_quantized(
        *model_.file, quantized,
        {{"planeloom.method", method()}, {"planeloom.calibration", note_of(summary.calibration)}},
        partial));
    std::error_code error;
    std::filesystem::rename(partial, out, error);
    if (error) return fail("[quantize] cannot rename to {}: {}", out.string(), error.message());
    return options_.keep_partial ? Status{} : workspace_.remove();
  }

  QuantizeSummary summary;

 private:
  std::string method() const {
    for (const auto& [at, own] : options_.own)
      if (own.method != options_.quant.method) return "mixed";
    return options_.quant.method;
  }

  /// The embedding or a head apart from it, and which of its rows have how many bits.
  struct End {
    std::string name;
    PackedMatrix* whole;
    std::vector<RowPart> rows;
    std::vector<PackedMatrix> parts;
    bool stays() const { return rows.size() == 1 && rows[0].bits == 0; }
    std::string part(size_t i) const { return parts.size() == 1 ? name : part_name(name, i); }
  };

  /// What is quantized and saved together: the linears of a layer; after the last layer the
  /// embedding and, where it is not the same, the head, but for rows that stay as they came.
  std::vector<std::pair<std::string, PackedMatrix*>> matrices(int64_t layer) {
    std::vector<std::pair<std::string, PackedMatrix*>> all;
    if (layer == model_.config.layers) {
      for (End& end : ends_)
        for (size_t i = 0; i < end.parts.size(); ++i)
          if (end.rows[i].bits > 0) all.emplace_back(end.part(i), &end.parts[i]);
      return all;
    }
    for (const Linear linear : kBlockLinears)
      all.emplace_back(linear_name(layer, linear),
                       &model_.layers[static_cast<size_t>(layer)].at(linear));
    return all;
  }

  /// Takes a layer's matrices from OUT.partial, or quantizes them and puts them there.
  Status restore_or(int64_t layer, FunctionRef<Status()> quantize) {
    auto saved = workspace_.load_layer(layer);
    if (saved && fits(layer, *saved)) {
      ++summary.resumed_layers;
      for (const auto& s : saved->linears) done_ += weights_of(s.matrix);
    } else {
      entries_.clear();
      entries_.reserve(matrices(layer).size());  // the model's views into them must stay valid
      PL_CHECK(quantize());
      PL_CHECK(workspace_.save_layer(layer, entries_));
      saved = workspace_.load_layer(layer);
    }
    if (!saved || !fits(layer, *saved))
      return fail("[quantize] {}: layer {} cannot be read back", workspace_.path("").string(),
                  layer);
    adopt(layer, std::move(*saved));
    return {};
  }

  /// The rotation of linears that read so many values, or null.
  const Rotation* rotation(int64_t cols) const {
    const auto found = rotations_.find(cols);
    return found == rotations_.end() ? nullptr : found->second.get();
  }
  PackedMatrix rotated(PackedMatrix w) const {
    if (const auto found = rotations_.find(w.cols); found != rotations_.end())
      w.rotation = found->second;
    return w;
  }

  /// How one linear is quantized.
  Result<QuantOptions> own_options(int64_t layer, Linear linear) const {
    QuantOptions quant = options_of(options_, layer, linear);
    quant.isa = options_.quant.isa;
    PL_TRY(quant.group,
           group_for(quant, linear_name(layer, linear), linear_shape(model_.config, linear).cols));
    return quant;
  }

  /// What the text says of a stage's linears.
  struct StageInputs {
    PreparedHessians hessians;
    /// What is quantized instead of the weights, where errors upstream matter: (rows, cols).
    std::map<Linear, std::vector<float>> targets;
  };

  /// What was seen of the text is gone when it returns, and what targets took before Hessians are
  /// prepared: of wide linears each takes gigabytes.
  Result<StageInputs> prepare_stage(int64_t layer, const Stage& stage) {
    StageInputs made_of;
    if (!inputs_) return made_of;
    PL_TRY(LayerInputs::Seen seen, inputs_->before(layer, stage.linears[0]));
    if (seen.target) {
      for (const Linear linear : stage.linears) {
        PL_CHECK(go_on(linear_name(layer, linear)));
        const PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear);
        std::vector<float>& target = made_of.targets[linear];
        decode_rows(compute_, w, 0, w.rows, rotation(w.cols), target);
        seen.target->apply(compute_, options_.upstream, w.rows, target);
      }
      seen.target.reset();
    }
    for (const Linear linear : stage.linears) {
      PL_TRY(const QuantOptions quant, own_options(layer, linear));
      const auto [at, fresh] = made_of.hessians.try_emplace(without_bits(quant));
      if (!fresh) continue;
      auto made = prepare_hessian(seen.hessian, linear_shape(model_.config, linear).cols, quant,
                                  *compute_.pool);
      if (!made)
        return fail("[quantize] what {} reads: {}; is the embedding, a norm or a linear damaged?",
                    linear_name(layer, linear), made.error().message);
      at->second = std::move(*made);
    }
    return made_of;
  }

  Status quantize_stage(int64_t layer, const Stage& stage) {
    PL_TRY(StageInputs inputs, prepare_stage(layer, stage));
    for (const Linear linear : stage.linears) {
      PackedMatrix& w = model_.layers[static_cast<size_t>(layer)].at(linear);
      PL_TRY(const QuantOptions quant, own_options(layer, linear));
      const auto hessian = inputs.hessians.find(without_bits(quant));
      const auto target = inputs.targets.find(linear);
      std::optional<PreparedHessian> outputs;
      if (const SecondMoments* moments = outputs_ ? outputs_->at(layer, linear) : nullptr) {
        PL_TRY(outputs,
               prepare_outputs(moments->hessian(), w.rows, compute_.kernels->isa, *compute_.pool));
      }
      const PackedMatrix original = w;
      PL_CHECK(quantize_rows(original, 0, linear_name(layer, linear), w, quant,
                             hessian == inputs.hessians.end() ? nullptr : &hessian->second,
                             outputs ? &*outputs : nullptr,
                             target == inputs.targets.end() ? nullptr : &target->second));
    }
    return {};
  }

  /// An error after Ctrl-C.
  Status go_on(const std::string& name) {
    if (interrupted())
      return fail("[quantize] interrupted before {}; run the same command again to go on", name);
    progress_.update("quantize", done_, total_);
    return {};
  }

  /// w: rows `first` ... of `from`, so many as it says that it has, becomes what they, or `target`,
  /// whose memory is given back, are quantized to.
  Status quantize_rows(const PackedMatrix& from, int64_t first, const std::string& name,
                       PackedMatrix& w, const QuantOptions& quant, const PreparedHessian* hessian,
                       const PreparedHessian* outputs = nullptr,
                       std::vector<float>* target = nullptr) {
    PL_CHECK(go_on(name));
    if (target)
      weights_ = std::move(*target);
    else
      decode_rows(compute_, from, first, w.rows, rotation(w.cols), weights_);
    LayerInput input{weights_, w.rows, w.cols};
    input.prepared = hessian;
    input.outputs = outputs;
    auto result = quantize_layer(input, quant, *compute_.pool);
    if (!result) return fail("[quantize] {}: {}", name, result.error().message);
    entries_.push_back({name, std::move(result->matrix), report_to_json(result->report)});
    w = rotated(entries_.back().matrix.view());
    done_ += weights_of(w);
    return {};
  }

  /// A head's Hessian comes from what all layers give. Of an embedding apart from it nothing is
  /// known: all its columns count alike.
  Status embedding_and_head() {
    const int64_t layers = model_.config.layers, cols = model_.config.width;
    PL_TRY(rotations_[cols],
           Rotation::make(cols, options_.rotation_seed.value_or(
                                    static_cast<uint32_t>(options_.calibration.seed))));
    PL_CHECK(plan_ends());
    PL_CHECK(restore_or(layers, [&]() -> Status {
      std::optional<PreparedHessian> hessian;
      if (inputs_) {
        QuantOptions quant = embedding_options(1);
        quant.isa = options_.quant.isa;
        PL_TRY(quant.group, group_for(quant, "token_embd.weight", cols));
        PL_TRY(hessian, prepare_hessian(inputs_->before_head(), cols, quant, *compute_.pool));
      }
      for (End& end : ends_) {
        const bool reads = hessian && (!has_head_ || end.whole == &model_.head);
        PL_CHECK(quantize_end(end, reads ? &*hessian : nullptr));
      }
      return {};
    }));
    for (End& end : ends_) {
      if (end.parts.size() == 1) {
        *end.whole = end.parts[0];
        continue;
      }
      PL_TRY(*end.whole, join_rows(end.parts));
    }
    if (!has_head_) model_.head = model_.embedding;
    return {};
  }

  Status plan_ends() {
    std::span<const int32_t> text;
    if (inputs_) text = inputs_->text().tokens;
    const std::vector<double> weights = row_weights(model_.vocab(), text);
    for (End& end : ends_) {
      PL_TRY(end.rows, embedding_parts(*end.whole, weights, options_.embedding_bits));
      int64_t first = 0;
      for (const RowPart& part : end.rows) {
        PackedMatrix& w = end.parts.emplace_back();
        if (part.bits == 0)
          w = slice_rows(*end.whole, first, part.rows);
        else
          w.rows = part.rows, w.cols = end.whole->cols;
        first += part.rows;
      }
    }
    return {};
  }

  Status quantize_end(End& end, const PreparedHessian* hessian) {
    int64_t first = 0;
    for (size_t i = 0; i < end.rows.size(); ++i) {
      QuantOptions quant = embedding_options(end.rows[i].bits);
      quant.isa = options_.quant.isa;
      PL_TRY(quant.group, group_for(quant, end.name, end.whole->cols));
      if (quant.bits > 0)
        PL_CHECK(quantize_rows(*end.whole, first, end.part(i), end.parts[i], quant, hessian));
      first += end.rows[i].rows;
    }
    return {};
  }

  /// Whether it is this layer of this model.
  bool fits(int64_t layer, const Workspace::SavedLayer& saved) {
    const auto wanted = matrices(layer);
    return std::ranges::equal(saved.linears, wanted, [](const auto& s, const auto& w) {
      return s.name == w.first && s.matrix.rows == w.second->rows &&
             s.matrix.cols == w.second->cols;
    });
  }

  /// Makes the model read the saved layer.
  void adopt(int64_t layer, Workspace::SavedLayer saved) {
    const auto to = matrices(layer);
    for (size_t i = 0; i < to.size(); ++i) {
      const auto& [name, report, matrix] = saved.linears[i];
      *to[i].second = rotated(matrix);
      summary.tensors.push_back({name, std::string(matrix.codec->name()), layer, matrix.rows,
                                 matrix.cols, report_from_json(report)});
    }
    finished_.push_back(std::move(saved));
  }

  Model model_;
  const bool has_head_;            // apart from the embedding
  std::vector<End> ends_;          // that are to be quantized
  uint64_t done_ = 0, total_ = 0;  // weights
  QuantizeOptions options_;
  const Compute& compute_;
  Progress& progress_;
  Workspace workspace_;
  Rotations rotations_;                   // when rotating
  std::unique_ptr<LayerInputs> inputs_;   // with a calibration text
  std::optional<OutputMoments> outputs_;  // when guided
  std::vector<float> weights_;            // one matrix, decoded
  std::vector<Workspace::Entry>
      entries_;  // the layer being quantized, in the order of kBlockLinears
  std::vector<Workspace::SavedLayer> finished_;  // every layer before it, mapped
};

}  // namespace

bool reads_text(const QuantizeOptions& o) {
  return !o.calibration.none() && reads_hessian(o.quant);
}

Result<QuantizeSummary> quantize_model(const Model& model, const std::filesystem::path& out,
                                       const QuantizeOptions& options, const Compute& compute,
                                       Progress& progress) {
  const auto start = std::chrono::steady_clock::now();
  PL_CHECK(check_output(out));
  PL_CHECK(check_options(options.quant));
  for (int64_t l = 0; l < model.config.layers; ++l)
    for (const Linear linear : kBlockLinears) {
      const QuantOptions own = options_of(options, l, linear);
      PL_CHECK(check_options(own));
      PL_CHECK(group_for(own, linear_name(l, linear), model.layers[0].at(linear).cols));
    }
  PL_CHECK(check_widths(model, options));
  if (!(options.upstream >= 0 && options.upstream <= 1) || !(options.upstream_damping > 0))
    return fail("[quantize] upstream {}, damping {}; 0 to 1 and above 0 wanted", options.upstream,
                options.upstream_damping);
  if (options.upstream > 0 && !reads_text(options))
    return fail("[quantize] upstream with {}, which reads no calibration text",
                options.quant.method);
  if (options.guide_windows > 0 && (!reads_text(options) || !options.learn_outputs))
    return fail("[quantize] guide with {}, which reads no calibration text", options.quant.method);
  PL_TRY(const std::string print, fingerprint(model, options));
  // Told before a folder is made.
  if (reads_text(options)) PL_CHECK(check_text(model, options.calibration));
  PL_TRY(Workspace workspace, Workspace::open(out.string() + ".partial", print));
  Run run(model, options, compute, progress, std::move(workspace));
  if (Status done = run.layers(); !done) {
    run.leave();
    return tl::unexpected<Error>(std::move(done).error());
  }
  progress.update("quantize", 1, 1);
  PL_CHECK(run.write(out));
  QuantizeSummary summary = std::move(run.summary);
  PL_TRY(const Model written, load_model(out));
  summary.bits_per_weight_linear = linear_size(written).bits_per_weight();
  if (options.embedding_bits > 0)
    summary.bits_per_weight_embedding =
        8.0 * static_cast<double>(byte_size(written.embedding)) /
        static_cast<double>(written.embedding.rows * written.embedding.cols);
  summary.file_bytes = written.file->file_bytes();
  summary.bits_per_weight_file =
      8.0 * static_cast<double>(summary.file_bytes) / static_cast<double>(parameter_count(written));
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace planeloom
