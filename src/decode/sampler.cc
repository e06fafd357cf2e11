#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace planeloom {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();
constexpr int64_t kLongestMemory = int64_t{1} << 24;  // tokens; no context is longer

/// The likelier first; of equals the lower id.
bool before(const Sampler::Candidate& a, const Sampler::Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

/// exp(logit - top), also when both are huge.
double weight(float logit, float top) {
  return logit == top ? 1.0 : std::exp(static_cast<double>(logit) - static_cast<double>(top));
}

}  // namespace

Status check(const SamplerOptions& o) {
  if (!std::isfinite(o.temperature))
    return fail("[sampler] temperature {}: not a number", o.temperature);
  if (!(o.top_p >= 0 && o.top_p <= 1)) return fail("[sampler] top-p {}: wanted 0 to 1", o.top_p);
  if (!(o.min_p >= 0 && o.min_p <= 1)) return fail("[sampler] min-p {}: wanted 0 to 1", o.min_p);
  if (!std::isfinite(o.repeat_penalty) || o.repeat_penalty <= 0)
    return fail("[sampler] repeat penalty {}: wanted more than 0", o.repeat_penalty);
  if (!std::isfinite(o.frequency_penalty) || !std::isfinite(o.presence_penalty))
    return fail("[sampler] frequency penalty {} and presence penalty {}: not both numbers",
                o.frequency_penalty, o.presence_penalty);
  if (o.repeat_last_n < -1 || o.repeat_last_n > kLongestMemory)
    return fail("[sampler] repeat-last-n {}: wanted -1 to {}", o.repeat_last_n, kLongestMemory);
  return {};
}

Sampler::Sampler(const SamplerOptions& options, int64_t vocab)
    : options_(options),
      vocab_(static_cast<size_t>(vocab)),
      penalties_(options.repeat_last_n != 0 &&
                 (options.repeat_penalty != 1.0f || options.frequency_penalty != 0 ||
                  options.presence_penalty != 0)),
      rng_(options.seed) {
  candidates_.reserve(vocab_);
  if (!penalties_) return;
  counts_.resize(vocab_);
  if (options.repeat_last_n > 0) recent_.resize(static_cast<size_t>(options.repeat_last_n));
}

void Sampler::reset() {
  rng_ = Rng(options_.seed);
  std::fill(counts_.begin(), counts_.end(), 0);
  next_ = held_ = 0;
}

void Sampler::accept(int32_t token) {
  if (!penalties_ || token < 0 || static_cast<size_t>(token) >= counts_.size()) return;
  ++counts_[static_cast<size_t>(token)];
  if (recent_.empty()) return;  // all tokens count
  if (held_ == recent_.size())
    --counts_[static_cast<size_t>(recent_[next_])];
  else
    ++held_;
  recent_[next_] = token;
  next_ = (next_ + 1) % recent_.size();
}

/// Fills candidates_ with what is possible, in order of id. Penalties as CTRL (arXiv 1909.05858,
/// section 4.1), with negative logits multiplied so that they too become less likely.
void Sampler::penalise(std::span<const float> logits) {
  candidates_.clear();
  sorted_ = 0;
  for (size_t i = 0; i < std::min(logits.size(), vocab_); ++i) {
    float logit = logits[i];
    if (logit == kImpossible) continue;
    if (penalties_ && counts_[i] > 0) {
      logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
      logit -=
          static_cast<float>(counts_[i]) * options_.frequency_penalty + options_.presence_penalty;
    }
    if (!std::isnan(logit)) candidates_.push_back({logit, static_cast<int32_t>(i), 0});
  }
}

/// Makes the first `count` candidates the best ones, in order.
void Sampler::sort_prefix(size_t count) {
  if (count <= sorted_) return;
  const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted_);
  const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(begin, middle, candidates_.end(), before);
  sorted_ = count;
}

void Sampler::keep_top_k() {
  if (options_.top_k <= 0) return;
  const auto k = static_cast<uint64_t>(options_.top_k);
  if (k < candidates_.size()) {
    sort_prefix(static_cast<size_t>(k));
    candidates_.resize(static_cast<size_t>(k));
  }
}

/// The smallest set of best candidates whose probability reaches top_p; the candidates left by the
/// samplers before are the whole.
void Sampler::keep_top_p() {
  if (options_.top_p >= 1) return;
  sort_prefix(1);
  const float top = candidates_[0].logit;
  double total = 0, reached = 0;
  for (const Candidate& c : candidates_) total += weight(c.logit, top);
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (i == sorted_) sort_prefix(std::min(candidates_.size(), 2 * sorted_ + 32));
    reached += weight(candidates_[i].logit, top);
    if (reached >= options_.top_p * total) return candidates_.resize(i + 1);
  }
}

/// Those at least min_p times as likely as the likeliest.
void Sampler::keep_min_p() {
  if (options_.min_p <= 0) return;
  sort_prefix(1);
  const float top = candidates_[0].logit;
  std::erase_if(candidates_,
                [&](const Candidate& c) { return weight(c.logit, top) < options_.min_p; });
  sorted_ = std::min(sorted_, candidates_.size());
}

int32_t Sampler::draw() {
  sort_prefix(1);
  const double top = candidates_[0].logit, heat = options_.temperature;
  double total = 0;
  for (Candidate& c : candidates_) {
    const double below =
        static_cast<double>(c.logit) == top ? 0 : static_cast<double>(c.logit) - top;
    c.probability = static_cast<float>(std::exp(below / heat));
    total += static_cast<double>(c.probability);
  }
  double left = rng_.uniform() * total;
  for (const Candidate& c : candidates_) {
    left -= static_cast<double>(c.probability);
    if (left < 0) return c.id;
  }
  return candidates_[0].id;  // rounding used up the last one
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  penalise(logits);
  if (candidates_.empty()) return fail("[sampler] none of {} logits is a number", logits.size());
  if (options_.temperature <= 0) {
    sort_prefix(1);
    candidates_.resize(1);
    candidates_[0].probability = 1;
    return candidates_[0].id;
  }
  keep_top_k();
  keep_top_p();
  keep_min_p();
  return draw();
}

}  // namespace planeloom
