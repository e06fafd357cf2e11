#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/rng.h"

namespace planeloom {

/// The usual chain, in llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw.
/// Defaults are llama.cpp's too.
struct SamplerOptions {
  float temperature = 0.8f;  // <= 0: the likeliest token after penalties
  int64_t top_k = 40;        // <= 0: off
  float top_p = 0.95f;       // >= 1: off
  float min_p = 0.05f;       // <= 0: off
  float repeat_penalty =
      1.0f;  // divides positive logits of recent tokens, multiplies others; 1: off
  float frequency_penalty = 0;  // subtracted once per recent occurrence
  float presence_penalty = 0;   // subtracted once when it occurs at all
  int64_t repeat_last_n = 64;   // how many tokens count as recent; 0: none, -1: all
  uint64_t seed = 1;
};

/// An error that names the first setting that makes no sense (NaN, a penalty of 0, ...).
Status check(const SamplerOptions& options);

/// Draws tokens from rows of logits. The same options, tokens and logits give the same draws; equal
/// logits rank by lowest id. No allocation after construction.
class Sampler {
 public:
  struct Candidate {
    float logit;
    int32_t id;
    float probability;  // relative to the likeliest, after temperature; set on those that are left
  };

  /// Options that check() accepts, for rows of `vocab` logits.
  Sampler(const SamplerOptions& options, int64_t vocab);

  /// Chooses a token. NaN counts as impossible; an error when nothing is possible.
  Result<int32_t> sample(std::span<const float> logits);
  /// Tells the penalties that this token is now part of the text (prompt tokens too).
  void accept(int32_t token);
  /// Forgets the accepted tokens and rewinds the draws to the seed.
  void reset();

  /// What the last draw chose from.
  std::span<const Candidate> candidates() const { return candidates_; }

 private:
  void penalise(std::span<const float> logits);
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  int32_t draw();
  void sort_prefix(size_t count);

  SamplerOptions options_;
  size_t vocab_;
  bool penalties_;
  Rng rng_;
  std::vector<Candidate> candidates_;
  size_t sorted_ = 0;            // so many candidates in front are the best, in order
  std::vector<int32_t> counts_;  // (vocab): occurrences among the recent tokens
  std::vector<int32_t> recent_;  // ring of the last repeat_last_n tokens; unused when all count
  size_t next_ = 0, held_ = 0;   // of the ring
};

}  // namespace planeloom
