#include "compress/quantized_file.h"

#include <algorithm>

#include "formats/gguf.h"
#include "formats/planes_pair.h"

namespace planeloom {
namespace {

/// What the file will hold, in order: copies, then pairs.
struct Plan {
  Metadata metadata;
  std::vector<TensorSpec> specs;
  std::vector<const StoredTensor*> copied;
};

Plan plan_of(const ModelFile& file, const ReplacedMatrices& matrices) {
  Plan plan;
  for (const auto& [key, value] : file.metadata().entries())
    if (std::ranges::none_of(kWeightKeys, [&](auto prefix) { return key.starts_with(prefix); }))
      plan.metadata.set(key, value);
  for (const StoredTensor& t : file.tensors()) {
    const std::string pair(pair_name(file.metadata(), t.name)),
        whole(whole_name(file.metadata(), pair));
    if (matrices.contains(pair) || matrices.contains(whole)) continue;
    for (const std::string& of : {pair, whole})
      for (const std::string_view prefix : kWeightKeys)
        if (const std::string key = std::string(prefix) + of; file.metadata().has(key))
          plan.metadata.set(key, *file.metadata().find(key));
    plan.specs.push_back({t.name, t.type, {t.dims.begin(), t.dims.begin() + t.n_dims}});
    plan.copied.push_back(&t);
  }
  for (const auto& [name, w] : matrices) add_pair(name, *w, plan.metadata, plan.specs);
  return plan;
}

}  // namespace

Status write_quantized(const ModelFile& file, const ReplacedMatrices& matrices,
                       const std::vector<std::pair<std::string, std::string>>& metadata,
                       const std::filesystem::path& out) {
  Plan plan = plan_of(file, matrices);
  for (const auto& [key, value] : metadata) plan.metadata.set(key, value);
  PL_TRY(GgufWriter writer, GgufWriter::create(out, plan.metadata, std::move(plan.specs)));
  for (const StoredTensor* t : plan.copied) PL_CHECK(writer.write_tensor(t->data));
  for (const auto& [name, w] : matrices) PL_CHECK(write_pair(writer, name, *w));
  return writer.commit();
}

Result<uint64_t> quantized_size(const ModelFile& file, const ReplacedMatrices& matrices) {
  const Plan plan = plan_of(file, matrices);
  return GgufWriter::size_of(plan.metadata, plan.specs);
}

}  // namespace planeloom
