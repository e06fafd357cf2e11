// Any bytes as a template, rendered with a small conversation under tight limits.
#include "text/jinja/template.h"

#include <cstdint>

using namespace planeloom;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto context = nlohmann::ordered_json::parse(
      R"({"messages": [{"role": "system", "content": " a<b "}, {"role": "user", "content": [{"type": "text", "text": "日本"}]}],
          "tools": [{"function": {"name": "f", "parameters": {"x": [1, 2.5, null, true]}}}],
          "n": 3, "s": "text", "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true})");
  const jinja::Limits limits{
      .source_bytes = 1 << 16, .steps = 200'000, .memory_bytes = 8 << 20, .output_bytes = 1 << 20};
  const auto parsed = jinja::Template::parse({reinterpret_cast<const char*>(data), size}, limits);
  if (!parsed) return 0;
  const auto text = parsed->render(context, {limits, {}});
  if (text && text->size() > limits.output_bytes) __builtin_trap();
  return 0;
}
