#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "models/session.h"
#include "text/tokenizer.h"

namespace planeloom {

/// A text and several continuations, one of which is right. "4 + 4 =", {" 7", " 8"}, 1.
struct ChoiceItem {
  std::string context;
  std::vector<std::string> choices;
  size_t answer = 0;
};

/// One JSON object a line: {"context": "...", "choices": ["...", "..."], "answer": 1}; other keys
/// are passed over, empty lines too. Errors name the line.
Result<std::vector<ChoiceItem>> parse_choices(std::string_view lines);

/// The log-likelihood of every choice given its context, and what follows from it, as
/// lm-evaluation-harness reckons: the answer that a model gives is the likeliest continuation, by
/// its whole (accuracy) or by its bytes (accuracy_per_byte). A tie is a wrong answer.
struct ChoiceScore {
  int64_t items = 0;
  bool interrupted = false;  // Ctrl-C: fewer items than asked for
  double accuracy = 0, accuracy_stderr = 0;
  double accuracy_per_byte = 0, accuracy_per_byte_stderr = 0;
  double chance = 0;  // of guessing: the mean of 1 / choices
  /// Mean log-likelihood of the right choice less that of the likeliest wrong one, in nats, and the
  /// mean log-likelihood of the right choice: they tell models apart that answer alike.
  double margin = 0, margin_stderr = 0, right = 0;
};

/// A context ends at the last token that all it and the choice agree on when both are read in one,
/// so that a choice may begin with a space. An error when an item does not fit `context` tokens.
/// Ctrl-C ends it with the finished items' score, or with an error when there is none.
Result<ChoiceScore> score_choices(const Model& model, const Tokenizer& tokenizer,
                                  const Compute& compute, SessionOptions session,
                                  std::span<const ChoiceItem> items, Progress& progress);

}  // namespace planeloom
