// gguf_copy_tool IN OUT: reads a GGUF file and writes it again (gguf_files_oracle.py compares both
// with the package gguf).
#include <cstdio>

#include "formats/gguf.h"

using namespace planeloom;

namespace {

Status copy(const char* from, const char* to) {
  PL_TRY(const auto file, open_gguf(from));
  std::vector<TensorSpec> specs;
  for (const StoredTensor& t : file->tensors())
    specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
  PL_TRY(GgufWriter writer, GgufWriter::create(to, file->metadata(), specs));
  for (const StoredTensor& t : file->tensors()) PL_CHECK(writer.write_tensor(t.data));
  return writer.commit();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const Status status = copy(argv[1], argv[2]);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
