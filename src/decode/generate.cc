#include "decode/generate.h"

#include <algorithm>
#include <chrono>

#include "base/hash.h"
#include "base/progress.h"
#include "decode/stop.h"
#include "text/detokenizer.h"

namespace planeloom {
namespace {

constexpr int64_t kPrefillStep = 512;  // tokens between two looks at Ctrl-C

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

double rate(int64_t count, double seconds) {
  return count > 0 && seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

/// One generation: what the tokens pass through on their way to text.
class Generation {
 public:
  Generation(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options,
             StopMatcher stop, TextSink on_text)
      : session_(session),
        tokenizer_(tokenizer),
        options_(options),
        sampler_(options.sampler, session.model().vocab()),
        detokenizer_(tokenizer),
        stop_(std::move(stop)),
        on_text_(on_text) {}

  Result<GenerationStats> run(std::span<const int32_t> prompt) {
    stats_.prompt_tokens = static_cast<int64_t>(prompt.size());
    stats_.cached_tokens = session_.position();
    if (options_.max_tokens > 0)
      stats_.tokens.reserve(static_cast<size_t>(std::min(options_.max_tokens, session_.context())));
    prepare(prompt);
    PL_TRY(const bool ready, prefill(prompt.subspan(static_cast<size_t>(session_.position()))));
    if (ready) PL_CHECK(decode());
    finish_text();
    const double passes = stats_.decode_tokens_per_second;
    stats_.read_gb_per_second =
        passes * static_cast<double>(bytes_per_token(session_.model())) / 1e9;
    if (!logits_.empty())
      stats_.logits_hash = fmt::format("{:016x}", fnv1a(std::as_bytes(logits_)));
    return std::move(stats_);
  }

 private:
  /// Penalties see the prompt. Its last tokens tell the detokenizer that it is not at the start of
  /// a text, where SentencePiece's first space would be dropped.
  void prepare(std::span<const int32_t> prompt) {
    for (const int32_t token : prompt) sampler_.accept(token);
    for (const int32_t token : prompt.last(std::min<size_t>(prompt.size(), 4)))
      detokenizer_.push(token);
  }

  /// False when it was interrupted.
  Result<bool> prefill(std::span<const int32_t> tokens) {
    const Stopwatch watch;
    int64_t done = 0;
    const auto total = static_cast<int64_t>(tokens.size());
    while (done < total && !interrupted()) {
      const int64_t n = std::min(kPrefillStep, total - done);
      const auto part = tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(n));
      if (done + n == total) {
        PL_TRY(logits_, session_.decode(part));
      } else {
        PL_CHECK(session_.forward(part, n, [](int64_t, int64_t, const float*) {}));
      }
      done += n;
    }
    stats_.prefill_tokens_per_second = rate(done, watch.seconds());
    stats_.read_tokens = done;
    if (done < total) stats_.finish = FinishReason::kInterrupted;
    return done == total;
  }

  Status decode() {
    double busy = 0;
    int64_t passes = 0;
    for (;;) {
      if (options_.max_tokens >= 0 &&
          static_cast<int64_t>(stats_.tokens.size()) >= options_.max_tokens) {
        stats_.finish = FinishReason::kLength;
        break;
      }
      const Stopwatch draw;
      PL_TRY(const int32_t token, sampler_.sample(logits_));
      busy += passes > 0 ? draw.seconds() : 0;
      sampler_.accept(token);
      stats_.tokens.push_back(token);
      if (!emit(token)) break;
      if (session_.position() == session_.context()) {
        stats_.finish = FinishReason::kContext;
        break;
      }
      if (options_.max_tokens >= 0 &&
          static_cast<int64_t>(stats_.tokens.size()) == options_.max_tokens)
        continue;  // no pass for a token that nobody will draw
      const Stopwatch pass;
      PL_TRY(logits_, session_.decode(std::span(&token, 1)));
      busy += pass.seconds();
      ++passes;
    }
    stats_.decode_tokens_per_second = rate(passes, busy);
    return {};
  }

  /// Hands the token's text on; false, with the reason set, when the generation ends here.
  bool emit(int32_t token) {
    if (!options_.ignore_end && tokenizer_.is_end_of_generation(token)) {
      stats_.finish = FinishReason::kStop;
      return false;
    }
    const std::string_view shown = stop_.push(detokenizer_.push(token));
    if (!shown.empty() && !on_text_(shown)) deaf_ = true;
    if (stop_.stopped()) {
      stats_.finish = FinishReason::kStop;
      return false;
    }
    if (deaf_ || interrupted()) {
      stats_.finish = FinishReason::kInterrupted;
      return false;
    }
    return true;
  }

  /// Text that was held back in case it became a character or a stop string.
  void finish_text() {
    if (deaf_ || stop_.stopped()) return;
    std::string rest(stop_.push(detokenizer_.flush()));
    rest += stop_.flush();
    if (!rest.empty()) on_text_(rest);
  }

  Session& session_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  Sampler sampler_;
  Detokenizer detokenizer_;
  StopMatcher stop_;
  TextSink on_text_;
  bool deaf_ = false;              // the receiver wants no more
  std::span<const float> logits_;  // (vocab), of the last pass
  GenerationStats stats_;
};

}  // namespace

std::string_view finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  return "?";
}

Result<GenerationStats> generate(Session& session, const Tokenizer& tokenizer,
                                 std::span<const int32_t> prompt, const GenerateOptions& options,
                                 TextSink on_text) {
  PL_CHECK(check(options.sampler));
  PL_TRY(StopMatcher stop, StopMatcher::create(options.stops));
  const auto size = static_cast<int64_t>(prompt.size());
  if (size <= session.position())
    return fail("[generate] a prompt of {} tokens, wanted more than the {} that are read already",
                size, session.position());
  if (size > session.context())
    return fail("[generate] a prompt of {} tokens does not fit a context of {}", size,
                session.context());
  return Generation(session, tokenizer, options, std::move(stop), on_text).run(prompt);
}

}  // namespace planeloom
