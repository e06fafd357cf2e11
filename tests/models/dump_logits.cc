// dump_logits MODEL IDS OUT [float|int8] [f32|f16] [FROM]
// Reads token ids (numbers separated by spaces) from the file IDS and writes the logits of tokens
// FROM .. as raw little-endian float32, (tokens - FROM, vocabulary). For tools/studies/logits.sh.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "models/session.h"

namespace planeloom {
namespace {

Status dump(const std::vector<std::string>& args) {
  if (args.size() < 3)
    return fail("usage: dump_logits MODEL IDS OUT [float|int8] [f32|f16] [FROM]");
  const auto word = [&](size_t i, const char* otherwise) {
    return args.size() > i ? args[i] : otherwise;
  };
  PL_TRY(const Model model, load_model(std::filesystem::path(args[0])));
  std::ifstream ids(args[1]);
  std::vector<int32_t> tokens;
  for (int32_t id = 0; ids >> id;) tokens.push_back(id);
  if (tokens.empty() || !ids.eof()) return fail("[dump] {}: no list of numbers", args[1]);
  PL_TRY(const Isa isa, default_isa());
  ThreadPool pool;
  SessionOptions options;
  options.context = static_cast<int64_t>(tokens.size());
  options.activations = word(3, "float") == "int8" ? ActivationMode::kInt8 : ActivationMode::kFloat;
  options.cache = word(4, "f32") == "f16" ? DType::kF16 : DType::kF32;
  PL_TRY(const auto session, Session::create(model, Compute{&pool, &kernels_for(isa)}, options));
  std::ofstream out(args[2], std::ios::binary);
  PL_CHECK(session->forward(tokens, std::atoll(word(5, "0").c_str()),
                            [&](int64_t, int64_t n, const float* logits) {
                              out.write(reinterpret_cast<const char*>(logits),
                                        n * model.vocab() * static_cast<int64_t>(sizeof(float)));
                            }));
  out.close();
  if (!out) return fail("[dump] {}: not written", args[2]);
  return {};
}

}  // namespace
}  // namespace planeloom

int main(int argc, char** argv) {
  const auto status = planeloom::dump({argv + 1, argv + argc});
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
