#include "compress/calibration.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "decode/sampler.h"

namespace planeloom {
namespace {

/// Enough text for a window of tokens with room to spare: no more of a large file is tokenized.
constexpr int64_t kBytesPerToken = 16;

/// What one source gives: whole windows, and the words for the report.
struct Part {
  std::vector<int32_t> tokens;
  std::string description;
};

/// How many windows source i gives.
int64_t share(const CalibrationOptions& o, size_t i) {
  const auto n = static_cast<int64_t>(o.sources.size());
  return (o.windows - static_cast<int64_t>(i) + n - 1) / n;
}

/// The first place from `at` on where a line begins, or at least a character.
size_t beginning(std::string_view text, size_t at) {
  constexpr size_t kLongLine = 4096;
  if (at == 0) return 0;
  const size_t line = text.find('\n', at - 1);
  if (line != text.npos && line < at + kLongLine) return line + 1;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
}

/// The text cut into `wanted` windows; of a text that is longer, windows spread evenly over it, so
/// that a few of them see all its subjects.
std::vector<int32_t> windows_of(const Tokenizer& tokenizer, std::string_view text, int64_t wanted,
                                int64_t context, int64_t* tokens) {
  const auto tokenize = [&](std::string_view part) {
    std::vector<int32_t> ids =
        tokenizer.encode(part, {.add_special = false, .parse_special = false});
    *tokens += static_cast<int64_t>(ids.size());
    return ids;
  };
  const auto piece = static_cast<size_t>(context * kBytesPerToken);
  std::vector<int32_t> ids;
  *tokens = 0;
  if (text.size() <= static_cast<size_t>(wanted) * piece) {
    ids = tokenize(text);
    ids.resize(ids.size() / static_cast<size_t>(context) * static_cast<size_t>(context));
  } else {
    for (int64_t w = 0; w < wanted; ++w) {
      const double middle = (static_cast<double>(w) + 0.5) / static_cast<double>(wanted);
      const auto at = static_cast<size_t>(static_cast<double>(text.size()) * middle) - piece / 2;
      const std::vector<int32_t> part = tokenize(text.substr(beginning(text, at), piece));
      if (static_cast<int64_t>(part.size()) >= context)
        ids.insert(ids.end(), part.begin(), part.begin() + context);
    }
  }
  ids.resize(std::min(ids.size(), static_cast<size_t>(wanted * context)));
  return ids;
}

Result<Part> from_file(const Tokenizer& tokenizer, const CalibrationOptions& o, size_t i) {
  const std::string& source = o.sources[i];
  PL_TRY(const std::string text, read_input(source));
  const int64_t wanted = share(o, i), least = o.sources.size() == 1 ? 1 : wanted;
  int64_t tokens = 0;
  std::vector<int32_t> ids = windows_of(tokenizer, text, wanted, o.context, &tokens);
  const int64_t windows = static_cast<int64_t>(ids.size()) / o.context;
  if (windows < least)
    return fail("[calibration] {}: {} tokens, wanted {} ({} windows of {})", source, tokens,
                least * o.context, least, o.context);
  if (tokenizer.adds_bos() && tokenizer.bos())
    for (int64_t w = 0; w < windows; ++w)
      ids[static_cast<size_t>(w * o.context)] = *tokenizer.bos();
  const std::string name = std::filesystem::path(source).filename().string();
  return Part{std::move(ids), fmt::format("{}: {} windows of {} tokens", name, windows, o.context)};
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

Result<Part> from_model(const Model& model, const Tokenizer& tokenizer, const Compute& compute,
                        const CalibrationOptions& o, size_t i, const WindowStore* kept,
                        Progress& progress) {
  const std::vector<int32_t> starts = ordinary_tokens(tokenizer, model.vocab());
  if (starts.empty())
    return fail("[calibration] the vocabulary has no ordinary tokens to start from");
  const int64_t windows = share(o, i);
  Part part{std::vector<int32_t>(static_cast<size_t>(windows * o.context)),
            fmt::format("written by the model itself: {} windows of {} tokens, temperature 1, seed "
                        "{}",
                        windows, o.context, o.seed)};
  std::vector<Status> status(static_cast<size_t>(windows));
  std::atomic<int64_t> done{0};
  // One window per thread: sequences are independent, and small layers gain little from two threads
  // each.
  compute.pool->parallel_for(windows, 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t w = begin; w < end; ++w) {
      const auto window =
          std::span(part.tokens)
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
                        static_cast<uint64_t>(windows));
    }
  });
  for (auto& s : status) PL_CHECK(std::move(s));
  return part;
}

