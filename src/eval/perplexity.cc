#include "eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/hash.h"

namespace planeloom {
namespace {

using Clock = std::chrono::steady_clock;

/// The first of the largest.
int64_t argmax(std::span<const float> row) {
  return std::max_element(row.begin(), row.end()) - row.begin();
}

/// exp(logits - top) and their sum.
struct Exponentials {
  float top = 0;
  double sum = 0;
  double log_sum() const { return static_cast<double>(top) + std::log(sum); }
};
Exponentials exponentials(const Kernels& kernels, std::span<const float> logits,
                          std::vector<float>& out) {
  out.assign(logits.begin(), logits.end());
  Exponentials e;
  e.sum = kernels.exp_sum(out.data(), static_cast<int64_t>(out.size()), &e.top);
  return e;
}

/// KL(reference || model), of whose logits log sum exp is known.
double divergence(const Kernels& kernels, std::span<const float> reference,
                  std::span<const float> model, double log_sum, std::vector<float>& scratch) {
  constexpr size_t kSums = 8;  // that do not wait for one another
  const Exponentials p = exponentials(kernels, reference, scratch);
  double sums[kSums] = {}, sum = 0;
  const auto add = [&](size_t i, double& to) {
    to += static_cast<double>(scratch[i]) *
          (static_cast<double>(reference[i]) - static_cast<double>(model[i]));
  };
  size_t i = 0;
  for (; i + kSums <= scratch.size(); i += kSums)
    for (size_t k = 0; k < kSums; ++k) add(i + k, sums[k]);
  for (; i < scratch.size(); ++i) add(i, sum);
  for (const double part : sums) sum += part;
  return sum / p.sum + log_sum - p.log_sum();
}

/// What one block of scored rows adds: filled in parallel, folded in order.
struct Scored {
  std::vector<double> nll, kl;
  int64_t agreements = 0;
  uint64_t hash = 0xcbf29ce484222325ull;
};

Status score_rows(const Compute& compute, std::span<const int32_t> targets, const float* logits,
                  int64_t vocab, const LogitStore* reference, int64_t first_row, Scored& scored) {
  const auto n = static_cast<int64_t>(targets.size());
  std::vector<double> nll(targets.size()), kl(targets.size());
  std::vector<char> agree(targets.size());
  std::vector<Status> status(targets.size());
  compute.pool->parallel_for(n, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> scratch, buffer;
    for (int64_t i = begin; i < end; ++i) {
      const auto k = static_cast<size_t>(i);
      const std::span<const float> row(logits + i * vocab, static_cast<size_t>(vocab));
      const double log_sum = exponentials(*compute.kernels, row, scratch).log_sum();
      nll[k] = log_sum - static_cast<double>(row[static_cast<size_t>(targets[k])]);
      if (!reference) continue;
      auto wanted = reference->row(first_row + i, buffer);
      if (!wanted) {
        status[k] = tl::unexpected(wanted.error());
        continue;
      }
      kl[k] = divergence(*compute.kernels, *wanted, row, log_sum, scratch);
      agree[k] = argmax(*wanted) == argmax(row);
    }
  });
  for (size_t k = 0; k < targets.size(); ++k) {
    PL_CHECK(std::move(status[k]));
    if (!std::isfinite(nll[k]))
      return fail("[perplexity] prediction {} is {}: the model's weights are damaged",
                  first_row + static_cast<int64_t>(k), nll[k]);
    scored.nll.push_back(nll[k]);
    if (!reference) continue;
    scored.kl.push_back(kl[k]);
    scored.agreements += agree[k];
  }
  return {};
}

}  // namespace

double negative_log_likelihood(const Kernels& kernels, std::span<const float> logits,
                               int32_t target, std::vector<float>& scratch) {
  return exponentials(kernels, logits, scratch).log_sum() -
         static_cast<double>(logits[static_cast<size_t>(target)]);
}

double kl_divergence(const Kernels& kernels, std::span<const float> reference,
                     std::span<const float> model, std::vector<float>& scratch) {
  const double log_sum = exponentials(kernels, model, scratch).log_sum();
  return divergence(kernels, reference, model, log_sum, scratch);
}

Divergence summarise(std::vector<double> kl, int64_t agreements) {
  Divergence d;
  if (kl.empty()) return d;
  const auto n = static_cast<double>(kl.size());
  double sum = 0, squares = 0;
  for (double x : kl) sum += x;
  d.mean = sum / n;
  for (double x : kl) squares += (x - d.mean) * (x - d.mean);
  d.stderr_mean = kl.size() > 1 ? std::sqrt(squares / (n - 1) / n) : 0;
  std::sort(kl.begin(), kl.end());
  const auto rank = [&](double share) {
    return kl[std::min(kl.size() - 1, static_cast<size_t>(std::ceil(share * n)) - 1)];
  };
  d.median = rank(0.5);
  d.p99 = rank(0.99);
  d.maximum = kl.back();
  d.top1_agreement = static_cast<double>(agreements) / n;
  return d;
}

