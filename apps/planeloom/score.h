// Scoring a model on a text: what `perplexity` and `demo` share.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "eval/perplexity.h"

namespace planeloom {

struct ScoreOptions {
  WindowOptions windows;
  SessionOptions session;
};

struct ScoredModel {
  TextScore score;
  double bits_per_weight_linear = 0, bits_per_weight_file = 0;
  uint64_t file_bytes = 0;
};

/// An error unless both models read the text as the same tokens: only then can they be compared.
Status check_same_tokens(const std::filesystem::path& path, const std::filesystem::path& reference,
                         const std::string& text);

/// Runs the reference over the text and keeps its distributions.
Result<std::unique_ptr<LogitStore>> record_reference(const std::filesystem::path& model,
                                                     const std::string& text,
                                                     const ScoreOptions& options,
                                                     const Compute& compute, Progress& progress);

/// reference may be null.
Result<ScoredModel> score_model(const std::filesystem::path& model, const std::string& text,
                                const ScoreOptions& options, const Compute& compute,
                                const LogitStore* reference, Progress& progress);

/// "perplexity 23.0100 ± ... over ... predictions", and the divergence where there is one: a line
/// each.
std::string score_sentence(const ScoredModel& scored, const WindowOptions& windows);

/// The documented keys of `perplexity --json`.
nlohmann::ordered_json score_json(const ScoredModel& scored);

}  // namespace planeloom
