#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/scoped_env.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

namespace fs = std::filesystem;
using test::ScopedEnv;
using test::TempDir;

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

std::string contents(const fs::path& path) { return read_file(path).value(); }

TEST(AtomicFile, NothingRemainsWithoutCommit) {
  const TempDir dir;
  {
    auto file = AtomicFile::create(dir.path() / "a");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write("half a result"));
    EXPECT_FALSE(fs::exists(dir.path() / "a"));
    EXPECT_EQ(entries(dir.path()), 1u);  // the temporary
  }
  EXPECT_EQ(entries(dir.path()), 0u);
}

TEST(AtomicFile, TheOldFileStaysUntilCommit) {
  const TempDir dir;
  const auto path = dir.write("a", "old");
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file && file->write("abandoned"));
    EXPECT_EQ(contents(path), "old");
  }
  EXPECT_EQ(contents(path), "old");
  auto file = AtomicFile::create(path);
  ASSERT_TRUE(file && file->write("ne") && file->write("w"));
  EXPECT_EQ(file->offset(), 3u);
  EXPECT_EQ(contents(path), "old");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(contents(path), "new");
  EXPECT_EQ(entries(dir.path()), 1u);
}

TEST(AtomicFile, TakesOverWhatAKilledWriterLeft) {
  const TempDir dir;
  dir.write("a.tmp", "much longer than what comes now");
  ASSERT_TRUE(write_file_atomically(dir.path() / "a", "new"));
  EXPECT_EQ(contents(dir.path() / "a"), "new");
  EXPECT_EQ(entries(dir.path()), 1u);
}

TEST(AtomicFile, OneWriterAtATime) {
  const TempDir dir;
  auto first = AtomicFile::create(dir.path() / "a");
  ASSERT_TRUE(first && first->write("first"));
  const auto second = AtomicFile::create(dir.path() / "a");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another process"), std::string::npos);
  ASSERT_TRUE(first->commit());
  EXPECT_EQ(contents(dir.path() / "a"), "first");
  ASSERT_TRUE(write_file_atomically(dir.path() / "a", "third"));
  EXPECT_EQ(contents(dir.path() / "a"), "third");
}

TEST(AtomicFile, AReaderOfTheOldFileKeepsItsBytes) {
  const TempDir dir;
  const auto path = dir.write("a", "old bytes");
  const auto mapped = MappedFile::open(path);
  ASSERT_TRUE(mapped);
  ASSERT_TRUE(write_file_atomically(path, "x"));
  const auto bytes = mapped->bytes();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "old bytes");
}

TEST(AtomicFile, MovesWithItsTemporary) {
  const TempDir dir;
  auto first = AtomicFile::create(dir.path() / "a");
  ASSERT_TRUE(first && first->write("one "));
  AtomicFile second = std::move(*first);
  ASSERT_TRUE(second.write("two"));
  ASSERT_TRUE(second.commit());
  EXPECT_EQ(contents(dir.path() / "a"), "one two");
}

TEST(AtomicFile, FailsWhereItCannotWrite) {
  const TempDir dir;
  const auto missing = AtomicFile::create(dir.path() / "no" / "such" / "a");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("[write]"), std::string::npos);

  fs::create_directory(dir.path() / "folder");
  ASSERT_EQ(mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
  for (const fs::path& name : {dir.path() / "folder", dir.path() / "folder" / "", dir.path() / ".",
                               dir.path() / "pipe", fs::path()}) {
    const auto status = write_file_atomically(name, "x");
    ASSERT_FALSE(status) << name;
    EXPECT_NE(status.error().message.find("[write]"), std::string::npos);
  }
  EXPECT_TRUE(fs::is_directory(dir.path() / "folder"));
  EXPECT_TRUE(fs::is_fifo(dir.path() / "pipe"));
  EXPECT_EQ(entries(dir.path()), 2u);
}

TEST(AtomicFile, ALinkKeepsPointingAtTheNewFile) {
  const TempDir dir;
  const auto target = dir.write("target", "old");
  fs::create_symlink(target, dir.path() / "link");
  ASSERT_TRUE(write_file_atomically(dir.path() / "link", "new"));
  EXPECT_TRUE(fs::is_symlink(dir.path() / "link"));
  EXPECT_EQ(contents(target), "new");
}

TEST(AtomicFile, AFullDiskLeavesTheOldFile) {
  const TempDir dir;
  const auto path = dir.write("a", "old");
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto status = write_file_atomically(path, std::string(3000, 'x'));   // fails when flushed
  const auto large = write_file_atomically(path, std::string(300000, 'x'));  // fails when written
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(status);
  EXPECT_FALSE(large);
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(entries(dir.path()), 1u);
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
  const TempDir dir;
  auto file = MappedFile::open(dir.write("empty", ""));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->bytes().empty());
  MappedFile moved = std::move(*file);
  EXPECT_TRUE(moved.bytes().empty());
}

TEST(ReadInput, TakesFilesAndPipes) {
  const TempDir dir;
  EXPECT_EQ(read_input(dir.write("a", "text")).value(), "text");
  const auto pipe = dir.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe) << "through a pipe"; });
  EXPECT_EQ(read_input(pipe).value(), "through a pipe");
  writer.join();
  EXPECT_FALSE(read_input(dir.path() / "a", 3));
  EXPECT_FALSE(read_input(dir.path() / "missing"));
  EXPECT_FALSE(read_input(dir.path()));
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(MappedFile::open(dir.path() / "pipe"));  // and does not wait for a writer
  const auto missing = MappedFile::open(dir.path() / "missing");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  EXPECT_FALSE(MappedFile::open(dir.path()));
  EXPECT_FALSE(MappedFile::open("/dev/zero"));
}

TEST(MappedFile, MovingSwapsAndKeepsTheBytes) {
  const TempDir dir;
  auto a = MappedFile::open(dir.write("a", "first"));
  auto b = MappedFile::open(dir.write("b", "second one"));
  ASSERT_TRUE(a && b);
  *a = std::move(*b);
  ASSERT_EQ(a->bytes().size(), 10u);
  EXPECT_EQ(a->bytes()[0], std::byte{'s'});
}

TEST(ReadFile, TheLimitIsInclusive) {
  const TempDir dir;
  const std::string text("ab\0cd", 5);
  const auto path = dir.write("a", text);
  EXPECT_EQ(read_file(path, 5).value(), text);
  const auto refused = read_file(path, 4);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("5 bytes"), std::string::npos);
  EXPECT_EQ(read_file(dir.write("empty", ""), 0).value(), "");
}

TEST(CacheDir, TheNearestVariableWins) {
  const ScopedEnv own("PLANELOOM_CACHE", "/own"), xdg("XDG_CACHE_HOME", "/xdg"),
      home("HOME", "/home/x");
  EXPECT_EQ(cache_dir(), "/own");
  const ScopedEnv no_own("PLANELOOM_CACHE", "");
  EXPECT_EQ(cache_dir(), "/xdg/planeloom");
  const ScopedEnv no_xdg("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(cache_dir(), "/home/x/.cache/planeloom");
}

}  // namespace
}  // namespace planeloom