int64_t window_count(int64_t tokens, const WindowOptions& options) {
  const int64_t all = tokens / options.context;
  return options.windows > 0 ? std::min(all, options.windows) : all;
}

int64_t scored_per_window(const WindowOptions& options) {
  return options.context - 1 - options.context / 2;
}

Result<TextScore> score_text(const Model& model, const Compute& compute,
                             SessionOptions session_options, std::span<const int32_t> tokens,
                             const WindowOptions& options, const LogitStore* reference,
                             LogitStore* record, Progress& progress) {
  if (options.context < 4)
    return fail("[perplexity] context {}, wanted at least 4", options.context);
  const int64_t windows = window_count(static_cast<int64_t>(tokens.size()), options);
  if (windows < 1)
    return fail(
        "[perplexity] the text has {} tokens, less than one window of {}: use a longer text or "
        "--context",
        tokens.size(), options.context);
  const int64_t per_window = scored_per_window(options), first = options.context / 2;
  if (reference &&
      (reference->vocab() != model.vocab() || reference->rows_written() < windows * per_window))
    return fail("[perplexity] the reference has {} rows of vocabulary {}, wanted {} rows of {}",
                reference->rows_written(), reference->vocab(), windows * per_window, model.vocab());
  session_options.context = options.context;
  PL_TRY(auto session, Session::create(model, compute, session_options));

  Scored scored;
  double seconds = 0;
  std::vector<int32_t> window(static_cast<size_t>(options.context));
  int64_t finished = 0;
  for (int64_t w = 0; w < windows; ++w, ++finished) {
    if (interrupted() && record)
      return fail("[perplexity] interrupted after {} of the reference's {} windows", w, windows);
    if (interrupted() && w == 0) return fail("[perplexity] interrupted in the first window");
    if (interrupted()) break;  // what the finished windows say
    progress.update("perplexity", static_cast<uint64_t>(w), static_cast<uint64_t>(windows));
    const auto cut = tokens.subspan(static_cast<size_t>(w * options.context), window.size());
    std::copy(cut.begin(), cut.end(), window.begin());
    if (options.bos) window[0] = *options.bos;
    session->truncate(0);
    Status status;
    double scoring = 0;
    const auto start = Clock::now();
    PL_CHECK(session->forward(window, first, [&](int64_t token, int64_t n, const float* logits) {
      const auto begin = Clock::now();
      const int64_t usable =
          std::min(n, options.context - 1 - token);  // the last position predicts nothing we know
      if (usable > 0 && status) {
        const auto targets = std::span<const int32_t>(window).subspan(
            static_cast<size_t>(token + 1), static_cast<size_t>(usable));
        const int64_t row = w * per_window + token - first;
        status = score_rows(compute, targets, logits, model.vocab(), reference, row, scored);
        const std::span<const float> block(logits, static_cast<size_t>(usable * model.vocab()));
        scored.hash = fnv1a(std::as_bytes(block), scored.hash);
        for (int64_t i = 0; record && status && i < usable; ++i)
          status = record->append(block.subspan(static_cast<size_t>(i * model.vocab()),
                                                static_cast<size_t>(model.vocab())));
      }
      scoring += std::chrono::duration<double>(Clock::now() - begin).count();
    }));
    PL_CHECK(std::move(status));
    seconds += std::chrono::duration<double>(Clock::now() - start).count() - scoring;
  }
  progress.update("perplexity", static_cast<uint64_t>(finished), static_cast<uint64_t>(windows));

  TextScore result;
  result.windows = finished;
  result.interrupted = finished < windows;
  result.tokens = static_cast<int64_t>(scored.nll.size());
  double sum = 0, squares = 0;
  for (double x : scored.nll) sum += x;
  const double n = static_cast<double>(result.tokens), mean = sum / n;
  for (double x : scored.nll) squares += (x - mean) * (x - mean);
  result.perplexity = std::exp(mean);
  result.perplexity_stderr = n > 1 ? result.perplexity * std::sqrt(squares / n / (n - 1)) : 0;
  if (reference) result.divergence = summarise(std::move(scored.kl), scored.agreements);
  result.prefill_tokens_per_second = static_cast<double>(finished * options.context) / seconds;
  result.logits_hash = scored.hash;
  return result;
}

}  // namespace planeloom
