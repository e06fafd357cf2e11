// hf: sources: the protocol of the Hugging Face Hub, as its public documentation describes it.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "base/file.h"
#include "formats/bounded_json.h"
#include "formats/pull_sources.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kLargestListing = uint64_t{16} << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// HF_TOKEN, the older HUGGING_FACE_HUB_TOKEN, or the file that the Hub's own tools write.
std::string hub_token() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const std::string token = environment(name); !token.empty()) return token;
  fs::path home = environment("HF_HOME");
  if (home.empty()) home = fs::path(environment("HOME")) / ".cache" / "huggingface";
  const auto text = read_file(home / "token", 4096);
  if (!text) return {};
  return text->substr(0, text->find_last_not_of(" \r\n\t") + 1);
}

std::string url_escape(const std::string& text, bool keep_slash) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~';
    if (plain || (keep_slash && c == '/'))
      out += static_cast<char>(c);
    else
      out += fmt::format("%{:02X}", c);
  }
  return out;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// One run: where the hub is, and how it is spoken to.
struct Hub {
  std::string endpoint;
  HttpOptions http;
  HubSource source;

  std::string listing_url() const {
    return fmt::format("{}/api/models/{}/revision/{}", endpoint, source.id,
                       url_escape(source.revision, false));
  }
  std::string file_url(const std::string& name) const {
    return fmt::format("{}/{}/resolve/{}/{}", endpoint, source.id,
                       url_escape(source.revision, false), url_escape(name, true));
  }
};

struct Listing {
  std::string commit;
  std::vector<std::string> names;
};

Result<Listing> list_files(const Hub& hub) {
  PL_TRY(const std::string text, http_get(hub.listing_url(), hub.http, kLargestListing));
  JsonLimits limits;
  limits.max_bytes = kLargestListing;
  PL_TRY(const auto answer, parse_bounded_json(text, "hub", limits));
  const std::string& id = hub.source.id;
  if (!answer.is_object() || !answer.contains("siblings") || !answer["siblings"].is_array())
    return fail("[pull] {}: the hub's answer is not a model description", id);
  Listing listing;
  for (const auto& sibling : answer["siblings"]) {
    if (!sibling.is_object() || !sibling.contains("rfilename")) continue;
    const auto& name = sibling["rfilename"];
    if (!name.is_string() || !safe_relative_path(name.get_ref<const std::string&>()))
      return fail("[pull] {}: the hub names a file {}", id,
                  name.dump(-1, ' ', true).substr(0, 200));
    listing.names.push_back(name.get<std::string>());
  }
  if (const auto sha = answer.find("sha"); sha != answer.end() && sha->is_string()) {
    const auto commit = sha->get<std::string>();
    const bool hex = commit.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (commit.size() == 40 && hex) listing.commit = commit;
  }
  return listing;
}

/// Downloads one file to `target` and checks it by what the hub says of large files: their size,
/// and their SHA-256, which is the ETag of the storage behind the hub.
Result<std::string> fetch_one(const Hub& hub, const std::string& name, const fs::path& target,
                              Progress& progress) {
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  const fs::path part = target.string() + ".part";
  PL_TRY(const HttpHeaders headers, http_download(hub.file_url(name), part, hub.http, progress));
  std::string etag = headers.anywhere("x-linked-etag");
  etag.erase(std::remove(etag.begin(), etag.end(), '"'), etag.end());
  if (const std::string size = headers.anywhere("x-linked-size"); !size.empty()) {
    uint64_t wanted = 0;
    std::from_chars(size.data(), size.data() + size.size(), wanted);
    const uint64_t got = fs::file_size(part, error);
    if (got != wanted) {
      fs::remove(part, error);
      return fail("[pull] {}: {} bytes, wanted {}; removed, try again", name, got, wanted);
    }
  }
  fs::rename(part, target, error);
  if (error) return fail("[pull] cannot rename to {}: {}", target.string(), error.message());
  return is_sha256(etag) ? etag : std::string();
}

/// Every file of a repository of safetensors, into a folder that belongs to one commit.
Result<Fetched> fetch_folder(const Hub& hub, const std::vector<std::string>& files,
                             const fs::path& work, Progress& progress) {
  const std::string key = url_escape(hub.source.revision, false);
  const fs::path folder = work / ("repository-" + key), staged = work / ("staged-" + key);
  std::error_code error;
  for (const std::string& name : files) {
    if (fs::exists(folder / name, error)) continue;  // complete before an interruption
    PL_TRY(const std::string wanted, fetch_one(hub, name, staged / name, progress));
    if (!wanted.empty()) {
      PL_TRY(const std::string got, file_sha256(staged / name, progress));
      if (got != wanted) {
        fs::remove(staged / name, error);
        return fail("[pull] {}: SHA-256 is {}, wanted {}; removed, try again", name, got, wanted);
      }
    }
    fs::create_directories(folder, error);
    fs::rename(staged / name, folder / name, error);
    if (error)
      return fail("[pull] cannot rename to {}: {}", (folder / name).string(), error.message());
  }
  return Fetched{folder, "", true};
}

