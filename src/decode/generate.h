#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "decode/sampler.h"
#include "models/session.h"
#include "text/tokenizer.h"

namespace planeloom {

struct GenerateOptions {
  SamplerOptions sampler;
  int64_t max_tokens = 256;        // < 0: until the context is full
  std::vector<std::string> stops;  // stop strings, not part of the text
  bool ignore_end = false;         // goes on after an end-of-generation token
};

/// Why the text ended: a stop string or an end token, max_tokens, a full context, Ctrl-C or the
/// receiver's wish.
enum class FinishReason { kStop, kLength, kContext, kInterrupted };
std::string_view finish_name(FinishReason reason);

struct GenerationStats {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;    // of the prompt, that the session held already
  int64_t read_tokens = 0;      // of the prompt, now; fewer than the rest after Ctrl-C
  std::vector<int32_t> tokens;  // generated, an end token included
  FinishReason finish = FinishReason::kLength;
  double prefill_tokens_per_second = 0;  // over the tokens that were read
  double decode_tokens_per_second = 0;   // passes and draws, not the receiver's time; 0: no pass
  double read_gb_per_second = 0;         // weights read while decoding, 10^9 bytes
  std::string logits_hash;  // FNV-1a of the last row of logits, 16 hex digits; empty without one
};

/// Receives whole UTF-8 characters as they are certain; returns false to end the generation.
using TextSink = FunctionRef<bool(std::string_view piece)>;

/// Continues `prompt`, the whole sequence from position 0, of which the session already holds the
/// first session.position() tokens. Fails on an empty prompt, on one that does not fit the context
/// or is in the session already, and on settings that check() refuses.
/// Afterwards the session holds prompt + tokens up to its position().
Result<GenerationStats> generate(Session& session, const Tokenizer& tokenizer,
                                 std::span<const int32_t> prompt, const GenerateOptions& options,
                                 TextSink on_text);

}  // namespace planeloom
