#include "eval/speed.h"

#include <chrono>

#include "base/rng.h"

namespace planeloom {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

Result<Speed> measure_speed(const Model& model, const Compute& compute, const SpeedOptions& options,
                            Progress& progress) {
  SessionOptions session_options = options.session;
  session_options.context = options.prompt + options.answer;
  PL_TRY(const auto session, Session::create(model, compute, session_options));
  Rng rng(1);
  std::vector<int32_t> tokens(static_cast<size_t>(session_options.context));
  for (int32_t& token : tokens)
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.vocab())));
  const std::span<const int32_t> all(tokens);
  const auto steps = static_cast<uint64_t>(options.rounds * (options.answer + 1));
  uint64_t step = 0;
  Speed speed;
  for (int round = 0; round < options.rounds && !interrupted(); ++round) {
    session->truncate(0);
    Profile profile;
    if (options.profile) session->set_profile(&profile);
    auto begin = Clock::now();
    if (options.prompt > 0) {
      PL_TRY(const auto logits, session->decode(all.first(static_cast<size_t>(options.prompt))));
      (void)logits;
      speed.prefill.add(since(begin), profile);
    }
    progress.update("bench", ++step, steps);
    profile = {};
    begin = Clock::now();
    for (int64_t i = 0; i < options.answer && !interrupted(); ++i, ++step) {
      PL_TRY(const auto logits,
             session->decode(all.subspan(static_cast<size_t>(options.prompt + i), 1)));
      (void)logits;
    }
    if (options.answer > 0 && !interrupted()) speed.decode.add(since(begin), profile);
    session->set_profile(nullptr);
    progress.update("bench", step, steps);
  }
  if (speed.prefill.seconds.empty() && speed.decode.seconds.empty())
    return fail("[bench] interrupted in the first round");
  return speed;
}

}  // namespace planeloom
