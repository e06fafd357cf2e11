#include "compress/calibration.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "base/rng.h"
#include "compress/self_written.h"

namespace planeloom {
namespace {

/// Enough text for a window of tokens with room to spare: no more of a large file is tokenized.
constexpr int64_t kBytesPerToken = 16;

std::string windows_text(int64_t windows) {
  return fmt::format("{} window{}", windows, windows == 1 ? "" : "s");
}

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
    return fail("[calibration] {}: {} tokens, wanted {} ({} of {})", source, tokens,
                least * o.context, windows_text(least), o.context);
  if (tokenizer.adds_bos() && tokenizer.bos())
    for (int64_t w = 0; w < windows; ++w)
      ids[static_cast<size_t>(w * o.context)] = *tokenizer.bos();
  const std::string name = std::filesystem::path(source).filename().string();
  return Part{std::move(ids),
              fmt::format("{}: {} of {} tokens", name, windows_text(windows), o.context)};
}

Result<Part> from_model(const Model& model, const Tokenizer& tokenizer, const Compute& compute,
                        const CalibrationOptions& o, size_t i, const WindowStore* kept,
                        Progress& progress) {
  PL_TRY(const SelfWriter writer, SelfWriter::make(model, tokenizer));
  const int64_t windows = share(o, i);
  Part part{std::vector<int32_t>(static_cast<size_t>(windows * o.context)),
            fmt::format("written by the model itself: {} of {} tokens, temperature 1, seed {}{}",
                        windows_text(windows), o.context, o.seed,
                        writer.converses() ? ", every second one a conversation" : "")};
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
        result = writer.write(*compute.kernels, w, seed, window);
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
    return fail("[calibration] {} for {} sources, wanted at least one each",
                windows_text(o.windows), o.sources.size());
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
  CalibrationText text = in_turn(parts, o.context);
  // A damaged file's tokenizer may know more tokens than its embedding has rows.
  for (const int32_t token : text.tokens)
    if (token >= model.vocab())
      return fail("[calibration] token {} of a vocabulary of {}", token, model.vocab());
  return text;
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
