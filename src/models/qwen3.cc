// Qwen3 (dense): RMS norm of every query and key head, no biases.
#include "models/config.h"

namespace planeloom {
namespace {

Result<Config> read(const Metadata& metadata) {
  PL_TRY(Config c, read_common(metadata, "qwen3"));
  c.qk_norm = true;
  return c;
}

}  // namespace

const Family kQwen3{"qwen3", read};

}  // namespace planeloom
