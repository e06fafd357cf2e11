// Writes the tiny models that the command-line cases use into a folder:
//   tiny.gguf         plain text only        tiny-chat.gguf    with a chat template
//   tiny-planes.gguf  the same, its linears as bit-planes
#include <cstdio>
#include <filesystem>

#include "decode/tiny_text.h"
#include "formats/gguf.h"

namespace {

using namespace planeloom;

Status write_model(const ModelFile& model, const std::filesystem::path& path) {
  std::vector<TensorSpec> specs;
  for (const StoredTensor& t : model.tensors())
    specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
  PL_TRY(GgufWriter writer, GgufWriter::create(path, model.metadata(), specs));
  for (const StoredTensor& t : model.tensors()) PL_CHECK(writer.write_tensor(t.data));
  return writer.commit();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  TinyOptions planes = tiny_text_options(true);
  planes.ffn = 128;  // a multiple of the group
  planes.storage = "bitplane k=2 g=64";
  for (const auto& [name, options] : {std::pair{"tiny", tiny_text_options()},
                                      {"tiny-chat", tiny_text_options(true)},
                                      {"tiny-planes", planes}}) {
    const auto path = folder / (std::string(name) + ".gguf");
    if (const Status status = write_model(*make_tiny_model(options), path); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
