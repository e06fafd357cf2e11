#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace planeloom {

/// Reference logits of many positions: (rows, vocab) floats, in memory up to a limit, else in an
/// unnamed temporary file that disappears with the object or the process.
class LogitStore {
 public:
  static constexpr uint64_t kMemoryLimit = uint64_t{2} << 30;

  static Result<std::unique_ptr<LogitStore>> create(int64_t rows, int64_t vocab,
                                                    uint64_t memory_limit = kMemoryLimit);
  ~LogitStore();
  LogitStore(const LogitStore&) = delete;
  LogitStore& operator=(const LogitStore&) = delete;

  /// Stores the next row; fails when the store is full or the disk is.
  Status append(std::span<const float> logits);
  /// Row i < rows_written() as (vocab) floats; read into `buffer` when it lies on disk.
  Result<std::span<const float>> row(int64_t i, std::vector<float>& buffer) const;

  int64_t rows_written() const { return written_; }
  int64_t vocab() const { return vocab_; }
  bool on_disk() const { return fd_ >= 0; }

 private:
  LogitStore(int64_t rows, int64_t vocab) : rows_(rows), vocab_(vocab) {}
  int64_t rows_ = 0, vocab_ = 0, written_ = 0;
  std::vector<float> memory_;
  int fd_ = -1;
};

}  // namespace planeloom
