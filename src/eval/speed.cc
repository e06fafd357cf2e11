#include "eval/speed.h"

#include <algorithm>
#include <chrono>

#include "base/memory.h"
#include "base/rng.h"

namespace planeloom {
namespace {

using Clock = std::chrono::steady_clock;

/// A single pass of a small model is too short to time: a round of a sweep takes the mean of these.
constexpr int kPasses = 4;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::vector<int32_t> random_tokens(const Model& model, int64_t count) {
  Rng rng(1);
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens)
    token = static_cast<int32_t>(rng.below(static_cast<uint64_t>(model.vocab())));
  return tokens;
}

/// Seconds per pass over `tokens` after `past` positions, logits of every token wanted.
Result<double> time_passes(Session& session, int64_t past, std::span<const int32_t> tokens) {
  auto begin = Clock::now();
  for (int pass = 0; pass <= kPasses; ++pass) {
    if (pass == 1) begin = Clock::now();  // the one before made buffers and filled caches
    session.truncate(past);
    PL_CHECK(session.forward(tokens, 0, [](int64_t, int64_t, const float*) {}));
  }
  return since(begin) / kPasses;
}

std::vector<SweepSpeed> sweep_of(std::vector<int64_t> sizes) {
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  std::vector<SweepSpeed> sweep;
  for (const int64_t size : sizes) sweep.push_back({size, {}, 0});
  return sweep;
}

/// Every size once per round, so that a busy minute of the machine hits all of them.
template <class Measure>
Status run_sweep(std::vector<SweepSpeed>& sweep, int rounds, Progress& progress,
                 std::string_view stage, Measure&& measure) {
  uint64_t done = 0;
  const uint64_t total = sweep.size() * static_cast<uint64_t>(rounds);
  for (int round = 0; round < rounds; ++round)
    for (SweepSpeed& s : sweep) {
      if (interrupted()) return {};
      PL_TRY(const double seconds, measure(s));
      s.seconds.push_back(seconds);
      progress.update(stage, ++done, total);
    }
  return {};
}

}  // namespace

Result<Speed> measure_speed(const Model& model, const Compute& compute, const SpeedOptions& options,
                            Progress& progress) {
  SessionOptions session_options = options.session;
  session_options.context = options.prompt + options.answer;
  PL_TRY(const auto session, Session::create(model, compute, session_options));
  const std::vector<int32_t> tokens = random_tokens(model, session_options.context);
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

Result<std::vector<SweepSpeed>> measure_batches(const Model& model, const Compute& compute,
                                                const SpeedOptions& options, Progress& progress) {
  std::vector<int64_t> sizes = options.batches;
  sizes.push_back(1);  // what the others are compared with
  std::vector<SweepSpeed> sweep = sweep_of(std::move(sizes));
  SessionOptions session_options = options.session;
  session_options.context = sweep.back().size;
  PL_TRY(const auto session, Session::create(model, compute, session_options));
  const std::vector<int32_t> tokens = random_tokens(model, sweep.back().size);
  PL_CHECK(run_sweep(sweep, options.rounds, progress, "batches", [&](SweepSpeed& s) {
    return time_passes(*session, 0, std::span(tokens).first(static_cast<size_t>(s.size)));
  }));
  return sweep;
}

Result<std::vector<SweepSpeed>> measure_contexts(const Model& model, const Compute& compute,
                                                 const SpeedOptions& options, Progress& progress) {
  std::vector<SweepSpeed> sweep = sweep_of(options.contexts);
  const std::vector<int32_t> token = random_tokens(model, 1);
  PL_CHECK(
      run_sweep(sweep, options.rounds, progress, "contexts", [&](SweepSpeed& s) -> Result<double> {
        restart_peak_rss();
        SessionOptions session_options = options.session;
        session_options.context = s.size + 1;  // a session each, so that memory is that of this one
        PL_TRY(const auto session, Session::create(model, compute, session_options));
        session->skip_to(s.size);
        PL_TRY(const double seconds, time_passes(*session, s.size, token));
        s.peak_rss = std::max(s.peak_rss, peak_rss_bytes());
        return seconds;
      }));
  return sweep;
}

}  // namespace planeloom
