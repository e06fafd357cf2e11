// The misbehaving server of pull_server.py as an object, and what the tests of `pull` share.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/rng.h"
#include "formats/gguf_builder.h"
#include "formats/pull.h"
#include "formats/temp_dir.h"

namespace planeloom::test {

/// Runs a Python script of this folder; its standard output can be read, its standard input closed.
class PythonScript {
 public:
  PythonScript(const std::string& script, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {PLANELOOM_TEST_PYTHON,
                                         std::string(PLANELOOM_TEST_DATA) + "/formats/" + script});
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) abort();
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    input_ = in[1];
    output_ = fdopen(out[0], "r");
  }
  ~PythonScript() { finish(); }
  PythonScript(const PythonScript&) = delete;
  PythonScript& operator=(const PythonScript&) = delete;

  std::string read_line() {
    char line[256] = {};
    return std::fgets(line, sizeof line, output_) ? line : "";
  }
  /// Closes its input, waits for its end; the exit status.
  int finish() {
    if (child_ <= 0) return status_;
    close(input_);
    while (std::fgetc(output_) != EOF) {
    }
    std::fclose(output_);
    waitpid(child_, &status_, 0);
    child_ = 0;
    return status_;
  }

 private:
  pid_t child_ = 0;
  int input_ = -1, status_ = 0;
  std::FILE* output_ = nullptr;
};

class PullServer {
 public:
  explicit PullServer(const std::filesystem::path& root)
      : script_("pull_server.py", {root.string()}) {
    const std::string line = script_.read_line();
    if (std::sscanf(line.c_str(), "%d %d", &port_, &cdn_port_) != 2) abort();
  }
  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// ROOT/NAME served with options, see pull_server.py.
  std::string file(const std::string& options, const std::string& name = "model.gguf") const {
    return address() + "/f/" + options + "/" + name;
  }
  int cdn_port() const { return cdn_port_; }
  nlohmann::json log() const {
    const auto text = http_get(address() + "/log", {}, 1 << 20);
    return text ? nlohmann::json::parse(*text) : nlohmann::json();
  }

 private:
  PythonScript script_;
  int port_ = 0, cdn_port_ = 0;
};

/// An environment variable for the length of a test.
class ScopedEnv {
 public:
  ScopedEnv(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old, had_ = true;
    setenv(name, value.c_str(), 1);
  }
  ~ScopedEnv() { had_ ? setenv(name_, old_.c_str(), 1) : unsetenv(name_); }
  ScopedEnv(const ScopedEnv&) = delete;
  ScopedEnv& operator=(const ScopedEnv&) = delete;

 private:
  const char* name_;
  std::string old_;
  bool had_ = false;
};

/// Says nothing, and calls back once `done` has reached `at`.
class ProgressAt : public Progress {
 public:
  explicit ProgressAt(uint64_t at = ~uint64_t{0}, std::function<void()> then = {})
      : at_(at), then_(std::move(then)) {}
  void update(std::string_view, uint64_t done, uint64_t total) override {
    last_done = done;
    last_total = total;
    if (done < at_ || !then_) return;
    std::exchange(then_, nullptr)();
  }
  uint64_t last_done = 0, last_total = 0;

 private:
  uint64_t at_;
  std::function<void()> then_;
};

/// A GGUF file of exactly `size` bytes that no mistake reproduces: one tensor of I8. Below 65 bytes
/// there is room for its first four only.
inline std::string model_bytes(size_t size, uint64_t seed = 1) {
  Rng rng(seed);
  constexpr size_t kFront = 64;
  constexpr uint32_t kI8 = 24;
  test::Bytes front;
  front.raw("GGUF").u32(3).u64(1).u64(0).string("w").u32(1).u64(size - kFront).u32(kI8).u64(0);
  std::string text = size > kFront ? front.pad(kFront).text() : "GGUF";
  while (text.size() < size) text += static_cast<char>(rng.next() & 255);
  return text;
}

class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("HF_TOKEN");
    unsetenv("HUGGING_FACE_HUB_TOKEN");
    options_.folder = cache_.path() / "models";
    options_.http.first_delay_ms = 5;
    options_.http.low_speed_seconds = 1;
  }
  void make_repository(const std::string& id, const nlohmann::json& options,
                       const std::vector<std::pair<std::string, std::string>>& files) {
    const auto folder = root_.path() / "hub" / id;
    for (const auto& [name, text] : files) {
      std::filesystem::create_directories((folder / name).parent_path());
      ASSERT_TRUE(write_file_atomically(folder / name, text));
    }
    if (options.empty()) return;
    ASSERT_TRUE(write_file_atomically(folder / ".options", options.dump()));
  }
  /// The names in the cache that a user sees.
  std::vector<std::string> cached() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(options_.folder, error))
      if (entry.path().filename().string()[0] != '.') names.push_back(entry.path().filename());
    return names;
  }
  static std::string error_of(const Result<std::filesystem::path>& result) {
    return result ? "no error" : result.error().message;
  }

  TempDir root_, cache_;
  ScopedEnv home_{"HOME", cache_.path().string()};
  ScopedEnv hf_home_{"HF_HOME", ""};
  ScopedEnv no_proxy_{"no_proxy", "127.0.0.1"};
  PullServer server_{root_.path()};
  PullOptions options_;
  ProgressAt progress_;
};

}  // namespace planeloom::test
