// A tiny random model with a tokenizer, so that prompts and answers are readable ASCII.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/tiny_model.h"

namespace planeloom {

inline constexpr int32_t kTinyBos = 0, kTinyEnd = 1;

/// Ids 0..4 are control tokens, 5.. the printable ASCII characters, then space, newline and the two
/// bytes of an e acute as byte-level BPE writes them. No merges: one token per byte.
inline std::vector<std::string> tiny_tokens() {
  std::vector<std::string> tokens{"<|bos|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"};
  for (char c = '!'; c <= '~'; ++c) tokens.push_back(std::string(1, c));
  for (const char* symbol : {"\u0120", "\u010a", "\u00c3", "\u00a9"}) tokens.push_back(symbol);
  return tokens;
}

inline constexpr const char* kTinyTemplate =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// Options of a model with that vocabulary; `chat` adds the template.
inline TinyOptions tiny_text_options(bool chat = false) {
  TinyOptions options;
  const std::vector<std::string> tokens = tiny_tokens();
  options.vocab = static_cast<int64_t>(tokens.size());
  std::vector<int32_t> types(tokens.size(), 1);
  for (size_t i = 0; i < 5; ++i) types[i] = 3;  // control
  options.metadata = {{"tokenizer.ggml.model", std::string("gpt2")},
                      {"tokenizer.ggml.pre", std::string("gpt-2")},
                      {"tokenizer.ggml.tokens", tokens},
                      {"tokenizer.ggml.token_type", types},
                      {"tokenizer.ggml.merges", std::vector<std::string>{}},
                      {"tokenizer.ggml.bos_token_id", uint32_t{kTinyBos}},
                      {"tokenizer.ggml.eos_token_id", uint32_t{kTinyEnd}},
                      {"tokenizer.ggml.add_bos_token", true}};
  if (chat) options.metadata.push_back({"tokenizer.chat_template", std::string(kTinyTemplate)});
  return options;
}

}  // namespace planeloom
