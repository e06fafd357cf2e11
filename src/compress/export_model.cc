#include "compress/export_model.h"

#include <algorithm>

#include "codecs/encode_simple.h"
#include "codecs/rotation.h"
#include "formats/gguf.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

/// Rows decoded and encoded at once: enough for both threads, little memory.
constexpr int64_t kRows = 256;

Status write_matrix(const PackedMatrix& w, DType type, const Compute& compute, GgufWriter& writer) {
  const Codec& codec = *gguf_codec(type);
  const int64_t row_bytes = codec.code_bytes(w.cols);
  std::vector<std::byte> out(static_cast<size_t>(kRows * row_bytes));
  for (int64_t first = 0; first < w.rows; first += kRows) {
    const int64_t rows = std::min(kRows, w.rows - first);
    std::vector<Status> status(static_cast<size_t>(rows));
    compute.pool->parallel_for(rows, 8, [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(w.cols));
      for (int64_t r = begin; r < end; ++r) {
        w.codec->decode_row(w, first + r, row.data());
        if (w.rotation) w.rotation->undo(row.data());
        status[static_cast<size_t>(r)] =
            encode_simple(type, row,
                          std::span(out).subspan(static_cast<size_t>(r * row_bytes),
                                                 static_cast<size_t>(row_bytes)));
      }
    });
    for (auto& s : status) PL_CHECK(std::move(s));
    PL_CHECK(writer.write(std::span(out).first(static_cast<size_t>(rows * row_bytes))));
  }
  return {};
}

}  // namespace

Status export_model(const Model& model, DType type, const std::filesystem::path& out,
                    const Compute& compute, Progress& progress) {
  const ModelFile& file = *model.file;
  if (type != DType::kF16 && type != DType::kQ8_0)
    return fail("[export] type {}, wanted F16 or Q8_0", dtype_info(type).name);
  if (file.metadata().has("planeloom.tokenizer_json"))
    return fail(
        "[export] the model came from a Hugging Face folder, whose tokenizer other engines cannot "
        "read from a GGUF: "
        "convert the folder with their own tool");
  Metadata metadata;
  for (const auto& [key, value] : file.metadata().entries())
    if (!key.starts_with("planeloom.")) metadata.set(key, value);
  metadata.set("general.file_type",
               type == DType::kF16 ? uint32_t{1} : uint32_t{7});  // MOSTLY_F16, MOSTLY_Q8_0

  std::vector<TensorSpec> specs;
  std::vector<const StoredTensor*> copied;
  std::vector<std::string> names;  // of what only Planeloom reads, in the order of the tensors
  for (const StoredTensor& t : file.tensors()) {
    const std::string name(whole_name(file.metadata(), pair_name(file.metadata(), t.name)));
    if (name != t.name) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
      continue;
    }
    specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
    copied.push_back(&t);
  }
  std::vector<PackedMatrix> matrices;
  for (const std::string& name : names) {
    PL_TRY(const PackedMatrix w, file.matrix(name));
    if (w.cols % gguf_codec(type)->col_multiple() != 0)
      return fail("[export] {}: {} columns are no multiple of {}", name, w.cols,
                  gguf_codec(type)->col_multiple());
    specs.push_back({name, type, {w.cols, w.rows}});
    matrices.push_back(w);
  }
  PL_TRY(GgufWriter writer, GgufWriter::create(out, metadata, specs));
  for (const StoredTensor* t : copied) PL_CHECK(writer.write_tensor(t->data));
  for (size_t i = 0; i < matrices.size(); ++i) {
    if (interrupted()) return fail("[export] interrupted; nothing was written");
    progress.update("export", i, matrices.size());
    PL_CHECK(write_matrix(matrices[i], type, compute, writer));
  }
  progress.update("export", matrices.size(), matrices.size());
  return writer.commit();
}

}  // namespace planeloom
