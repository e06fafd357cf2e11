// Downloads from a server that misbehaves in every way that pull_server.py knows.
#include <sys/resource.h>

#include <thread>

#include "base/hash.h"
#include "formats/pull_fixture.h"
#include "formats/pull_sources.h"

namespace planeloom::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSize = 300000;

std::string sha256(const std::string& text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex();
}

class PullHttp : public PullTest {
 protected:
  void SetUp() override {
    PullTest::SetUp();
    root_.write("model.gguf", data_);
    part_ = cache_.path() / "part";
  }
  Result<HttpHeaders> download(const std::string& url) {
    return http_download(url, part_, options_.http, progress_);
  }
  void expect_whole(const std::string& url) {
    const auto result = download(url);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*read_file(part_), data_);
    EXPECT_FALSE(fs::exists(part_.string() + ".json"));
    EXPECT_EQ(progress_.last_done, kSize);
  }
  /// How many requests for `url` asked for a range.
  int ranges(const std::string& url) {
    int count = 0;
    for (const auto& entry : server_.log())
      count += server_.address() + entry["path"].get<std::string>() == url && entry["range"] != "";
    return count;
  }

  std::string data_ = model_bytes(kSize);
  fs::path part_;
};

TEST_F(PullHttp, WholeFile) {
  const std::string url = server_.file("-");
  expect_whole(url);
  EXPECT_EQ(progress_.last_total, kSize);
  EXPECT_EQ(ranges(url), 0);
}

TEST_F(PullHttp, DroppedConnectionsAreResumedByRanges) {
  const std::string url = server_.file("drop:70000");
  expect_whole(url);
  EXPECT_EQ(ranges(url), 4);  // 70000, 140000, 210000, 280000
  for (const auto& entry : server_.log()) EXPECT_EQ(entry["range"] == "", entry["if_range"] == "");
}

TEST_F(PullHttp, ADateIsAValidatorToo) {
  const std::string url = server_.file("drop:200000+date");
  expect_whole(url);
  EXPECT_EQ(ranges(url), 1);
}

TEST_F(PullHttp, WithoutAStrongValidatorNothingIsPatchedTogether) {
  for (const char* kind : {"noetag", "weak"}) {
    const std::string url = server_.file(std::string("drop:70000+limit:2+") + kind);
    expect_whole(url);
    EXPECT_EQ(ranges(url), 0) << kind;
  }
}

TEST_F(PullHttp, ServersThatIgnoreRanges) {
  expect_whole(server_.file("drop:70000+limit:3+norange"));
}

TEST_F(PullHttp, ChunkedTransfer) { expect_whole(server_.file("drop:70000+chunked")); }

TEST_F(PullHttp, WrongPositionsAndSizesAreNotAppended) {
  expect_whole(server_.file("drop:70000+limit:2+badrange"));
  expect_whole(server_.file("drop:70000+limit:2+longer"));
}

TEST_F(PullHttp, AFileThatChangesBetweenTwoAnswersIsTakenAnew) {
  const auto result = download(server_.file("drop:70000+limit:1+changing"));
  ASSERT_TRUE(result) << result.error().message;
  std::string changed = data_;
  for (size_t i = 4; i < changed.size(); ++i) changed[i] = static_cast<char>(~changed[i]);
  EXPECT_EQ(*read_file(part_), changed);
}

TEST_F(PullHttp, BusyServersAreAskedAgain) {
  expect_whole(server_.file("status:503+limit:2"));
  expect_whole(server_.file("status:429+limit:2"));
}

TEST_F(PullHttp, RetryAfterIsHonouredAndBounded) {
  const auto begin = std::chrono::steady_clock::now();
  options_.http.longest_delay_ms = 400;
  expect_whole(server_.file("status:429+limit:1+retry_after:3000"));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, std::chrono::milliseconds(400));
  EXPECT_LT(took, std::chrono::seconds(20));
}

TEST_F(PullHttp, TriesAreBounded) {
  options_.http.attempts = 3;
  const std::string url = server_.file("status:503");
  const auto result = download(url);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("503"), std::string::npos) << result.error().message;
  EXPECT_EQ(server_.log().size(), 3u);
}

TEST_F(PullHttp, HopelessAnswersAreNotTriedAgain) {
  for (const char* status : {"401", "403", "404", "410"}) {
    const size_t before = server_.log().size();
    const auto result = download(server_.file(std::string("status:") + status));
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find(status), std::string::npos) << result.error().message;
    EXPECT_EQ(server_.log().size(), before + 1);
  }
}

