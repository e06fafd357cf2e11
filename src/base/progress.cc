#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

namespace planeloom {
namespace {

volatile std::sig_atomic_t interrupts = 0;

void on_interrupt(int) {
  interrupts = interrupts + 1;
  if (interrupts >= 2) _exit(130);  // a second Ctrl-C means now
}

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

}  // namespace

void TerminalProgress::update(std::string_view stage, uint64_t done, uint64_t total) {
  const auto now = Clock::now();
  if (stage != stage_) {
    finish();
    stage_ = stage;
    start_ = now;
    first_ = done;
    drawn_ = {};
  }
  const bool terminal = isatty(STDERR_FILENO);
  const bool last = total > 0 && done >= total;
  const auto pause = terminal ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (drawn_ == Clock::time_point{} && !terminal && !last)
    drawn_ = now;  // stay quiet for short jobs
  if (!last && now - drawn_ < pause) return;
  drawn_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double rate =
      elapsed > 0 ? static_cast<double>(done - std::min(first_, done)) / elapsed : 0;
  const auto count = [&](uint64_t n) {
    return bytes_ ? fmt::format("{:.1f}", static_cast<double>(n) / 1e6) : std::to_string(n);
  };
  const std::string amount =
      fmt::format("{}{}{}", count(done), total ? "/" + count(total) : "", bytes_ ? " MB" : "");
  const std::string left = last ? duration(elapsed)
                           : rate > 0 && total
                               ? duration(static_cast<double>(total - done) / rate) + " left"
                               : "";
  constexpr int kWidth = 24;
  const int filled =
      total ? static_cast<int>(kWidth * std::min<double>(1.0, double(done) / double(total))) : 0;
  std::fprintf(stderr, "%s%-14s [%s%s] %s  %s%s", terminal ? "\r\033[K" : "", stage_.c_str(),
               std::string(filled, '#').c_str(), std::string(kWidth - filled, '.').c_str(),
               amount.c_str(), left.c_str(), terminal ? "" : "\n");
  std::fflush(stderr);
  line_open_ = terminal;
}

void TerminalProgress::finish() {
  if (line_open_) std::fputc('\n', stderr);
  line_open_ = false;
  stage_.clear();
}

void install_interrupt_handler() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return interrupts > 0; }

void clear_interrupt() { interrupts = 0; }

}  // namespace planeloom
