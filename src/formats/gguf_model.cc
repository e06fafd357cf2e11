#include <string>

#include "formats/gguf.h"

namespace planeloom {
namespace {

constexpr int64_t kMaxShards = 10000;

/// "NAME-00001-of-00003.gguf" -> "NAME-00002-of-00003.gguf"; empty when the name is not of that
/// form.
std::filesystem::path shard_path(const std::filesystem::path& first, int64_t number,
                                 int64_t count) {
  const std::string name = first.filename().string();
  const std::string ending = fmt::format("-{:05}-of-{:05}.gguf", 1, count);
  if (!name.ends_with(ending)) return {};
  const std::string stem = name.substr(0, name.size() - ending.size());
  return first.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, count);
}

class GgufModel final : public ModelFile {
 public:
  Status load(const std::filesystem::path& path) {
    PL_TRY(GgufContents first, map_and_parse(path));
    metadata_ = std::move(first.metadata);
    PL_CHECK(add(std::move(first.tensors)));
    const int64_t count = metadata_.integer_or("split.count", 1);
    if (count == 1) return {};
    if (count < 1 || count > kMaxShards)
      return fail("[gguf] {}: split.count is {}", path.string(), count);
    if (metadata_.integer_or("split.no", 0) != 0 || shard_path(path, 1, count).empty())
      return fail("[gguf] {}: one of {} files; open the first, named NAME-00001-of-{:05}.gguf",
                  path.string(), count, count);
    for (int64_t n = 2; n <= count; ++n) PL_CHECK(load_shard(shard_path(path, n, count), n, count));
    const int64_t expected =
        metadata_.integer_or("split.tensors.count", static_cast<int64_t>(tensors_.size()));
    if (expected != static_cast<int64_t>(tensors_.size()))
      return fail("[gguf] {}: {} tensors in all files, split.tensors.count says {}", path.string(),
                  tensors_.size(), expected);
    return {};
  }

 private:
  Result<GgufContents> map_and_parse(const std::filesystem::path& path) {
    PL_TRY(MappedFile file, MappedFile::open(path));
    auto contents = parse_gguf(file.bytes());
    if (!contents) return fail("{} in {}", contents.error().message, path.string());
    file_bytes_ += file.bytes().size();
    files_.push_back(std::move(file));
    return contents;
  }

  Status load_shard(const std::filesystem::path& path, int64_t number, int64_t count) {
    PL_TRY(GgufContents shard, map_and_parse(path));
    if (shard.metadata.integer_or("split.count", 0) != count ||
        shard.metadata.integer_or("split.no", -1) != number - 1)
      return fail("[gguf] {}: split.no and split.count do not say file {} of {}", path.string(),
                  number, count);
    return add(std::move(shard.tensors));
  }

  Status add(std::vector<StoredTensor> tensors) {
    for (StoredTensor& tensor : tensors) {
      if (!index_.emplace(tensor.name, tensors_.size()).second)
        return fail("[gguf] tensor {} occurs in two files", tensor.name);
      tensors_.push_back(std::move(tensor));
    }
    return {};
  }

  std::vector<MappedFile> files_;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> open_gguf(const std::filesystem::path& path) {
  auto model = std::make_shared<GgufModel>();
  PL_CHECK(model->load(path));
  return model;
}

}  // namespace planeloom
