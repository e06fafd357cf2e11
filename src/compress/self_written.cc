#include "compress/self_written.h"

#include <algorithm>
#include <array>

#include "base/progress.h"
#include "base/rng.h"
#include "decode/sampler.h"
#include "text/chat.h"

namespace planeloom {
namespace {

/// Questions that take more than this share of a window are cut off, so that it has answers too.
constexpr size_t kQuestionShare = 4;

/// Ordinary tokens: neither control nor unused nor single bytes of a fallback.
std::vector<int32_t> ordinary_tokens(const Tokenizer& tokenizer, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < std::min<int64_t>(vocab, tokenizer.vocab_size()); ++id)
    if (!tokenizer.is_special(id) && !tokenizer.is_end_of_generation(id) &&
        !tokenizer.token_bytes(id).empty())
      ids.push_back(id);
  return ids;
}

/// A window that is being filled.
struct Page {
  std::span<int32_t> window;
  size_t size = 0;

  bool full() const { return size == window.size(); }
  void put(std::span<const int32_t> tokens) {
    const size_t count = std::min(tokens.size(), window.size() - size);
    std::ranges::copy(tokens.first(count), window.begin() + static_cast<std::ptrdiff_t>(size));
    size += count;
  }
  void put(int32_t token) { put(std::span(&token, 1)); }
};

}  // namespace

Result<SelfWriter> SelfWriter::make(const Model& model, const Tokenizer& tokenizer) {
  SelfWriter writer(model, tokenizer);
  writer.starts_ = ordinary_tokens(tokenizer, model.vocab());
  if (writer.starts_.empty())
    return fail("[calibration] the vocabulary has no ordinary tokens to start from");
  writer.turns_ = writer.find_turns();
  return writer;
}

/// Renders a word where the model is to write, and cuts the prompt there.
std::optional<SelfWriter::Turns> SelfWriter::find_turns() const {
  const auto chat = chat_template_of(model_.file->metadata(), tokenizer_);
  if (!chat || !*chat) return {};
  const std::string mark = "planeloom", other = "loom";
  const ChatMessage question{"user", mark}, before{"user", other}, answer{"assistant", mark};
  const auto one = (*chat)->apply(std::array{question}, true),
             two = (*chat)->apply(std::array{before, answer, ChatMessage{"user", other}}, false);
  if (!one || !two) return {};
  const size_t asked = one->find(mark), answered = two->find(mark);
  if (asked == one->npos || answered == two->npos) return {};
  const size_t next = answered + mark.size(), again = two->find(other, next);
  if (again == two->npos) return {};
  const auto inner = [&](const std::string& text) {
    return tokenizer_.encode(text, {.add_special = false});
  };
  Turns turns{encode_rendered(tokenizer_, one->substr(0, asked)),
              inner(one->substr(asked + mark.size())), inner(two->substr(next, again - next))};
  if (turns.first.empty() || turns.answer.empty() || turns.next.empty()) return {};
  return turns;
}

Status SelfWriter::write(const Kernels& kernels, int64_t index, uint64_t seed,
                         std::span<int32_t> window) const {
  ThreadPool alone(1);
  SessionOptions options;
  options.context = static_cast<int64_t>(window.size());
  PL_TRY(auto session, Session::create(model_, {&alone, &kernels}, options));
  Rng rng(seed);
  SamplerOptions plain;
  plain.temperature = 1.0f;
  plain.top_k = 0;
  plain.top_p = 1.0f;
  plain.min_p = 0.0f;
  plain.seed = rng.next();
  Sampler sampler(plain, model_.vocab());

  const bool conversation = converses() && index % 2 == 1;
  bool asking = true;
  size_t turn = 0, read = 0;  // tokens of this turn, and of the page that the model has read
  Page page{window};
  if (conversation) {
    page.put(turns_->first);
  } else {
    if (tokenizer_.adds_bos() && tokenizer_.bos()) page.put(*tokenizer_.bos());
    page.put(starts_[rng.below(starts_.size())]);
  }
  while (!page.full()) {
    if (interrupted()) return fail("[calibration] interrupted; the same command goes on from here");
    PL_TRY(const std::span<const float> logits,
           session->decode(window.subspan(read, page.size - read)));
    read = page.size;
    PL_TRY(const int32_t token, sampler.sample(logits));
    const bool ends = tokenizer_.is_end_of_generation(token);
    if (conversation && (ends || tokenizer_.is_special(token) ||
                         (asking && turn >= window.size() / kQuestionShare))) {
      page.put(asking ? turns_->answer : turns_->next);
      asking = !asking;
      turn = 0;
    } else {
      page.put(ends ? starts_[rng.below(starts_.size())] : token);
      ++turn;
    }
  }
  return {};
}

}  // namespace planeloom
