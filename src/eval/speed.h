#pragma once
#include <vector>

#include "base/progress.h"
#include "models/profile.h"
#include "models/session.h"

namespace planeloom {

struct SpeedOptions {
  int64_t prompt = 512, answer = 128;  // tokens
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

}  // namespace planeloom
