// Qwen2 and Qwen2.5: Llama's block with biases on q, k and v.
#include "models/config.h"

namespace planeloom {
namespace {

Result<Config> read(const Metadata& metadata) {
  PL_TRY(Config c, read_common(metadata, "qwen2"));
  c.qkv_bias = true;
  return c;
}

}  // namespace

const Family kQwen2{"qwen2", read};

}  // namespace planeloom
