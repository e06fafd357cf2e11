#include "base/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>

#include "base/file.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

/// Standard error goes to `fd` while the object lives.
class Redirect {
 public:
  explicit Redirect(int fd) : before_(dup(STDERR_FILENO)) { dup2(fd, STDERR_FILENO); }
  ~Redirect() {
    std::fflush(stderr);
    dup2(before_, STDERR_FILENO);
    close(before_);
  }

 private:
  int before_;
};

std::string shown_in_a_file(const std::function<void()>& work) {
  const test::TempDir dir;
  const auto path = dir.path() / "stderr";
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  {
    const Redirect to(fd);
    work();
  }
  close(fd);
  return read_file(path).value();
}

std::string shown_on_a_terminal(const std::function<void()>& work) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return "no pty";
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0) return "no pty";
  {
    const Redirect to(slave);
    work();
  }
  close(slave);
  std::string text;
  char part[4096];  // a terminal hands its text over in pieces, then fails: nobody writes any more
  for (ssize_t n; (n = read(master, part, sizeof part)) > 0;)
    text.append(part, static_cast<size_t>(n));
  close(master);
  return text;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(TerminalProgress, OneLineForAShortJobInAFile) {
  const std::string text = shown_in_a_file([] {
    TerminalProgress progress;
    for (uint64_t i = 0; i <= 1000; ++i) progress.update("layers", i, 1000);
  });
  EXPECT_EQ(count(text, "\n"), 1u) << text;
  EXPECT_NE(text.find("layers"), std::string::npos);
  EXPECT_NE(text.find("1000/1000"), std::string::npos);
  EXPECT_NE(text.find("[########################]"), std::string::npos);
  EXPECT_EQ(text.find('\033'), std::string::npos);  // logs hold no escape sequences
}

TEST(TerminalProgress, SilentWhenAShortJobInAFileDoesNotEnd) {
  EXPECT_EQ(shown_in_a_file([] {
              TerminalProgress progress;
              progress.update("download", 0, 0);
              progress.update("download", 12, 0);
            }),
            "");
}

TEST(TerminalProgress, EveryStageHasItsLine) {
  const std::string text = shown_in_a_file([] {
    TerminalProgress progress(/*bytes=*/true);
    progress.update("first", 0, 2000000);
    progress.update("first", 2000000, 2000000);
    progress.update("second", 1500000, 1500000);
  });
  EXPECT_EQ(count(text, "\n"), 2u) << text;
  EXPECT_NE(text.find("2.0/2.0 MB"), std::string::npos) << text;
  EXPECT_NE(text.find("1.5/1.5 MB"), std::string::npos) << text;
}

TEST(TerminalProgress, RedrawsOneLineOnATerminal) {
  const std::string text = shown_on_a_terminal([] {
    TerminalProgress progress;
    for (uint64_t i = 0; i <= 100000; ++i) progress.update("layers", i, 100000);
  });
  if (text == "no pty") GTEST_SKIP() << "this machine lends no terminal";
  EXPECT_NE(text.find("] 0/100000"), std::string::npos);       // at once
  EXPECT_NE(text.find("] 100000/100000"), std::string::npos);  // and at the end
  EXPECT_EQ(count(text, "\n"), 1u);
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(count(text, "\r\033[K"), count(text, "layers"));
  EXPECT_LT(count(text, "layers"), 1000u);  // ten times a second, not at every call
}

TEST(Interrupt, TheFirstIsNotedAndTheSecondEnds) {
  install_interrupt_handler();
  EXPECT_FALSE(interrupted());
  raise(SIGINT);
  EXPECT_TRUE(interrupted());
  clear_interrupt();
  EXPECT_FALSE(interrupted());
  raise(SIGINT);
  EXPECT_TRUE(interrupted());
  EXPECT_EXIT(raise(SIGINT), testing::ExitedWithCode(130), "");
  clear_interrupt();
}

}  // namespace
}  // namespace planeloom