TEST_F(PullHttp, SilenceIsATimeout) {
  options_.http.attempts = 1;
  const auto begin = std::chrono::steady_clock::now();
  const auto result = download(server_.file("stall:50000"));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("imeout"), std::string::npos) << result.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_EQ(fs::file_size(part_), 50000u);
}

TEST_F(PullHttp, SilenceIsResumed) { expect_whole(server_.file("stall:150000+limit:1")); }

TEST_F(PullHttp, RedirectsAreBounded) {
  const auto result = download(server_.file("loop"));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("redirects"), std::string::npos) << result.error().message;
  EXPECT_LE(server_.log().size(), 11u);
}

TEST_F(PullHttp, TheTokenStaysWithItsHost) {
  options_.http.bearer_token = "secret";
  expect_whole(server_.file("redirect"));
  const auto log = server_.log();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0]["authorization"], "Bearer secret");
  EXPECT_EQ(log[1]["port"], server_.cdn_port());
  EXPECT_EQ(log[1]["authorization"], "");
}

TEST_F(PullHttp, EmptyFileReplacesAnOldPart) {
  const auto result = download(server_.file("empty"));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(fs::file_size(part_), 0u);
}

TEST_F(PullHttp, PartsOfAnotherUrlAreNotContinued) {
  options_.http.attempts = 1;
  ASSERT_FALSE(download(server_.file("drop:70000")));
  ASSERT_EQ(fs::file_size(part_), 70000u);
  const std::string url = server_.file("-");
  expect_whole(url);
  EXPECT_EQ(ranges(url), 0);
}

TEST_F(PullHttp, DamagedSidecarsStartAfresh) {
  for (const char* text :
       {"", "{", "[]", R"({"url": 1})", R"({"url":"x","validator":3,"size":-1})"}) {
    ASSERT_TRUE(write_file_atomically(part_, "GGUFrubbish"));
    ASSERT_TRUE(write_file_atomically(part_.string() + ".json", text));
    expect_whole(server_.file("-"));
  }
}

TEST_F(PullHttp, WholePartsAndTooLongPartsAreNoticed) {
  const std::string url = server_.file("-");
  for (const size_t extra : {0, 100}) {
    ASSERT_TRUE(write_file_atomically(part_, data_ + std::string(extra, 'x')));
    const nlohmann::json sidecar{
        {"url", url}, {"validator", '"' + sha256(data_).substr(0, 16) + '"'}, {"size", kSize}};
    ASSERT_TRUE(write_file_atomically(part_.string() + ".json", sidecar.dump()));
    const auto result = download(url);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(*read_file(part_), data_);
  }
}

TEST_F(PullHttp, ContradictionsEnd) {
  const auto result = download(server_.file("drop:70000+always416"));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("contradict"), std::string::npos) << result.error().message;
}

TEST_F(PullHttp, CtrlCLeavesAResumablePart) {
  const std::string url = server_.file("rate:400000");
  install_interrupt_handler();
  ProgressAt progress(100000, [] { raise(SIGINT); });
  const auto result = http_download(url, part_, options_.http, progress);
  clear_interrupt();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("interrupted"), std::string::npos);
  const auto have = fs::file_size(part_);
  EXPECT_GE(have, 100000u);
  EXPECT_LT(have, kSize);
  expect_whole(url);
  EXPECT_EQ(ranges(url), 1);
}

