// Any bytes as a safetensors file; also with a right length in front, so that the header is reached
// quickly.
#include "formats/safetensors.h"

#include <cstring>
#include <string>

using namespace planeloom;

namespace {

/// Every span must lie inside the input: the sum of all bytes touches each of them.
void use(std::span<const std::byte> file) {
  const auto tensors = parse_safetensors(file);
  if (!tensors) return;
  volatile unsigned sum = 0;
  for (const SafeTensor& tensor : *tensors)
    for (const std::byte b : tensor.data) sum = sum + static_cast<unsigned>(b);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  use(std::as_bytes(std::span(data, size)));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.rfind('}');
  const uint64_t length = end == std::string_view::npos ? size : end + 1;
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file += text;
  use(std::as_bytes(std::span(file)));
  return 0;
}
