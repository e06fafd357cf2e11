// Any text as config.json, and each line of it as a tensor name.
#include "formats/hf_folder.h"

#include <string>

using namespace planeloom;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto metadata = translate_hf_config(text)) {
    const std::string arch = metadata->string_or("general.architecture", "");
    if (metadata->integer_or(arch + ".block_count", 0) < 1) __builtin_trap();
    if (metadata->integer_or(arch + ".attention.head_count_kv", 0) < 1) __builtin_trap();
  }
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    (void)translate_hf_tensor_name("gemma3", std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return 0;
}
