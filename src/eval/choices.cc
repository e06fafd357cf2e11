#include "eval/choices.h"

#include <algorithm>
#include <cmath>

#include "eval/perplexity.h"
#include "formats/bounded_json.h"

namespace planeloom {
namespace {

Result<ChoiceItem> parse_item(std::string_view line, const std::string& where) {
  PL_TRY(const auto j, parse_bounded_json(line, where));
  const auto bad = [&](std::string_view what) {
    return fail(
        R"([choices] {}: {}; wanted {{"context": "...", "choices": ["...", "..."], "answer": 0}})",
        where, what);
  };
  if (!j.is_object()) return bad("no object");
  const auto context = j.find("context"), choices = j.find("choices"), answer = j.find("answer");
  if (context == j.end() || !context->is_string()) return bad("context is no text");
  if (choices == j.end() || !choices->is_array() || choices->size() < 2)
    return bad("fewer than two choices");
  ChoiceItem item;
  item.context = context->get<std::string>();
  for (const auto& choice : *choices) {
    if (!choice.is_string() || choice.get_ref<const std::string&>().empty())
      return bad("a choice is no text or empty");
    item.choices.push_back(choice.get<std::string>());
  }
  if (answer == j.end() || !answer->is_number_unsigned() ||
      answer->get<uint64_t>() >= item.choices.size())
    return bad("the answer is no choice's number");
  item.answer = answer->get<size_t>();
  return item;
}

size_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

/// Reads texts one after another and keeps what they have in common.
class Reader {
 public:
  Reader(const Tokenizer& tokenizer, const Kernels& kernels, std::unique_ptr<Session> session)
      : tokenizer_(tokenizer), kernels_(kernels), session_(std::move(session)) {}

  /// log p(choice | context), in nats.
  Result<double> log_likelihood(const std::string& context, const std::string& choice) {
    const EncodeOptions plain{.add_special = true, .parse_special = false};
    const auto before = tokenizer_.encode(context, plain),
               whole = tokenizer_.encode(context + choice, plain);
    if (static_cast<int64_t>(whole.size()) > session_->context())
      return fail("{} tokens, more than the context of {}", whole.size(), session_->context());
    const size_t given = common(before, whole);
    if (given == 0) return fail("nothing stands before the choice: a context wants a token");
    if (given == whole.size()) return fail("a choice adds no token to its context");
    // The prediction of the first of the choice's tokens is made by the last of the context's.
    const size_t kept = std::min(common(read_, whole), given - 1);
    session_->truncate(static_cast<int64_t>(kept));
    read_.assign(whole.begin(), whole.end() - 1);
    double sum = 0;
    PL_CHECK(session_->forward(
        std::span(read_).subspan(kept), static_cast<int64_t>(given - 1 - kept),
        [&](int64_t first, int64_t n, const float* logits) {
          const auto vocab = static_cast<size_t>(session_->model().vocab());
          for (int64_t i = 0; i < n; ++i)
            sum -=
                negative_log_likelihood(kernels_, {logits + static_cast<size_t>(i) * vocab, vocab},
                                        whole[kept + static_cast<size_t>(first + i) + 1], scratch_);
        }));
    if (!std::isfinite(sum))
      return fail("a log-likelihood of {}: the model's weights are damaged", sum);
    return sum;
  }

 private:
  const Tokenizer& tokenizer_;
  const Kernels& kernels_;
  std::unique_ptr<Session> session_;
  std::vector<int32_t> read_;  // what the session's cache holds
  std::vector<float> scratch_;
};

/// The mean and its standard error of what items gave.
struct Mean {
  double sum = 0, squares = 0;
  void add(double x) { sum += x, squares += x * x; }
  double mean(double n) const { return sum / n; }
  double error(double n) const {
    return n > 1 ? std::sqrt(std::max(0.0, squares / n - mean(n) * mean(n)) / (n - 1)) : 0;
  }
};

/// By how much the right one is above the best of the others.
double lead(std::span<const double> values, size_t right) {
  double best = -INFINITY;
  for (size_t i = 0; i < values.size(); ++i)
    if (i != right) best = std::max(best, values[i]);
  return values[right] - best;
}

}  // namespace

Result<std::vector<ChoiceItem>> parse_choices(std::string_view lines) {
  std::vector<ChoiceItem> items;
  for (size_t at = 0, number = 1; at < lines.size(); ++number) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string_view line = lines.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    PL_TRY(items.emplace_back(), parse_item(line, fmt::format("line {}", number)));
  }
  if (items.empty()) return fail("[choices] no items");
  return items;
}

Result<ChoiceScore> score_choices(const Model& model, const Tokenizer& tokenizer,
                                  const Compute& compute, SessionOptions session_options,
                                  std::span<const ChoiceItem> items, Progress& progress) {
  PL_TRY(auto session, Session::create(model, compute, session_options));
  Reader reader(tokenizer, *compute.kernels, std::move(session));
  Mean whole, by_byte, margin, right, chance;
  int64_t finished = 0;
  for (const ChoiceItem& item : items) {
    if (interrupted() && finished == 0) return fail("[choices] interrupted in the first item");
    if (interrupted()) break;
    progress.update("choices", static_cast<uint64_t>(finished), items.size());
    std::vector<double> values, per_byte;
    for (const std::string& choice : item.choices) {
      auto value = reader.log_likelihood(item.context, choice);
      if (!value) return fail("[choices] item {}: {}", finished + 1, value.error().message);
      values.push_back(*value);
      per_byte.push_back(*value / static_cast<double>(choice.size()));
    }
    const double ahead = lead(values, item.answer);
    whole.add(ahead > 0);
    by_byte.add(lead(per_byte, item.answer) > 0);
    margin.add(ahead);
    right.add(values[item.answer]);
    chance.add(1.0 / static_cast<double>(item.choices.size()));
    ++finished;
  }
  progress.update("choices", static_cast<uint64_t>(finished), items.size());
  const auto n = static_cast<double>(finished);
  ChoiceScore score;
  score.items = finished;
  score.interrupted = finished < static_cast<int64_t>(items.size());
  score.accuracy = whole.mean(n);
  score.accuracy_stderr = whole.error(n);
  score.accuracy_per_byte = by_byte.mean(n);
  score.accuracy_per_byte_stderr = by_byte.error(n);
  score.chance = chance.mean(n);
  score.margin = margin.mean(n);
  score.margin_stderr = margin.error(n);
  score.right = right.mean(n);
  return score;
}

}  // namespace planeloom
