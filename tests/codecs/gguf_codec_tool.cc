// gguf_codec_tool decode|encode TYPE COLS: rows from stdin, converted rows to stdout
// (gguf_oracle.py drives it).
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "codecs/codec.h"
#include "codecs/encode_simple.h"

using namespace planeloom;

namespace {

std::vector<std::byte> read_stdin() {
  std::vector<std::byte> bytes;
  std::byte buffer[1 << 16];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), stdin))
    bytes.insert(bytes.end(), buffer, buffer + n);
  return bytes;
}

void write_floats(const std::vector<float>& v) {
  std::fwrite(v.data(), sizeof(float), v.size(), stdout);
}

int fail_with(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fail_with("usage: gguf_codec_tool decode|encode TYPE COLS");
  const std::string mode = argv[1];
  const auto codec = codec_by_name(argv[2]);
  if (!codec) return fail_with(codec.error().message);
  PackedMatrix w;
  w.codec = *codec;
  w.cols = std::stoll(argv[3]);
  const std::vector<std::byte> input = read_stdin();
  if (mode == "encode") {
    std::vector<float> values(input.size() / sizeof(float));
    std::memcpy(values.data(), input.data(), values.size() * sizeof(float));
    std::vector<std::byte> out(
        static_cast<size_t>((*codec)->code_bytes(static_cast<int64_t>(values.size()))));
    DType type = DType::kF32;
    for (DType t : {DType::kF16, DType::kBF16, DType::kQ8_0})
      if (gguf_codec(t) == *codec) type = t;
    if (const Status status = encode_simple(type, values, out); !status)
      return fail_with(status.error().message);
    std::fwrite(out.data(), 1, out.size(), stdout);
    return 0;
  }
  w.codes = input;
  w.rows = static_cast<int64_t>(input.size()) / w.codec->code_bytes(w.cols);
  if (const Status status = check_matrix(w, "stdin"); !status)
    return fail_with(status.error().message);
  std::vector<float> row(static_cast<size_t>(w.cols));
  for (int64_t r = 0; r < w.rows; ++r) {
    w.codec->decode_row(w, r, row.data());
    write_floats(row);
  }
  return 0;
}
