#include "compress/calibration.h"

#include <fmt/format.h>

#include "base/file.h"
#include "decode/sampler.h"

namespace planeloom {
namespace {

/// Enough text for a window of tokens with room to spare, so that a large file is not tokenized
/// whole.
constexpr int64_t kBytesPerToken = 16;

Result<CalibrationText> from_file(const Tokenizer& tokenizer, const CalibrationOptions& o) {
  PL_TRY(std::string text, read_input(o.source));
  const auto most = static_cast<size_t>(o.windows * o.context * kBytesPerToken);
  if (text.size() > most) text.resize(most);
  std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = false, .parse_special = false});
  const int64_t windows = std::min(o.windows, static_cast<int64_t>(ids.size()) / o.context);
  if (windows < 1)
    return fail("[calibration] {}: {} tokens, less than one window of {}", o.source, ids.size(),
                o.context);
  ids.resize(static_cast<size_t>(windows * o.context));
  if (tokenizer.adds_bos() && tokenizer.bos())
    for (int64_t w = 0; w < windows; ++w)
      ids[static_cast<size_t>(w * o.context)] = *tokenizer.bos();
  const std::string name = std::filesystem::path(o.source).filename().string();
  return CalibrationText{o.context, std::move(ids),
                         fmt::format("{}: {} windows of {} tokens", name, windows, o.context)};
}

/// Ordinary tokens: neither control nor unused nor single bytes of a fallback.
std::vector<int32_t> ordinary_tokens(const Tokenizer& tokenizer, int64_t vocab) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < std::min<int64_t>(vocab, tokenizer.vocab_size()); ++id)
    if (!tokenizer.is_special(id) && !tokenizer.is_end_of_generation(id) &&
        !tokenizer.token_bytes(id).empty())
      ids.push_back(id);
  return ids;
}

/// Writes one window with its own session on one thread.
Status write_window(const Model& model, const Tokenizer& tokenizer, const Kernels& kernels,
                    std::span<const int32_t> starts, uint64_t seed, std::span<int32_t> window) {
  ThreadPool alone(1);
  SessionOptions options;
  options.context = static_cast<int64_t>(window.size());
  PL_TRY(auto session, Session::create(model, {&alone, &kernels}, options));
  Rng rng(seed);
  SamplerOptions plain;  // temperature 1, nothing cut
  plain.temperature = 1.0f;
  plain.top_k = 0;
  plain.top_p = 1.0f;
  plain.min_p = 0.0f;
  plain.seed = rng.next();
  Sampler sampler(plain, model.vocab());
  size_t n = 0;
  if (tokenizer.adds_bos() && tokenizer.bos()) window[n++] = *tokenizer.bos();
  window[n++] = starts[rng.below(starts.size())];
  PL_TRY(std::span<const float> logits, session->decode(window.first(n)));
  while (n < window.size()) {
    if (interrupted()) return fail("[calibration] interrupted; the same command goes on from here");
    PL_TRY(int32_t token, sampler.sample(logits));
    if (tokenizer.is_end_of_generation(token)) token = starts[rng.below(starts.size())];
    window[n++] = token;
    if (n == window.size()) break;
    PL_TRY(logits, session->decode(window.subspan(n - 1, 1)));
  }
  return {};
}

Result<CalibrationText> from_model(const Model& model, const Tokenizer& tokenizer,
                                   const Compute& compute, const CalibrationOptions& o,
                                   const WindowStore* kept, Progress& progress) {
  const std::vector<int32_t> starts = ordinary_tokens(tokenizer, model.vocab());
  if (starts.empty())
    return fail("[calibration] the vocabulary has no ordinary tokens to start from");
  CalibrationText text{
      o.context, std::vector<int32_t>(static_cast<size_t>(o.windows * o.context)),
      fmt::format("written by the model itself: {} windows of {} tokens, temperature 1, seed {}",
                  o.windows, o.context, o.seed)};
  std::vector<Status> status(static_cast<size_t>(o.windows));
  std::atomic<int64_t> done{0};
  // One window per thread: sequences are independent, and small layers gain little from two threads
  // each.
  compute.pool->parallel_for(o.windows, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t w = begin; w < end; ++w) {
      const auto window =
          std::span(text.tokens)
              .subspan(static_cast<size_t>(w * o.context), static_cast<size_t>(o.context));
      Status& result = status[static_cast<size_t>(w)];
      if (!kept || !kept->load_window(w, window)) {
        const uint64_t seed = Rng(o.seed + static_cast<uint64_t>(w) * 0x9E3779B97F4A7C15ull).next();
        result = write_window(model, tokenizer, *compute.kernels, starts, seed, window);
        if (result && kept) result = kept->save_window(w, window);
      }
      if (!result) return;
      const int64_t finished = done.fetch_add(1) + 1;
      if (worker == 0)
        progress.update("self-calibration", static_cast<uint64_t>(finished),
                        static_cast<uint64_t>(o.windows));
    }
  });
  for (auto& s : status) PL_CHECK(std::move(s));
  return text;
}

}  // namespace

Result<CalibrationText> calibration_text(const Model& model, const Tokenizer& tokenizer,
                                         const Compute& compute, const CalibrationOptions& o,
                                         const WindowStore* kept, Progress& progress) {
  if (o.windows < 1 || o.windows > 100000 || o.context < 8 || o.context > 1 << 20)
    return fail("[calibration] {} windows of {} tokens, wanted 1..100000 of 8..2^20", o.windows,
                o.context);
  return o.source == "self" ? from_model(model, tokenizer, compute, o, kept, progress)
                            : from_file(tokenizer, o);
}

}  // namespace planeloom
