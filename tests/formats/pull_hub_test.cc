// The Hub protocol against the hub of pull_server.py.
#include "base/hash.h"
#include "formats/pull_fixture.h"
#include "formats/pull_sources.h"

namespace planeloom::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const char* const kCommit = "0123456789abcdef0123456789abcdef01234567";

class PullHub : public PullTest {
 protected:
  ScopedEnv endpoint_{"HF_ENDPOINT", server_.address() + "/"};
};

TEST_F(PullHub, TheGgufOfARepository) {
  const std::string data = model_bytes(100000);
  make_repository(
      "org/tiny", {},
      {{"tiny-Q8_0.gguf", data}, {"tiny-Q2_K.gguf", model_bytes(50, 2)}, {"README.md", "hello"}});
  const auto path = pull("hf:org/tiny", options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(path->filename(), "org--tiny.gguf");
  EXPECT_EQ(*read_file(*path), data);
  bool by_commit = false;
  for (const auto& entry : server_.log())
    by_commit |= entry["path"] == fmt::format("/org/tiny/resolve/{}/tiny-Q8_0.gguf", kCommit);
  EXPECT_TRUE(by_commit) << "files come from the commit that the listing named";
}

TEST_F(PullHub, AQuantHintOrAFileName) {
  const std::string q2 = model_bytes(500, 2);
  make_repository("org/tiny", {},
                  {{"tiny-Q8_0.gguf", model_bytes(600)}, {"sub/tiny-Q2_K.gguf", q2}});
  options_.quant = "q2_k";
  const auto hinted = pull("hf:org/tiny", options_, progress_);
  ASSERT_TRUE(hinted) << hinted.error().message;
  EXPECT_EQ(*read_file(*hinted), q2);
  EXPECT_EQ(hinted->filename(), "org--tiny--q2_k.gguf");
  options_.quant.clear();
  const auto named = pull("hf:org/tiny@main:sub/tiny-Q2_K.gguf", options_, progress_);
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(*read_file(*named), q2);
  EXPECT_NE(*named, *hinted);
  options_.quant = "Q3_K";
  EXPECT_NE(error_of(pull("hf:org/tiny", options_, progress_)).find("Q3_K"), std::string::npos);
}

TEST_F(PullHub, AFolderOfSafetensors) {
  const std::vector<std::pair<std::string, std::string>> files{
      {"config.json", "{}"},
      {"tokenizer.json", "{\"a\": 1}"},
      {"model-00001-of-00002.safetensors", model_bytes(40000, 3)},
      {"model-00002-of-00002.safetensors", model_bytes(50000, 4)},
      {"model.safetensors.index.json", "{}"}};
  auto all = files;
  all.push_back({"consolidated.safetensors", "twice the same"});
  all.push_back({"pytorch_model.bin", "pickle"});
  make_repository("org/full", {{"drop", 15000}}, all);
  const auto path = pull("hf:org/full", options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(path->filename(), "org--full");
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(*path)) ++count;
  EXPECT_EQ(count, files.size());
  for (const auto& [name, text] : files) EXPECT_EQ(*read_file(*path / name), text) << name;
  EXPECT_EQ(cached().size(), 1u);
}

TEST_F(PullHub, TheTokenOpensGatedModelsAndStaysOnTheHub) {
  make_repository("org/gated", {{"token", "hf_right"}}, {{"a.gguf", model_bytes(100)}});
  const std::string without = error_of(pull("hf:org/gated", options_, progress_));
  EXPECT_NE(without.find("401"), std::string::npos) << without;
  EXPECT_NE(without.find("HF_TOKEN"), std::string::npos) << without;
  EXPECT_NE(without.find("restricted"), std::string::npos) << without;
  {
    const ScopedEnv token("HF_TOKEN", "hf_wrong");
    const std::string wrong = error_of(pull("hf:org/gated", options_, progress_));
    EXPECT_NE(wrong.find("403"), std::string::npos) << wrong;
    EXPECT_EQ(wrong.find("hf_wrong"), std::string::npos) << wrong;
  }
  const ScopedEnv token("HUGGING_FACE_HUB_TOKEN", "hf_right");
  const auto path = pull("hf:org/gated", options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  int storage = 0;
  for (const auto& entry : server_.log()) {
    if (entry["port"] != server_.cdn_port()) continue;
    ++storage;
    EXPECT_EQ(entry["authorization"], "");
  }
  EXPECT_EQ(storage, 1);
}

TEST_F(PullHub, TheTokenFileOfTheHubsOwnTools) {
  make_repository("org/gated", {{"token", "hf_file"}}, {{"a.gguf", model_bytes(100)}});
  fs::create_directories(cache_.path() / ".cache" / "huggingface");
  ASSERT_TRUE(write_file_atomically(cache_.path() / ".cache/huggingface/token", "hf_file\n"));
  const auto path = pull("hf:org/gated", options_, progress_);
  EXPECT_TRUE(path) << error_of(path);
}

TEST_F(PullHub, WhatTheHubSaysOfLargeFilesIsChecked) {
  make_repository("org/sha", {{"wrong_sha", true}}, {{"a.gguf", model_bytes(100)}});
  make_repository("org/size", {{"wrong_size", true}}, {{"a.gguf", model_bytes(100)}});
  make_repository("org/shard", {{"wrong_sha", true}},
                  {{"model.safetensors", "x"}, {"config.json", "{}"}});
  EXPECT_NE(error_of(pull("hf:org/sha", options_, progress_)).find("SHA-256"), std::string::npos);
  EXPECT_NE(error_of(pull("hf:org/size", options_, progress_)).find("bytes"), std::string::npos);
  EXPECT_NE(error_of(pull("hf:org/shard", options_, progress_)).find("SHA-256"), std::string::npos);
  EXPECT_TRUE(cached().empty());
}

TEST_F(PullHub, HostileListings) {
  make_repository("org/up", {{"names", {"../../evil.gguf"}}}, {{"a.gguf", "x"}});
  make_repository("org/root", {{"names", {"/etc/evil.gguf"}}}, {{"a.gguf", "x"}});
  make_repository("org/number", {{"names", json::array({7})}}, {{"a.gguf", "x"}});
  make_repository("org/html", {{"listing", "<html>"}}, {{"a.gguf", "x"}});
  make_repository("org/list", {{"listing", "[]"}}, {{"a.gguf", "x"}});
  make_repository("org/deep", {{"listing", std::string(100000, '[')}}, {{"a.gguf", "x"}});
  make_repository("org/huge", {{"listing", std::string(17 << 20, ' ')}}, {{"a.gguf", "x"}});
  make_repository("org/none", {}, {{"README.md", "x"}});
  make_repository("org/parts", {}, {{"a-00001-of-00002.gguf", "x"}, {"mmproj-a.gguf", "x"}});
  for (const char* id : {"up", "root", "number", "html", "list", "deep", "huge", "none", "parts"}) {
    const auto result = pull(std::string("hf:org/") + id, options_, progress_);
    EXPECT_FALSE(result) << id;
  }
  EXPECT_TRUE(cached().empty());
  EXPECT_FALSE(fs::exists(cache_.path() / "evil.gguf"));
}

TEST_F(PullHub, WhatIsNotThere) {
  make_repository("org/tiny", {}, {{"a.gguf", model_bytes(100)}});
  for (const char* source : {"hf:org/other", "hf:org/tiny:b.gguf", "hf:org/tiny@branch:a.gguf"}) {
    const std::string message = error_of(pull(source, options_, progress_));
    EXPECT_NE(message.find("404"), std::string::npos) << message;
  }
}

TEST(PullNames, Sources) {
  for (const char* bad : {"", "a", "a/b/c", "../b", "a/..", "a/b@", "a/b@..", "a/b:",
                          "a/b:../c.gguf", "a/b:c.bin", "a/b?x", "a b/c", "/a/b", "a/b:/c.gguf"})
    EXPECT_FALSE(parse_hub_source(bad)) << bad;
  const auto source = parse_hub_source("a/b@refs/pr/1:d/c.GGUF");
  ASSERT_TRUE(source);
  EXPECT_EQ(source->id, "a/b");
  EXPECT_EQ(source->revision, "refs/pr/1");
  EXPECT_EQ(source->file, "d/c.GGUF");
}

TEST(PullNames, CacheNames) {
  EXPECT_EQ(cache_name("hf:a/b", ""), "a--b");
  EXPECT_EQ(cache_name("hf:a/b:c.gguf", ""), "a--b--c");
  EXPECT_EQ(cache_name("pypi:x-y==1.0", ""), "x-y==1.0");
  // Whatever comes, the name stays inside the folder and different sources have different names.
  const std::vector<std::string> sources{"https://a/m.gguf",
                                         "https://b/m.gguf",
                                         "https://a/m.gguf?x=1",
                                         "file:/a/m.gguf",
                                         "file:../m.gguf",
                                         "file:..",
                                         "file:",
                                         "https://a/",
                                         "hf:a/b@c",
                                         "hf:a/b@d",
                                         "hf:a/b:c/d.gguf",
                                         "hf:a/b:c--d.gguf",
                                         "pypi:a==1,b==2",
                                         "pypi:a",
                                         "http://a/m.gguf",
                                         "https://a/.gguf",
                                         "https://a/" + std::string(500, 'x'),
                                         "pypi:..",
                                         "hf:../..",
                                         "pypi:m",
                                         "hf:m"};
  std::vector<std::string> names;
  for (const std::string& source : sources) {
    const std::string name = cache_name(source, "");
    EXPECT_TRUE(safe_relative_path(name)) << name;
    EXPECT_EQ(name.find('/'), std::string::npos) << name;
    EXPECT_NE(name[0], '.') << name;
    EXPECT_LT(name.size(), 160u);
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 0) << source << " -> " << name;
    names.push_back(name);
  }
}

TEST(PullNames, TheTableIsSound) {
  for (const PullEntry& entry : pull_table()) {
    EXPECT_TRUE(is_sha256(entry.sha256)) << entry.name;
    EXPECT_TRUE(safe_relative_path(entry.name)) << entry.name;
    EXPECT_EQ(std::count(entry.source.begin(), entry.source.end(), ',') + 1,
              static_cast<int64_t>(entry.members.size()));
    EXPECT_EQ(entry.source.find("://"), std::string::npos);
  }
}

TEST(PullNames, ChoiceAmongFiles) {
  const auto choice = [](const std::vector<std::string>& names, const std::string& quant = "") {
    const auto result = choose_hub_files(names, quant);
    return result ? result->files.front() : std::string("error");
  };
  EXPECT_EQ(choice({"a-F16.gguf", "a-Q4_K_M.gguf", "a-Q2_K.gguf"}), "a-Q4_K_M.gguf");
  EXPECT_EQ(choice({"a-BF16.gguf", "a-f16.gguf", "a-f32.gguf"}), "a-BF16.gguf");
  EXPECT_EQ(choice({"z.gguf", "mmproj-Q8_0.gguf", "b-00001-of-00009.gguf"}), "z.gguf");
  EXPECT_EQ(choice({"a-F16.gguf", "a-Q8_0.gguf"}, "f16"), "a-F16.gguf");
  EXPECT_EQ(choice({"a-F16.gguf"}, "Q8_0"), "error");
  EXPECT_EQ(choice({"config.json"}), "error");
  EXPECT_EQ(choice({"model.safetensors"}), "error");
}

}  // namespace
}  // namespace planeloom::test
