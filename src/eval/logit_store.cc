#include "eval/logit_store.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace planeloom {

Result<std::unique_ptr<LogitStore>> LogitStore::create(int64_t rows, int64_t vocab,
                                                       uint64_t memory_limit) {
  if (rows < 0 || vocab < 1 || rows > (int64_t{1} << 40) / vocab)
    return fail("[logits] a store of {} x {} is out of range", rows, vocab);
  std::unique_ptr<LogitStore> store(new LogitStore(rows, vocab));
  if (static_cast<uint64_t>(rows) * static_cast<uint64_t>(vocab) * sizeof(float) <= memory_limit) {
    store->memory_.reserve(static_cast<size_t>(rows * vocab));
    return store;
  }
  const char* folder = std::getenv("TMPDIR");
  std::string name =
      std::string(folder && *folder ? folder : "/var/tmp") + "/planeloom-logits-XXXXXX";
  store->fd_ = mkstemp(name.data());
  if (store->fd_ < 0) return fail("[logits] no temporary file {}: {}", name, std::strerror(errno));
  unlink(name.c_str());
  return store;
}

LogitStore::~LogitStore() {
  if (fd_ >= 0) close(fd_);
}

Status LogitStore::append(std::span<const float> logits) {
  if (static_cast<int64_t>(logits.size()) != vocab_ || written_ >= rows_)
    return fail("[logits] row {} of {} with {} values, wanted {}", written_, rows_, logits.size(),
                vocab_);
  if (fd_ < 0) {
    memory_.insert(memory_.end(), logits.begin(), logits.end());
  } else {
    const auto* bytes = reinterpret_cast<const char*>(logits.data());
    for (size_t done = 0; done < logits.size_bytes();) {
      const ssize_t n = write(fd_, bytes + done, logits.size_bytes() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail("[logits] writing the temporary file: {}", std::strerror(errno));
      done += static_cast<size_t>(n);
    }
  }
  ++written_;
  return {};
}

Result<std::span<const float>> LogitStore::row(int64_t i, std::vector<float>& buffer) const {
  if (i < 0 || i >= written_) return fail("[logits] row {} of {}", i, written_);
  if (fd_ < 0)
    return std::span<const float>(memory_).subspan(static_cast<size_t>(i * vocab_),
                                                   static_cast<size_t>(vocab_));
  buffer.resize(static_cast<size_t>(vocab_));
  const auto size = static_cast<size_t>(vocab_) * sizeof(float);
  for (size_t done = 0; done < size;) {
    const ssize_t n = pread(fd_, reinterpret_cast<char*>(buffer.data()) + done, size - done,
                            static_cast<off_t>(static_cast<size_t>(i) * size + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail("[logits] reading the temporary file: {}", std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  return std::span<const float>(buffer);
}

}  // namespace planeloom
