#pragma once
#include <optional>
#include <span>
#include <vector>

#include "models/session.h"
#include "text/tokenizer.h"

namespace planeloom {

/// Text that a model writes itself, so that it can be calibrated without data: from random ordinary
/// tokens on and, where it brings a chat template, every second window as a conversation in which
/// it writes both the questions (Magpie, arXiv 2406.08464) and the answers. Temperature 1, nothing
/// cut.
class SelfWriter {
 public:
  /// The model and its tokenizer must outlive the writer. An error when the vocabulary has no
  /// ordinary tokens.
  static Result<SelfWriter> make(const Model& model, const Tokenizer& tokenizer);

  /// Whether there are conversations; a template that refuses them is passed over.
  bool converses() const { return turns_.has_value(); }
  /// Fills window `index` on one thread. The same tokens for a seed, whatever else is written. An
  /// error after Ctrl-C.
  Status write(const Kernels& kernels, int64_t index, uint64_t seed,
               std::span<int32_t> window) const;

 private:
  /// What stands around turns: before the first question, between a question and its answer, and
  /// between this and the next question.
  struct Turns {
    std::vector<int32_t> first, answer, next;
  };

  SelfWriter(const Model& model, const Tokenizer& tokenizer)
      : model_(model), tokenizer_(tokenizer) {}
  std::optional<Turns> find_turns() const;

  const Model& model_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> starts_;  // ordinary tokens
  std::optional<Turns> turns_;
};

}  // namespace planeloom