/// Near-lossless first, then the customary four bits, then what is large.
int gguf_rank(const std::string& name) {
  const std::string text = lower(name);
  const char* order[] = {"q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q4_1", "bf16", "f16", "f32"};
  int rank = 0;
  for (const char* quant : order) {
    if (text.find(quant) != std::string::npos) return rank;
    ++rank;
  }
  return rank;
}

bool belongs_in_folder(const std::string& name) {
  for (const char* wanted :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "chat_template.jinja", "model.safetensors.index.json"})
    if (name == wanted) return true;
  // Repositories may hold the same weights once more in other files ("consolidated...").
  return name.starts_with("model") && name.ends_with(".safetensors") &&
         name.find('/') == std::string::npos;
}

/// A .gguf file that is not a whole model by itself.
bool incomplete_gguf(const std::string& name) {
  const std::string text = lower(name);
  for (const char* word : {"-of-0", "mmproj", "imatrix"})
    if (text.find(word) != std::string::npos) return true;
  return false;
}

}  // namespace

Result<HubSource> parse_hub_source(const std::string& text) {
  HubSource source;
  std::string rest = text;
  if (const size_t colon = rest.find(':'); colon != std::string::npos) {
    source.file = rest.substr(colon + 1);
    rest.resize(colon);
    if (!safe_relative_path(source.file) || !lower(source.file).ends_with(".gguf"))
      return fail("[pull] 'hf:{}': wanted a .gguf file after the colon", text);
  }
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    source.revision = rest.substr(at + 1);
    rest.resize(at);
  }
  source.id = rest;
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/';
  };
  const bool shape = std::count(rest.begin(), rest.end(), '/') == 1 && safe_relative_path(rest) &&
                     std::all_of(rest.begin(), rest.end(), plain);
  if (!shape || !safe_relative_path(source.revision))
    return fail("[pull] 'hf:{}': wanted hf:OWNER/REPO[@REVISION][:FILE.gguf]", text);
  return source;
}

Result<HubChoice> choose_hub_files(const std::vector<std::string>& names,
                                   const std::string& quant) {
  std::vector<std::string> ggufs;
  bool parts = false;
  for (const std::string& name : names) {
    if (!lower(name).ends_with(".gguf")) continue;
    if (incomplete_gguf(name))
      parts = true;
    else if (lower(name).find(lower(quant)) != std::string::npos)
      ggufs.push_back(name);
  }
  if (!ggufs.empty()) {
    const auto better = [](const std::string& a, const std::string& b) {
      return std::pair(gguf_rank(a), a) < std::pair(gguf_rank(b), b);
    };
    return HubChoice{{*std::min_element(ggufs.begin(), ggufs.end(), better)}, false};
  }
  if (!quant.empty()) return fail("[pull] no .gguf file with '{}' in its name", quant);
  HubChoice choice{{}, true};
  bool config = false, weights = false;
  for (const std::string& name : names) {
    if (!belongs_in_folder(name)) continue;
    config = config || name == "config.json";
    weights = weights || name.ends_with(".safetensors");
    choice.files.push_back(name);
  }
  if (config && weights) return choice;
  if (parts) return fail("[pull] only .gguf files in several parts, which are not supported");
  return fail("[pull] neither a .gguf file nor config.json with model*.safetensors");
}

Result<Fetched> fetch_hub(const std::string& text, const fs::path& work, const PullOptions& options,
                          Progress& progress) {
  Hub hub;
  PL_TRY(hub.source, parse_hub_source(text));
  hub.http = options.http;
  if (hub.http.bearer_token.empty()) hub.http.bearer_token = hub_token();
  hub.endpoint = environment("HF_ENDPOINT");
  if (hub.endpoint.empty()) hub.endpoint = "https://huggingface.co";
  while (hub.endpoint.ends_with('/')) hub.endpoint.pop_back();
  if (hub.source.file.empty()) {
    PL_TRY(const Listing listing, list_files(hub));
    const auto choice = choose_hub_files(listing.names, options.quant);
    if (!choice) return fail("{}: in the repository {}", choice.error().message, hub.source.id);
    // All files of one pull come from one commit, whatever is pushed meanwhile.
    if (!listing.commit.empty()) hub.source.revision = listing.commit;
    if (choice->folder) return fetch_folder(hub, choice->files, work, progress);
    hub.source.file = choice->files.front();
  }
  const fs::path target = work / "model.gguf";
  PL_TRY(const std::string sha256, fetch_one(hub, hub.source.file, target, progress));
  return Fetched{target, sha256, false};
}

}  // namespace planeloom
