#include "text/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace planeloom {
namespace {

// As published with each model (their tokenizer.json).
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDigit = R"(\p{N})";

constexpr std::string_view kSpaces =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

/// PCRE2's \s counts U+180E as a space, Unicode (since 6.3) and the other engines do not: spell the
/// class out.
std::string with_unicode_spaces(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char next = pattern[++i];
      if (next == 's')
        out += in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces);
      else if (next == 'S' && !in_class)
        out += fmt::format("[^{}]", kSpaces);
      else
        out.append({c, next});
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

}  // namespace

struct PreTokenizer::Rule {
  pcre2_code* code = nullptr;
  ~Rule() { pcre2_code_free(code); }
};

Result<PreTokenizer> PreTokenizer::from_patterns(const std::vector<std::string>& patterns) {
  PreTokenizer result;
  for (const std::string& pattern : patterns) {
    if (pattern.size() > 10000)
      return fail("[tokenizer] a splitting rule of {} bytes, at most 10000 wanted", pattern.size());
    const std::string text = with_unicode_spaces(pattern);
    int error = 0;
    PCRE2_SIZE where = 0;
    auto rule = std::make_shared<Rule>();
    rule->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                               PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
    if (!rule->code) {
      PCRE2_UCHAR message[200] = {};
      pcre2_get_error_message(error, message, sizeof message);
      return fail("[tokenizer] splitting rule '{}': {}", pattern,
                  reinterpret_cast<const char*>(message));
    }
    pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter serves
    result.rules_.push_back(std::move(rule));
  }
  return result;
}

Result<PreTokenizer> PreTokenizer::named(std::string_view name) {
  const auto is = [&](std::initializer_list<std::string_view> names) {
    for (std::string_view n : names)
      if (n == name) return true;
    return false;
  };
  if (is({"gpt-2", "gpt2", "default", "", "phi-2", "jina-v1-en", "gigachat"}))
    return from_patterns({std::string(kGpt2)});
  if (is({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}))
    return from_patterns({std::string(kDigit), std::string(kGpt2)});
  if (is({"llama3", "llama-bpe", "llama-v3", "falcon3", "smaug-bpe", "dbrx", "pixtral"}))
    return from_patterns({std::string(kLlama3)});
  if (is({"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"}))
    return from_patterns({std::string(kQwen2)});
  return fail(
      "[tokenizer] splitting rule '{}' is not known; known: gpt-2, smollm, llama-bpe, qwen2", name);
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces{text};
  if (text.empty()) return {};
  pcre2_match_context* limits = pcre2_match_context_create(nullptr);
  pcre2_set_match_limit(limits, 50'000'000);
  pcre2_set_heap_limit(limits, 64 * 1024);  // KiB
  for (const auto& rule : rules_) {
    pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
    std::vector<std::string_view> next;
    for (const std::string_view piece : pieces) {
      size_t at = 0;
      while (at < piece.size()) {
        const int found =
            pcre2_match(rule->code, reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(), at,
                        PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, match, limits);
        if (found < 0) break;
        const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
        if (range[1] <= at || range[0] > range[1])
          break;  // \K or look-behind tricks of a foreign pattern
        if (range[0] > at) next.push_back(piece.substr(at, range[0] - at));
        next.push_back(piece.substr(std::max<size_t>(range[0], at),
                                    range[1] - std::max<size_t>(range[0], at)));
        at = range[1];
      }
      if (at < piece.size()) next.push_back(piece.substr(at));
    }
    pcre2_match_data_free(match);
    pieces = std::move(next);
  }
  pcre2_match_context_free(limits);
  return pieces;
}

}  // namespace planeloom