Status check_options(const CalibrationOptions& o) {
  if (o.windows < 1 || o.windows > 100000 || o.context < 8 || o.context > 1 << 20)
    return fail("[calibration] {} windows of {} tokens, wanted 1..100000 of 8..2^20", o.windows,
                o.context);
  if (o.sources.empty()) return fail("[calibration] no source");
  for (size_t i = 0; i < o.sources.size(); ++i) {
    const std::string& source = o.sources[i];
    if (source.empty()) return fail("[calibration] source {} has no name", i + 1);
    if (std::find(o.sources.begin(), o.sources.begin() + static_cast<ptrdiff_t>(i), source) !=
        o.sources.begin() + static_cast<ptrdiff_t>(i))
      return fail("[calibration] {} is named twice", source);
  }
  if (o.windows < static_cast<int64_t>(o.sources.size()))
    return fail("[calibration] {} windows for {} sources, wanted at least one each", o.windows,
                o.sources.size());
  return {};
}

/// A window of each part in turn.
CalibrationText in_turn(const std::vector<Part>& parts, int64_t context) {
  CalibrationText text{context, {}, {}};
  for (size_t begin = 0; begin < parts[0].tokens.size(); begin += static_cast<size_t>(context))
    for (const Part& part : parts)
      if (begin < part.tokens.size()) {
        const auto window = std::span(part.tokens).subspan(begin, static_cast<size_t>(context));
        text.tokens.insert(text.tokens.end(), window.begin(), window.end());
      }
  for (const Part& part : parts)
    text.description += (text.description.empty() ? "" : "; ") + part.description;
  if (parts.size() > 1) text.description += "; one window of each in turn";
  return text;
}

}  // namespace

Result<CalibrationText> calibration_text(const Model& model, const Tokenizer& tokenizer,
                                         const Compute& compute, const CalibrationOptions& o,
                                         const WindowStore* kept, Progress& progress) {
  PL_CHECK(check_options(o));
  std::vector<Part> parts;
  for (size_t i = 0; i < o.sources.size(); ++i) {
    PL_TRY(Part part, o.sources[i] == kSelfSource
                          ? from_model(model, tokenizer, compute, o, i, kept, progress)
                          : from_file(tokenizer, o, i));
    parts.push_back(std::move(part));
  }
  return in_turn(parts, o.context);
}

Status check_calibration(const Tokenizer& tokenizer, const CalibrationOptions& o) {
  PL_CHECK(check_options(o));
  for (size_t i = 0; i < o.sources.size(); ++i)
    if (o.sources[i] != kSelfSource) PL_CHECK(from_file(tokenizer, o, i));
  return {};
}

Result<std::string> calibration_fingerprint(const CalibrationOptions& o) {
  std::string text = "calibration";
  for (const std::string& source : o.sources) {
    if (source == kSelfSource) {
      text += " self";
      continue;
    }
    PL_TRY(const std::string bytes, read_input(source));
    Sha256 file;
    file.update(std::as_bytes(std::span(bytes)));
    text += " " + file.hex();
  }
  return text + fmt::format(" {} x {} seed {}\n", o.windows, o.context, o.seed);
}

}  // namespace planeloom
