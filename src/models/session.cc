#include "models/session.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/softcap.h"

namespace planeloom {
namespace {

constexpr int64_t kBatch = 512;  // tokens per pass; longer inputs are cut, which changes no result
constexpr int64_t kMaxContext = int64_t{1} << 24, kMaxCache = int64_t{1} << 40;
constexpr int64_t kLogitRows = 32;  // logits held at once: 32 x 262144 floats are 32 MiB for Gemma

}  // namespace

int64_t cache_bytes(const Config& c, int64_t context, DType type) {
  return 2 * c.layers * c.kv_heads * context * cache_row_bytes(type, c.head_dim);
}

Result<std::unique_ptr<Session>> Session::create(const Model& model, Compute compute,
                                                 const SessionOptions& options) {
  const int64_t context =
      options.context > 0 ? options.context : std::min<int64_t>(model.config.context, 4096);
  if (context > kMaxContext)
    return fail("[session] a context of {}, at most {} wanted", context, kMaxContext);
  if (cache_row_bytes(options.cache, model.config.head_dim) == 0)
    return fail(
        "[session] a cache of {} for heads of {}; F32 and F16 fit any, Q8_0 multiples of 32",
        dtype_info(options.cache).name, model.config.head_dim);
  const int64_t bytes = cache_bytes(model.config, context, options.cache);
  if (bytes > kMaxCache)
    return fail("[session] a context of {} needs {} bytes of cache", context, bytes);
  SessionOptions sized = options;
  sized.context = context;
  try {
    return std::unique_ptr<Session>(new Session(model, compute, sized));
  } catch (const std::bad_alloc&) {
    return fail("[session] no memory for {} bytes of cache, context {}", bytes, context);
  }
}

Session::Session(const Model& model, Compute compute, const SessionOptions& options)
    : model_(model),
      compute_(compute),
      mode_(options.activations),
      cache_type_(options.cache),
      context_(options.context) {
  const auto half = static_cast<size_t>(cache_bytes(model.config, context_, cache_type_) / 2);
  keys_.resize(half);
  values_.resize(half);
}

void Session::reserve(int64_t tokens) {
  if (tokens <= reserved_) return;
  const Config& c = model_.config;
  reserved_ = tokens;
  const auto size = [&](int64_t width) { return static_cast<size_t>(tokens * width); };
  hidden_.resize(size(c.width));
  normed_.resize(size(c.width));
  update_.resize(size(c.width));
  q_.resize(size(c.q_width()));
  mixed_.resize(size(c.q_width()));
  k_.resize(size(c.kv_width()));
  v_.resize(size(c.kv_width()));
  gate_.resize(size(c.ffn));
  up_.resize(size(c.ffn));
  cosine_.resize(size(c.head_dim / 2));
  sine_.resize(size(c.head_dim / 2));
}

Status Session::embed(std::span<const int32_t> tokens, float* hidden) {
  const Config& c = model_.config;
  for (int32_t token : tokens)
    if (token < 0 || token >= model_.vocab())
      return fail("[session] token {} of a vocabulary of {}", token, model_.vocab());
  for (size_t t = 0; t < tokens.size(); ++t)
    embed_token(model_, *compute_.kernels, tokens[t], hidden + static_cast<int64_t>(t) * c.width);
  if (hooks_) hooks_->after_embedding({hidden, static_cast<int64_t>(tokens.size()), c.width});
  return {};
}

bool Session::logits(const float* hidden, int64_t tokens, float* out) {
  const Config& c = model_.config;
  reserve(tokens);
  head_input(hidden, tokens, normed_.data());
  input_.set(normed_.data(), c.width, tokens, c.width);
  if (hooks_ && hooks_->before_linear(c.layers, Linear::kHead, {normed_.data(), tokens, c.width}) ==
                    Hooks::Flow::kStop)
    return false;
  {
    const Timed timed(profile_, Linear::kHead);
    linear(compute_, model_.head, {}, input_, mode_, scratch_, out, model_.head.rows);
  }
  softcap(c.final_softcap, out, tokens * model_.vocab());
  if (hooks_) hooks_->at_logits({out, tokens, model_.vocab()});
  return true;
}

Status Session::forward(std::span<const int32_t> tokens, int64_t logits_from, LogitsSink sink) {
  const Config& c = model_.config;
  const auto total = static_cast<int64_t>(tokens.size());
  const int64_t start = position_;
  const auto stopped = [&]() -> Status {
    position_ = start;
    return {};
  };
  if (position_ + total > context_)
    return fail("[session] {} tokens after {} do not fit a context of {}", total, position_,
                context_);
  for (int32_t token : tokens)
    if (token < 0 || token >= model_.vocab())
      return fail("[session] token {} of a vocabulary of {}", token, model_.vocab());
  for (int64_t begin = 0; begin < total; begin += kBatch) {
    const int64_t n = std::min(kBatch, total - begin);
    reserve(n);
    PL_CHECK(
        embed(tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(n)), hidden_.data()));
    for (int64_t layer = 0; layer < c.layers; ++layer)
      if (!run_layer(layer, hidden_.data(), n, position_)) return stopped();
    position_ += n;
    for (int64_t t = std::max<int64_t>(0, logits_from - begin); t < n; t += kLogitRows) {
      const int64_t rows = std::min(kLogitRows, n - t);
      logits_.resize(std::max(logits_.size(), static_cast<size_t>(rows * model_.vocab())));
      if (!logits(hidden_.data() + t * c.width, rows, logits_.data())) return stopped();
      sink(begin + t, rows, logits_.data());
    }
  }
  return {};
}

Result<std::span<const float>> Session::decode(std::span<const int32_t> tokens) {
  if (tokens.empty()) return fail("[session] no tokens to read");
  std::span<const float> last;
  PL_CHECK(forward(tokens, static_cast<int64_t>(tokens.size()) - 1,
                   [&](int64_t, int64_t, const float* logits) {
                     last = {logits, static_cast<size_t>(model_.vocab())};
                   }));
  if (last.empty()) return fail("[session] a hook stopped the pass before its logits");
  return last;
}

}  // namespace planeloom
