#include "formats/hf_folder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/file.h"
#include "formats/bounded_json.h"
#include "formats/safetensors.h"

namespace planeloom {
namespace {

using Json = nlohmann::json;
using Path = std::filesystem::path;

constexpr uint64_t kMaxSmallText = uint64_t{4} << 20;    // config.json, chat templates
constexpr uint64_t kMaxTokenizer = uint64_t{256} << 20;  // tokenizer.json: Gemma's has 33 MB
constexpr uint64_t kMaxIndex = uint64_t{32} << 20;
constexpr size_t kMaxShards = 4096;

bool has_file(const Path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

/// A shard's name as an index may give it: a plain file name, so that nothing outside the folder is
/// opened.
bool plain_name(std::string_view name) {
  return name.ends_with(".safetensors") && name.size() < 256 && name[0] != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

/// What a checkpoint may hold that the text model does not compute with: the tower that sees
/// pictures, and rotary frequencies that old versions of transformers saved.
bool beside_the_text_model(std::string_view name) {
  if (name.ends_with(".rotary_emb.inv_freq")) return true;
  if (name.starts_with("model.")) name.remove_prefix(std::string_view("model.").size());
  return name.starts_with("vision_tower.") || name.starts_with("multi_modal_projector.");
}

/// An id or a list of ids, as "eos_token_id" may be; anything else counts as absent.
std::vector<int32_t> token_ids(const Json& object, const char* key) {
  std::vector<int32_t> ids;
  const auto it = object.find(key);
  if (it == object.end()) return ids;
  const auto add = [&](const Json& value) {
    if (value.is_number_unsigned() && std::in_range<int32_t>(value.get<uint64_t>()))
      ids.push_back(static_cast<int32_t>(value.get<uint64_t>()));
  };
  if (it->is_array()) {
    for (const Json& value : *it) add(value);
  } else {
    add(*it);
  }
  return ids;
}

class HfModel final : public ModelFile {
 public:
  Status load(const Path& folder) {
    PL_TRY(const std::string config, read_file(folder / "config.json", kMaxSmallText));
    PL_TRY(metadata_, translate_hf_config(config));
    file_bytes_ += config.size();
    PL_TRY(architecture_, metadata_.string("general.architecture"));
    metadata_.set("general.name",
                  std::filesystem::absolute(folder).lexically_normal().filename().string());
    PL_CHECK(load_tensors(folder));
    PL_CHECK(settle_output());
    PL_CHECK(load_tokenizer(folder));
    return load_token_ids(folder, config);
  }

 private:
  Status load_tensors(const Path& folder) {
    const Path single = folder / "model.safetensors",
               index = folder / "model.safetensors.index.json";
    if (has_file(single)) return load_shard(single, nullptr, 0);
    if (!has_file(index))
      return fail("[hf] {}: neither model.safetensors nor model.safetensors.index.json",
                  folder.string());
    PL_TRY(const std::string text, read_file(index, kMaxIndex));
    PL_TRY(const Json json,
           parse_bounded_json(text, index.filename().string(), {kMaxIndex, 1 << 20, 8}));
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    if (!json.is_object() || map == json.end() || !map->is_object())
      return fail("[hf] {}: no weight_map", index.string());
    std::map<std::string, size_t> shards;  // file -> tensors expected in it
    for (const auto& [tensor, file] : map->items()) {
      if (!file.is_string() || !plain_name(file.get<std::string>()))
        return fail("[hf] {}: tensor {} is in no plain *.safetensors file", index.string(),
                    tensor.substr(0, 128));
      ++shards[file.get<std::string>()];
    }
    if (shards.size() > kMaxShards) return fail("[hf] {}: {} files", index.string(), shards.size());
    for (const auto& [file, count] : shards) PL_CHECK(load_shard(folder / file, &*map, count));
    return {};
  }

  /// With an index, exactly the tensors that it places in this file are taken, and all must be
  /// there.
  Status load_shard(const Path& path, const Json* map, size_t expected) {
    PL_TRY(MappedFile file, MappedFile::open(path));
    auto parsed = parse_safetensors(file.bytes());
    if (!parsed) return fail("{} in {}", parsed.error().message, path.string());
    const std::string file_name = path.filename().string();
    size_t taken = 0;
    for (const SafeTensor& tensor : *parsed) {
      if (map && (!map->contains(tensor.name) || (*map)[tensor.name] != file_name)) continue;
      PL_CHECK(add(tensor));
      ++taken;
    }
    if (map && taken != expected)
      return fail("[hf] {}: {} of the {} tensors that the index places there", path.string(), taken,
                  expected);
    file_bytes_ += file.bytes().size();
    files_.push_back(std::move(file));
    return {};
  }

  Status add(const SafeTensor& tensor) {
    StoredTensor stored;
    if (beside_the_text_model(tensor.name)) return {};
    stored.name = translate_hf_tensor_name(architecture_, tensor.name);
    // A name without a translation stays what it is: whoever loads the model decides what it means.
    if (stored.name.empty()) stored.name = tensor.name;
    if (index_.contains(stored.name))
      return fail("[hf] tensor {} ({}) occurs twice", tensor.name, stored.name);
    const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
    if (tensor.dtype == "F32") {
      stored.type = DType::kF32;
    } else if (tensor.dtype == "F16") {
      stored.type = DType::kF16;
    } else if (tensor.dtype == "BF16") {
      stored.type = DType::kBF16;
    } else {
      return fail("[hf] tensor {} is stored as {}; F32, F16 and BF16 are read", tensor.name,
                  tensor.dtype);
    }
    if (empty || tensor.shape.size() > 4)
      return fail("[hf] tensor {}: {} dimensions{}", tensor.name, tensor.shape.size(),
                  empty ? ", one of them 0" : "");
    stored.n_dims = std::max<int>(1, static_cast<int>(tensor.shape.size()));
    std::reverse_copy(tensor.shape.begin(), tensor.shape.end(), stored.dims.begin());
    stored.data = tensor.data;
    index_.emplace(stored.name, tensors_.size());
    tensors_.push_back(std::move(stored));
    return {};
  }

  /// A tied model may still carry a copy of its embedding as lm_head; transformers ignores it, and
  /// so do we.
  Status settle_output() {
    const auto output = index_.find("output.weight");
    if (!metadata_.boolean_or("planeloom.tied_embeddings", false)) {
      if (output == index_.end())
        return fail(
            "[hf] lm_head.weight is absent and config.json does not tie it to the embedding");
      return {};
    }
    if (output == index_.end()) return {};
    tensors_.erase(tensors_.begin() + static_cast<std::ptrdiff_t>(output->second));
    index_.clear();
    for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
    return {};
  }

  Result<std::string> optional_file(const Path& path, uint64_t limit) {
    if (!has_file(path)) return std::string();
    PL_TRY(std::string text, read_file(path, limit));
    file_bytes_ += text.size();
    return text;
  }

  Status load_tokenizer(const Path& folder) {
    PL_TRY(std::string tokenizer, optional_file(folder / "tokenizer.json", kMaxTokenizer));
    PL_TRY(std::string config, optional_file(folder / "tokenizer_config.json", kMaxTokenizer / 8));
    PL_TRY(std::string chat, optional_file(folder / "chat_template.jinja", kMaxSmallText));
    if (!config.empty()) {
      const JsonLimits limits{kMaxTokenizer / 8, uint64_t{1} << 21, 32};
      PL_TRY(const Json json, parse_bounded_json(config, "tokenizer_config.json", limits));
      if (chat.empty() && json.is_object()) chat = template_of(json);
      metadata_.set("planeloom.tokenizer_config_json", std::move(config));
    }
    if (!tokenizer.empty()) metadata_.set("planeloom.tokenizer_json", std::move(tokenizer));
    if (!chat.empty()) metadata_.set("tokenizer.chat_template", std::move(chat));
    return {};
  }

  /// "chat_template": a string, or a list of {name, template} of which "default" is the one for
  /// chat.
  static std::string template_of(const Json& config) {
    const auto it = config.find("chat_template");
    if (it == config.end()) return {};
    if (it->is_string()) return it->get<std::string>();
    if (!it->is_array()) return {};
    for (const Json& entry : *it)
      if (entry.is_object() && entry.value("name", Json()) == "default" &&
          entry.contains("template") && entry["template"].is_string())
        return entry["template"].get<std::string>();
    return {};
  }

  /// generation_config.json knows best; config.json (or its text_config) otherwise.
  Status load_token_ids(const Path& folder, const std::string& config_text) {
    std::vector<Json> sources;
    PL_TRY(const std::string generation,
           optional_file(folder / "generation_config.json", kMaxSmallText));
    if (!generation.empty()) {
      PL_TRY(Json json, parse_bounded_json(generation, "generation_config.json"));
      sources.push_back(std::move(json));
    }
    PL_TRY(Json config, parse_bounded_json(config_text, "config.json"));
    if (const auto text = config.find("text_config"); text != config.end())
      sources.push_back(*text);
    sources.push_back(std::move(config));
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      for (const Json& source : sources) {
        const std::vector<int32_t> ids =
            source.is_object() ? token_ids(source, key) : std::vector<int32_t>();
        if (ids.empty()) continue;
        set_ids(key, ids);
        break;
      }
    }
    return {};
  }

  void set_ids(std::string_view key, const std::vector<int32_t>& ids) {
    const std::string name = key == "pad_token_id" ? "padding_token_id" : std::string(key);
    metadata_.set("tokenizer.ggml." + name, static_cast<uint32_t>(ids[0]));
    if (key == "eos_token_id") metadata_.set("planeloom.eos_token_ids", ids);
  }

  std::string architecture_;
  std::vector<MappedFile> files_;
};

}  // namespace

Result<std::shared_ptr<const ModelFile>> open_hf_folder(const std::filesystem::path& folder) {
  auto model = std::make_shared<HfModel>();
  PL_CHECK(model->load(folder));
  return model;
}

}  // namespace planeloom
