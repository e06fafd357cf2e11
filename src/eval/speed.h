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

/// Seconds of one phase, one entry per round; the profile is that of the last round.
struct PhaseSpeed {
  std::vector<double> seconds;
  Profile profile;
};
struct Speed {
  PhaseSpeed prefill, decode;
};

/// Reads `prompt` random tokens in one pass, then `answer` tokens one by one after them, `rounds`
/// times. Speed does not depend on what the tokens are.
Result<Speed> measure_speed(const Model& model, const Compute& compute, const SpeedOptions& options,
                            Progress& progress);

}  // namespace planeloom
