#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace planeloom {

/// Where long work reports to. The library only calls it; what is shown is the caller's choice.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `done` of `total` units of the named stage; total 0 when unknown. Cheap: call it often.
  virtual void update(std::string_view stage, uint64_t done, uint64_t total) = 0;
  /// The stage is over: the bar's last line.
  virtual void finish() {}
};

/// A bar with time left on stderr: redrawn on a terminal, one line every ten seconds elsewhere.
class TerminalProgress : public Progress {
 public:
  explicit TerminalProgress(bool bytes = false) : bytes_(bytes) {}
  ~TerminalProgress() override { finish(); }
  void update(std::string_view stage, uint64_t done, uint64_t total) override;
  void finish() override;

 private:
  using Clock = std::chrono::steady_clock;
  std::string stage_;
  Clock::time_point start_{}, drawn_{};
  uint64_t first_ = 0;
  bool bytes_ = false, line_open_ = false;
};

/// Ctrl-C: install once in main; long loops ask interrupted() and stop at the next safe point.
void install_interrupt_handler();
bool interrupted();
/// An interactive loop has dealt with the interrupt and goes on.
void clear_interrupt();

}  // namespace planeloom
