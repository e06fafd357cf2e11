// First line: text to encode; the rest: a tokenizer.json. Building must never crash, ids must be in
// range, and a byte-level tokenizer that knows every byte must give valid text back.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/detokenizer.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t line = input.find('\n');
  if (line == std::string_view::npos) return 0;
  planeloom::Metadata metadata;
  metadata.set("planeloom.tokenizer_json", std::string(input.substr(line + 1)));
  const auto tokenizer = planeloom::Tokenizer::from_metadata(metadata);
  if (!tokenizer) return 0;
  const auto ids = (*tokenizer)->encode(input.substr(0, line));
  planeloom::Detokenizer stream(**tokenizer, true);
  for (const int32_t id : ids) {
    if (id < 0 || id >= (*tokenizer)->vocab_size()) std::abort();
    stream.push(id);
  }
  stream.flush();
  return 0;
}
