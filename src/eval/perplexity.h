#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "eval/logit_store.h"
#include "models/session.h"

namespace planeloom {

/// How a text is cut and scored: llama.cpp's rule, so that figures compare. The text is tokenized
/// once and cut into windows of `context` tokens; with add_bos the first token of each is replaced
/// by BOS; the predictions made at positions context/2 .. context-2 are scored.
struct WindowOptions {
  int64_t context = 512;
  int64_t windows = 0;         // at most so many; 0: all
  std::optional<int32_t> bos;  // set when the model wants BOS
};

/// Distance to a reference model over the scored positions. KL = sum p_ref log(p_ref / p), in nats.
struct Divergence {
  double mean = 0, stderr_mean = 0, median = 0, p99 = 0, maximum = 0;
  double top1_agreement = 0;  // share of positions where both models' likeliest token is the same
};

struct TextScore {
  int64_t windows = 0, tokens = 0;  // tokens: scored predictions
  bool interrupted = false;         // Ctrl-C: fewer windows than asked for
  double perplexity = 0, perplexity_stderr = 0;
  std::optional<Divergence> divergence;
  double prefill_tokens_per_second = 0;  // all tokens read, the head run on the scored half
  uint64_t logits_hash = 0;              // FNV-1a over the bits of every scored row
};

/// How many windows and scored positions a text of `tokens` tokens gives.
int64_t window_count(int64_t tokens, const WindowOptions& options);
int64_t scored_per_window(const WindowOptions& options);

/// Scores `tokens` with a fresh session per window. Ctrl-C ends it with the finished windows'
/// score, or with an error when there is none or the rows are being recorded. A prediction that is
/// no number is an error. With `reference` (rows as recorded by an earlier call with the same
/// tokens and options) also the divergence; with `record` the scored rows are stored there.
Result<TextScore> score_text(const Model& model, const Compute& compute, SessionOptions session,
                             std::span<const int32_t> tokens, const WindowOptions& options,
                             const LogitStore* reference, LogitStore* record, Progress& progress);

/// -log softmax(logits)[target]. `scratch` becomes as long as the row, here and below.
double negative_log_likelihood(const Kernels& kernels, std::span<const float> logits,
                               int32_t target, std::vector<float>& scratch);

/// KL(reference || model) of two rows of logits.
double kl_divergence(const Kernels& kernels, std::span<const float> reference,
                     std::span<const float> model, std::vector<float>& scratch);

/// Mean, standard error, median (nearest rank) and 99th percentile (nearest rank) of per-position
/// values.
Divergence summarise(std::vector<double> kl, int64_t agreements);

}  // namespace planeloom
