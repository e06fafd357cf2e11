// Reads length-prefixed byte strings on stdin, writes "count, ids" for each: what
// tokenizer_oracle.py compares.
//   tokenizer_driver MODEL plain|parse      encode with a model's tokenizer
//   tokenizer_driver split NAME             split with a named rule; writes "count, piece lengths"
#include <cstdio>
#include <cstring>
#include <string>

#include "formats/model_file.h"
#include "text/tokenizer.h"

using namespace planeloom;

namespace {

bool read_string(std::string& text) {
  uint32_t size = 0;
  if (std::fread(&size, 4, 1, stdin) != 1) return false;
  text.resize(size);
  return size == 0 || std::fread(text.data(), 1, size, stdin) == size;
}

void write_numbers(const std::vector<int32_t>& numbers) {
  const auto count = static_cast<uint32_t>(numbers.size());
  std::fwrite(&count, 4, 1, stdout);
  if (count) std::fwrite(numbers.data(), 4, count, stdout);
}

int split(const char* name) {
  const auto rule = PreTokenizer::named(name);
  if (!rule) return std::fprintf(stderr, "%s\n", rule.error().message.c_str()), 1;
  for (std::string text; read_string(text);) {
    std::vector<int32_t> lengths;
    for (const auto piece : rule->split(text))
      lengths.push_back(static_cast<int32_t>(piece.size()));
    write_numbers(lengths);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (std::strcmp(argv[1], "split") == 0) return split(argv[2]);
  const auto file = ModelFile::open(argv[1]);
  if (!file) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 1;
  const auto tokenizer = Tokenizer::from_metadata((*file)->metadata());
  if (!tokenizer) return std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str()), 1;
  const EncodeOptions options{.add_special = false,
                              .parse_special = std::strcmp(argv[2], "parse") == 0};
  for (std::string text; read_string(text);) write_numbers((*tokenizer)->encode(text, options));
  return 0;
}
