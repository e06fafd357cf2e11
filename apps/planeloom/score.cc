#include "score.h"

#include <nlohmann/json.hpp>

#include "common.h"
#include "text/tokenizer.h"

namespace planeloom {
namespace {

/// Tokens as llama.cpp's perplexity makes them: special tokens in the text are plain text.
Result<std::vector<int32_t>> text_tokens(const Model& model, const std::string& text,
                                         WindowOptions& windows) {
  PL_TRY(const auto tokenizer, Tokenizer::from_metadata(model.file->metadata()));
  if (tokenizer->adds_bos()) windows.bos = tokenizer->bos();
  return tokenizer->encode(text, {.add_special = true, .parse_special = false});
}

}  // namespace

Status check_same_tokens(const std::filesystem::path& path, const std::filesystem::path& reference,
                         const std::string& text) {
  PL_TRY(const Model a, load_model(path));
  PL_TRY(const Model b, load_model(reference));
  WindowOptions bos_a, bos_b;
  PL_TRY(const auto tokens_a, text_tokens(a, text, bos_a));
  PL_TRY(const auto tokens_b, text_tokens(b, text, bos_b));
  if (a.vocab() == b.vocab() && tokens_a == tokens_b && bos_a.bos == bos_b.bos) return {};
  return fail(
      "[perplexity] the reference reads the text as other tokens ({} of a vocabulary of {}, the "
      "model {} of {}); a reference shares the model's tokenizer",
      tokens_b.size(), b.vocab(), tokens_a.size(), a.vocab());
}

Result<std::unique_ptr<LogitStore>> record_reference(const std::filesystem::path& path,
                                                     const std::string& text,
                                                     const ScoreOptions& options,
                                                     const Compute& compute, Progress& progress) {
  PL_TRY(const Model model, load_model(path));
  WindowOptions windows = options.windows;
  PL_TRY(const auto tokens, text_tokens(model, text, windows));
  const int64_t rows =
      window_count(static_cast<int64_t>(tokens.size()), windows) * scored_per_window(windows);
  PL_TRY(auto store, LogitStore::create(rows, model.vocab()));
  PL_CHECK(
      score_text(model, compute, options.session, tokens, windows, nullptr, store.get(), progress));
  return store;
}

Result<ScoredModel> score_model(const std::filesystem::path& path, const std::string& text,
                                const ScoreOptions& options, const Compute& compute,
                                const LogitStore* reference, Progress& progress) {
  PL_TRY(const Model model, load_model(path));
  WindowOptions windows = options.windows;
  PL_TRY(const auto tokens, text_tokens(model, text, windows));
  ScoredModel scored;
  PL_TRY(scored.score, score_text(model, compute, options.session, tokens, windows, reference,
                                  nullptr, progress));
  scored.bits_per_weight_linear = linear_size(model).bits_per_weight();
  scored.file_bytes = model.file->file_bytes();
  scored.bits_per_weight_file =
      8.0 * static_cast<double>(scored.file_bytes) / static_cast<double>(parameter_count(model));
  return scored;
}

std::string score_sentence(const ScoredModel& scored, const WindowOptions& windows) {
  const TextScore& s = scored.score;
  std::string text =
      fmt::format("perplexity {:.4f} ± {:.4f} over {} predictions in {} windows of {}{}",
                  s.perplexity, s.perplexity_stderr, grouped(s.tokens), s.windows, windows.context,
                  s.interrupted ? " (interrupted: these are not all)" : "");
  if (s.divergence) {
    const Divergence& d = *s.divergence;
    text += fmt::format(
        "\nKL from the reference: mean {:.6f} ± {:.6f}, median {:.6f}, p99 {:.5f}; top-1 agreement "
        "{:.2f} %",
        d.mean, d.stderr_mean, d.median, d.p99, 100 * d.top1_agreement);
  }
  return text;
}

nlohmann::ordered_json score_json(const ScoredModel& scored) {
  const TextScore& s = scored.score;
  nlohmann::ordered_json j{{"perplexity", s.perplexity},
                           {"perplexity_stderr", s.perplexity_stderr},
                           {"tokens", s.tokens},
                           {"windows", s.windows},
                           {"interrupted", s.interrupted}};
  if (s.divergence) {
    const Divergence& d = *s.divergence;
    j.update({{"kl_mean", d.mean},
              {"kl_stderr", d.stderr_mean},
              {"kl_median", d.median},
              {"kl_p99", d.p99},
              {"kl_max", d.maximum},
              {"top1_agreement", d.top1_agreement}});
  }
  j.update({{"bits_per_weight_linear", scored.bits_per_weight_linear},
            {"bits_per_weight_file", scored.bits_per_weight_file},
            {"file_bytes", scored.file_bytes},
            {"prefill_tokens_per_second", s.prefill_tokens_per_second},
            {"peak_rss_bytes", peak_rss_bytes()},
            {"logits_hash", fmt::format("{:016x}", s.logits_hash)}});
  return j;
}

}  // namespace planeloom
