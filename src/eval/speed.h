#pragma once
#include <vector>

#include "base/progress.h"
#include "models/profile.h"
#include "models/session.h"

namespace planeloom {

struct SpeedOptions {
  int64_t prompt = 512, answer = 128;  // tokens
  std::vector<int64_t> batches;        // tokens of one pass each, for measure_batches()
  std::vector<int64_t> contexts;       // positions before the next token, for measure_contexts()
  int rounds = 5;
  bool profile = false;
  SessionOptions session;
};

/// Seconds of one phase, one entry per finished round; the profile is that of the last one.
struct PhaseSpeed {
  std::vector<double> seconds;
  Profile profile;
  void add(double round, const Profile& its) {
    seconds.push_back(round);
    profile = its;
  }
};
struct Speed {
  PhaseSpeed prefill, decode;
};

/// Reads `prompt` random tokens in one pass, then `answer` tokens one by one after them, `rounds`
/// times; Ctrl-C ends it with the rounds that are finished, or an error without one. Speed does not
/// depend on what the tokens are.
Result<Speed> measure_speed(const Model& model, const Compute& compute, const SpeedOptions& options,
                            Progress& progress);

/// One size of a sweep: seconds per pass, one entry per finished round (none when Ctrl-C came
/// first).
struct SweepSpeed {
  int64_t size = 0;  // tokens of the pass, or positions before it
  std::vector<double> seconds;
  uint64_t peak_rss = 0;  // of contexts: the most memory held meanwhile
};

/// Passes over 1, and over each of `batches`, tokens that all want their logits, as checking so
/// many drafted tokens does. They begin an empty sequence.
Result<std::vector<SweepSpeed>> measure_batches(const Model& model, const Compute& compute,
                                                const SpeedOptions& options, Progress& progress);

/// Passes over one token after each of `contexts` positions. The cache is not read into but holds
/// zeros, whose cost is that of any other values.
Result<std::vector<SweepSpeed>> measure_contexts(const Model& model, const Compute& compute,
                                                 const SpeedOptions& options, Progress& progress);

}  // namespace planeloom
