// Any bytes as a GGUF file: parse, then use every tensor as a weight would be used.
#include "formats/gguf.h"

#include <algorithm>

#include "codecs/codec.h"

using namespace planeloom;

namespace {

struct FuzzModel final : ModelFile {
  explicit FuzzModel(GgufContents contents) {
    metadata_ = std::move(contents.metadata);
    tensors_ = std::move(contents.tensors);
    for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
  }
};

void use(const PackedMatrix& w) {
  if (w.cols > 1 << 14) return;
  std::vector<float> row(static_cast<size_t>(w.cols));
  for (const int64_t r : {int64_t{0}, w.rows - 1}) w.codec->decode_row(w, r, row.data());
  const int64_t group = w.codec->form().group;
  if (group == 0) return;
  const auto scales = static_cast<size_t>(w.cols / group * kTileRows);
  std::vector<uint8_t> code(static_cast<size_t>(w.cols * kTileRows));
  std::vector<float> scale(scales), offset(scales);
  const CodeTile tile{code.data(), scale.data(), offset.data()};
  w.codec->unpack_tile(w, (w.rows - 1) / kTileRows * kTileRows, 0, w.cols, tile);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto contents = parse_gguf(std::as_bytes(std::span(data, size)));
  if (!contents) return 0;
  const FuzzModel model(std::move(*contents));
  for (const auto& [key, value] : model.metadata().entries()) {
    (void)model.metadata().integer(key);
    (void)model.metadata().integers(key);
    constexpr std::string_view kPair = "planeloom.codec.";
    if (key.starts_with(kPair))
      if (const auto w = model.matrix(key.substr(kPair.size()))) use(*w);
  }
  for (const StoredTensor& tensor : model.tensors()) {
    if (const auto w = model.matrix(tensor.name)) use(*w);
    (void)model.vector(tensor.name);
  }
  return 0;
}
