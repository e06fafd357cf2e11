#include "compress/quantized_file.h"

#include <algorithm>

#include "formats/gguf.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

/// "blk.0.attn_q.weight.planes" -> "blk.0.attn_q.weight"; other names as they are.
std::string base_name(const std::string& name) {
  for (const char* suffix : {".planes", ".coef"})
    if (name.ends_with(suffix)) return name.substr(0, name.size() - std::string_view(suffix).size());
  return name;
}

}  // namespace

Status write_quantized(const ModelFile& file,
                       const std::map<std::string, const PackedMatrix*>& matrices,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::filesystem::path& out) {
  Metadata all;
  for (const auto& [key, value] : file.metadata().entries())
    if (std::ranges::none_of(kWeightKeys, [&](auto prefix) { return key.starts_with(prefix); }))
      all.set(key, value);
  for (const auto& [key, value] : metadata) all.set(key, value);
  std::vector<TensorSpec> specs;
  std::vector<const StoredTensor*> copied;
  for (const StoredTensor& t : file.tensors()) {
    const std::string base = base_name(t.name);
    if (matrices.contains(t.name) || matrices.contains(base)) continue;
    if (base != t.name)
      for (const std::string_view prefix : kWeightKeys)
        if (const std::string key = std::string(prefix) + base; file.metadata().has(key))
          all.set(key, *file.metadata().find(key));
    specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
    copied.push_back(&t);
  }
  for (const auto& [name, w] : matrices) add_pair(name, *w, all, specs);
  PL_TRY(GgufWriter writer, GgufWriter::create(out, all, specs));
  for (const StoredTensor* t : copied) PL_CHECK(writer.write_tensor(t->data));
  for (const auto& [name, w] : matrices) PL_CHECK(write_pair(writer, name, *w));
  return writer.commit();
}

}  // namespace planeloom
