// Llama 1-3, SmolLM, Mistral without window: the plain block.
#include "models/config.h"

namespace planeloom {
namespace {

Result<Config> read(const Metadata& metadata) {
  PL_TRY(Config c, read_common(metadata, "llama"));
  // GGUF stores Llama's q and k rows permuted so that neighbours turn together; folders do not.
  c.rope_pairs = from_hugging_face(metadata) ? RopePairs::kNeox : RopePairs::kNorm;
  return c;
}

}  // namespace

const Family kLlama{"llama", read};

}  // namespace planeloom