TEST_F(PullHttp, KilledDownloadsGoOnWithTheSameBytes) {
  const std::string url = server_.file("rate:300000");
  for (int kill_at : {40000, 120000, 200000}) {
    const pid_t child = fork();
    if (child == 0) {
      ProgressAt quiet;
      _exit(http_download(url, part_, options_.http, quiet) ? 0 : 1);
    }
    std::error_code error;
    for (int waits = 0; waits < 1000; ++waits) {
      if (fs::file_size(part_, error) >= static_cast<uint64_t>(kill_at) && !error) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child was done before it was killed";
  }
  expect_whole(url);
  EXPECT_EQ(ranges(url), 3);
}

TEST_F(PullHttp, AFullDiskIsSaidPlainly) {
  const std::string url = server_.file("-"), message = cache_.path() / "message";
  const pid_t child = fork();
  if (child == 0) {  // a file-size limit stands for a full disk: write() fails in the same place
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto result = download(url);
    (void)write_file_atomically(message, result ? "no error" : result.error().message);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_NE(read_file(message)->find("File too large"), std::string::npos) << *read_file(message);
  expect_whole(url);
}

TEST_F(PullHttp, AnswersInMemoryAreBounded) {
  const auto whole = http_get(server_.file("-"), options_.http, kSize);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(*whole, data_);
  EXPECT_FALSE(http_get(server_.file("-"), options_.http, kSize - 1));
}

TEST_F(PullHttp, OtherProtocolsAndNobodyThere) {
  options_.http.attempts = 1;
  EXPECT_FALSE(download("file:///etc/passwd"));
  EXPECT_FALSE(download("ftp://127.0.0.1/x"));
  EXPECT_FALSE(download("http://127.0.0.1:1/x"));
}

TEST_F(PullHttp, MessagesHideSecrets) {
  EXPECT_EQ(shown_url("https://user:pass@host/a/b?token=1#x"), "https://host/a/b");
  EXPECT_EQ(shown_url("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(shown_url("https://host"), "https://host");
}

TEST_F(PullHttp, PullFromAnAddress) {
  const auto path = pull(server_.file("drop:70000"), options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data_);
  EXPECT_EQ(cached().size(), 1u);
  const size_t asked = server_.log().size();
  ASSERT_EQ(*pull(server_.file("drop:70000"), options_, progress_), *path);
  EXPECT_EQ(server_.log().size(), asked) << "a model that is there needs no network";
  // The same file name elsewhere is another model.
  const auto other = pull(server_.file("-"), options_, progress_);
  ASSERT_TRUE(other);
  EXPECT_NE(*other, *path);
}

TEST_F(PullHttp, ChecksumsAreVerifiedBeforeTheRename) {
  const std::string url = server_.file("-");
  const auto wrong = pull(url + "#sha256=" + sha256("other"), options_, progress_);
  EXPECT_NE(error_of(wrong).find("SHA-256"), std::string::npos) << error_of(wrong);
  EXPECT_TRUE(cached().empty());
  for (const char* slip : {"#sha256=12", "#sha1=12", "#part"})
    EXPECT_NE(error_of(pull(url + slip, options_, progress_)).find("64"), std::string::npos)
        << slip;
  const auto right = pull(url + "#sha256=" + sha256(data_), options_, progress_);
  ASSERT_TRUE(right) << right.error().message;
  EXPECT_EQ(*file_sha256(*right, progress_), sha256(data_));
}

TEST_F(PullHttp, AWebPageIsNoModel) {
  root_.write("page.gguf", "<html>please log in</html>");
  const auto result = pull(server_.file("-", "page.gguf"), options_, progress_);
  EXPECT_NE(error_of(result).find("GGUF"), std::string::npos) << error_of(result);
  EXPECT_TRUE(cached().empty());
}

TEST_F(PullHttp, AShortModelIsNoModel) {
  root_.write("short.gguf", data_.substr(0, data_.size() / 2));
  const auto result = pull(server_.file("-", "short.gguf"), options_, progress_);
  EXPECT_NE(error_of(result).find("no whole model"), std::string::npos) << error_of(result);
  EXPECT_TRUE(cached().empty());
}

TEST_F(PullHttp, FailuresLeaveNothingToGoOnFrom) {
  EXPECT_FALSE(pull(server_.file("status:404"), options_, progress_));
  EXPECT_FALSE(pull("file:/there/is/no/such/file", options_, progress_));
  EXPECT_TRUE(fs::is_empty(options_.folder));
}

TEST_F(PullHttp, OldBytesEarnNoFreshTries) {
  const std::string url = server_.file("drop:70000+norange");
  EXPECT_FALSE(pull(url, options_, progress_));
  EXPECT_LE(server_.log().size(), static_cast<size_t>(options_.http.attempts) + 1);
}

TEST_F(PullHttp, TwoPullsOfOneModelDoNotMeet) {
  const std::string url = server_.file("rate:600000");
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    const auto path = pull(url, options_, progress_);
    _exit(path && *read_file(*path) == data_ ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(server_.log().size(), 1u) << "the later ones find what the first one fetched";
}

TEST_F(PullHttp, FilesAreCopied) {
  const std::string source = "file:" + (root_.path() / "model.gguf").string();
  const auto path = pull(source + "#sha256=" + sha256(data_), options_, progress_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*read_file(*path), data_);
  EXPECT_FALSE(pull("file:/no/such/file", options_, progress_));
  EXPECT_FALSE(pull("file:" + root_.path().string(), options_, progress_));
}

TEST_F(PullHttp, UnknownNamesAreExplained) {
  const auto result = pull("smollm3", options_, progress_);
  EXPECT_NE(error_of(result).find("smollm2-135m-instruct"), std::string::npos) << error_of(result);
}

}  // namespace
}  // namespace planeloom::test
