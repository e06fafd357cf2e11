// Runs a model on a few tokens in every way that must not matter.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "models/session.h"

namespace planeloom {

struct RunOptions {
  Isa isa = Isa::kScalar;
  int threads = 1;
  int64_t chunk = 0;  // tokens per forward(); 0: all at once
  ActivationMode activations = ActivationMode::kFloat;
  DType cache = DType::kF32;
  Hooks* hooks = nullptr;
};

/// Logits of every token, (tokens, vocab); empty after a reported failure.
inline std::vector<float> run_tokens(const Model& model, std::span<const int32_t> tokens,
                                     const RunOptions& options) {
  ThreadPool pool(options.threads);
  SessionOptions settings;
  settings.context = static_cast<int64_t>(tokens.size());
  settings.activations = options.activations;
  settings.cache = options.cache;
  auto session = Session::create(model, Compute{&pool, &kernels_for(options.isa)}, settings);
  EXPECT_TRUE(session) << (session ? "" : session.error().message);
  if (!session) return {};
  (*session)->set_hooks(options.hooks);
  std::vector<float> out;
  const size_t chunk = options.chunk > 0 ? static_cast<size_t>(options.chunk) : tokens.size();
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const auto part = tokens.subspan(begin, std::min(chunk, tokens.size() - begin));
    const Status status =
        (*session)->forward(part, 0, [&](int64_t, int64_t n, const float* logits) {
          out.insert(out.end(), logits, logits + n * model.vocab());
        });
    EXPECT_TRUE(status) << (status ? "" : status.error().message);
    if (!status) return {};
  }
  return out;
}

}  // namespace planeloom
