// Hugging Face folders: config.json to GGUF keys, tensor names, shards, tokenizer texts.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/gguf_builder.h"
#include "formats/hf_folder.h"
#include "formats/model_file.h"
#include "formats/temp_dir.h"

namespace planeloom {
namespace {

using test::Bytes;
using test::TempDir;

const std::string kLlama =
    R"("model_type":"llama","hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,
       "num_key_value_heads":1,"vocab_size":4)";

std::string config(const std::string& more = "") {
  return "{" + kLlama + (more.empty() ? "" : "," + more) + "}";
}

std::string refusal(const std::string& json) {
  const auto m = translate_hf_config(json);
  EXPECT_FALSE(m) << "accepted: " << json;
  return m ? std::string() : m.error().message;
}

void expect_has(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

TEST(HfConfig, Llama3WithScaling) {
  const auto m = translate_hf_config(config(
      R"("rms_norm_eps":1e-05,"rope_theta":500000.0,"max_position_embeddings":131072,"tie_word_embeddings":true,
         "head_dim":64,"hidden_act":"silu","rope_scaling":{"factor":32.0,"high_freq_factor":4.0,"low_freq_factor":1.0,
         "original_max_position_embeddings":8192,"rope_type":"llama3"})"));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->string_or("general.architecture", ""), "llama");
  EXPECT_EQ(m->string_or("planeloom.source", ""), "huggingface");
  EXPECT_EQ(m->integer_or("llama.block_count", 0), 2);
  EXPECT_EQ(m->integer_or("llama.embedding_length", 0), 8);
  EXPECT_EQ(m->integer_or("llama.feed_forward_length", 0), 16);
  EXPECT_EQ(m->integer_or("llama.vocab_size", 0), 4);
  EXPECT_EQ(m->integer_or("llama.attention.head_count", 0), 2);
  EXPECT_EQ(m->integer_or("llama.attention.head_count_kv", 0), 1);
  EXPECT_EQ(m->integer_or("llama.attention.key_length", 0), 64);
  EXPECT_EQ(m->integer_or("llama.attention.value_length", 0), 64);
  EXPECT_EQ(m->integer_or("llama.rope.dimension_count", 0), 64);
  EXPECT_EQ(m->integer_or("llama.context_length", 0), 131072);
  EXPECT_EQ(m->number_or("llama.rope.freq_base", 0), 500000);
  EXPECT_FLOAT_EQ(static_cast<float>(m->number_or("llama.attention.layer_norm_rms_epsilon", 0)),
                  1e-5f);
  EXPECT_EQ(m->string_or("llama.rope.scaling.type", ""), "llama3");
  EXPECT_EQ(m->number_or("llama.rope.scaling.factor", 0), 32);
  EXPECT_EQ(m->number_or("llama.rope.scaling.low_freq_factor", 0), 1);
  EXPECT_EQ(m->number_or("llama.rope.scaling.high_freq_factor", 0), 4);
  EXPECT_EQ(m->integer_or("llama.rope.scaling.original_context_length", 0), 8192);
  EXPECT_TRUE(m->boolean_or("planeloom.tied_embeddings", false));
}

TEST(HfConfig, DefaultsOfTheFamilies) {
  const auto llama = translate_hf_config(config());
  ASSERT_TRUE(llama) << llama.error().message;
  EXPECT_EQ(llama->integer_or("llama.attention.key_length", 0), 4);
  EXPECT_EQ(llama->number_or("llama.rope.freq_base", 0), 10000);
  EXPECT_FALSE(llama->has("llama.rope.scaling.type"));
  EXPECT_FALSE(llama->boolean_or("planeloom.tied_embeddings", true));
  const auto qwen3 = translate_hf_config(
      R"({"model_type":"qwen3","hidden_size":64,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2,
          "num_key_value_heads":2,"vocab_size":9,"rope_parameters":{"rope_type":"default","rope_theta":1000000}})");
  ASSERT_TRUE(qwen3) << qwen3.error().message;
  EXPECT_EQ(qwen3->integer_or("qwen3.attention.key_length", 0), 128);
  EXPECT_EQ(qwen3->number_or("qwen3.rope.freq_base", 0), 1e6);
}

TEST(HfConfig, Gemma3WithOldAndNewRope) {
  // The 4B's text_config leaves most to the defaults of its class.
  const auto old = translate_hf_config(
      R"({"model_type":"gemma3","text_config":{"model_type":"gemma3_text","hidden_size":2560,"intermediate_size":10240,
          "num_hidden_layers":34,"sliding_window":1024,"rope_scaling":{"factor":8.0,"rope_type":"linear"}}})");
  ASSERT_TRUE(old) << old.error().message;
  EXPECT_EQ(old->string_or("general.architecture", ""), "gemma3");
  EXPECT_EQ(old->integer_or("gemma3.attention.head_count", 0), 8);
  EXPECT_EQ(old->integer_or("gemma3.attention.head_count_kv", 0), 4);
  EXPECT_EQ(old->integer_or("gemma3.attention.key_length", 0), 256);
  EXPECT_EQ(old->number_or("gemma3.rope.freq_base", 0), 1e6);
  EXPECT_EQ(old->number_or("gemma3.rope.freq_base_swa", 0), 1e4);
  EXPECT_EQ(old->string_or("gemma3.rope.scaling.type", ""), "linear");
  EXPECT_EQ(old->number_or("gemma3.attention.scale", 0), 1.0 / 16);
  EXPECT_TRUE(old->boolean_or("planeloom.tied_embeddings", false));
  const auto pattern = old->integers("gemma3.attention.sliding_window_pattern");
  ASSERT_TRUE(pattern && pattern->size() == 34);
  for (size_t l = 0; l < 34; ++l) EXPECT_EQ((*pattern)[l], l % 6 != 5) << l;

  const auto fresh = translate_hf_config(
      R"({"model_type":"gemma3_text","hidden_size":8,"intermediate_size":8,"num_hidden_layers":3,"vocab_size":5,
          "num_attention_heads":4,"num_key_value_heads":1,"head_dim":6,"sliding_window":512,
          "query_pre_attn_scalar":64,"final_logit_softcapping":30.0,"attn_logit_softcapping":null,
          "layer_types":["full_attention","sliding_attention","full_attention"],
          "rope_parameters":{"full_attention":{"rope_type":"default","rope_theta":2000000.0},
                             "sliding_attention":{"rope_type":"default","rope_theta":20000.0}}})");
  ASSERT_TRUE(fresh) << fresh.error().message;
  EXPECT_EQ(fresh->number_or("gemma3.rope.freq_base", 0), 2e6);
  EXPECT_EQ(fresh->number_or("gemma3.rope.freq_base_swa", 0), 2e4);
  EXPECT_EQ(fresh->number_or("gemma3.attention.scale", 0), 0.125);
  EXPECT_EQ(fresh->number_or("gemma3.final_logit_softcapping", 0), 30);
  EXPECT_FALSE(fresh->has("gemma3.attn_logit_softcapping"));
  EXPECT_EQ(fresh->integers("gemma3.attention.sliding_window_pattern"),
            (std::vector<int64_t>{0, 1, 0}));
}

TEST(HfConfig, RefusesByName) {
  expect_has(refusal("[1]"), "no object");
  expect_has(refusal("{"), "malformed");
  expect_has(refusal("{}"), "no model_type");
  expect_has(refusal(R"({"model_type":"mamba"})"), "mamba");
  expect_has(refusal(R"({"model_type":"llama"})"), "num_hidden_layers is absent");
  expect_has(refusal(config(R"("quantization_config":{"quant_method":"gptq"})")),
             "quantization_config");
  expect_has(refusal(config(R"("attention_bias":true)")), "attention_bias");
  expect_has(refusal(config(R"("mlp_bias":true)")), "mlp_bias");
  expect_has(refusal(config(R"("mlp_bias":1)")), "not a boolean");
  expect_has(refusal(config(R"("hidden_act":"relu")")), "hidden_act");
  expect_has(refusal(config(R"("head_dim":0)")), "head_dim");
  expect_has(refusal(config(R"("head_dim":-4)")), "head_dim");
  expect_has(refusal(config(R"("head_dim":1.5)")), "head_dim");
  expect_has(refusal(config(R"("max_position_embeddings":1e99)")), "max_position_embeddings");
  expect_has(refusal(config(R"("rms_norm_eps":-1)")), "rms_norm_eps");
  expect_has(refusal(config(R"("rope_theta":"big")")), "rope_theta");
  expect_has(refusal(config(R"("partial_rotary_factor":2)")), "partial_rotary_factor");
  expect_has(refusal(config(R"("rope_scaling":7)")), "rope scaling");
  expect_has(refusal(config(R"("rope_scaling":{"type":"dynamic","factor":2})")), "dynamic");
  expect_has(refusal(config(R"("rope_scaling":{"type":"linear"})")), "factor");
  expect_has(refusal(config(R"("rope_scaling":{"type":"yarn","factor":4,"mscale":1})")), "mscale");
  expect_has(
      refusal(config(
          R"("rope_scaling":{"type":"llama3","factor":4,"low_freq_factor":4,"high_freq_factor":1})")),
      "high_freq_factor");
  expect_has(refusal(R"({"model_type":"llama","num_hidden_layers":100000000})"),
             "num_hidden_layers");
  expect_has(
      refusal(
          R"({"model_type":"gemma3_text","num_hidden_layers":2,"layer_types":["full_attention"]})"),
      "layer_types");
  expect_has(
      refusal(R"({"model_type":"gemma3_text","num_hidden_layers":1,"layer_types":["linear"]})"),
      "layer_types");
}

TEST(HfNames, Translate) {
  const auto llama = [](std::string_view name) { return translate_hf_tensor_name("llama", name); };
  const auto gemma = [](std::string_view name) { return translate_hf_tensor_name("gemma3", name); };
  EXPECT_EQ(llama("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(llama("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(llama("lm_head.weight"), "output.weight");
  EXPECT_EQ(llama("model.layers.0.self_attn.q_proj.weight"), "blk.0.attn_q.weight");
  EXPECT_EQ(llama("model.layers.17.self_attn.k_proj.bias"), "blk.17.attn_k.bias");
  EXPECT_EQ(llama("model.layers.3.self_attn.v_proj.weight"), "blk.3.attn_v.weight");
  EXPECT_EQ(llama("model.layers.3.self_attn.o_proj.weight"), "blk.3.attn_output.weight");
  EXPECT_EQ(llama("model.layers.3.self_attn.q_norm.weight"), "blk.3.attn_q_norm.weight");
  EXPECT_EQ(llama("model.layers.3.mlp.gate_proj.weight"), "blk.3.ffn_gate.weight");
  EXPECT_EQ(llama("model.layers.3.mlp.down_proj.weight"), "blk.3.ffn_down.weight");
  EXPECT_EQ(llama("model.layers.3.input_layernorm.weight"), "blk.3.attn_norm.weight");
  EXPECT_EQ(llama("model.layers.3.post_attention_layernorm.weight"), "blk.3.ffn_norm.weight");
  EXPECT_EQ(gemma("model.layers.3.post_attention_layernorm.weight"),
            "blk.3.post_attention_norm.weight");
  EXPECT_EQ(gemma("model.layers.3.pre_feedforward_layernorm.weight"), "blk.3.ffn_norm.weight");
  EXPECT_EQ(gemma("model.layers.3.post_feedforward_layernorm.weight"),
            "blk.3.post_ffw_norm.weight");
  EXPECT_EQ(gemma("language_model.model.layers.3.mlp.up_proj.weight"), "blk.3.ffn_up.weight");
  EXPECT_EQ(gemma("model.language_model.norm.weight"), "output_norm.weight");
  for (const char* other :
       {"", ".", "model.layers.0.self_attn.rotary_emb.inv_freq",
        "vision_tower.layers.0.norm.weight", "model.layers.x.input_layernorm.weight",
        "model.layers.01.input_layernorm.weight", "model.layers.99999.input_layernorm.weight",
        "model.layers..input_layernorm.weight", "model.layers.0.input_layernorm.scale",
        "model.layers.0.", "weight"})
    EXPECT_EQ(llama(other), "") << other;
}

struct Folder {
  TempDir dir;
  Result<std::shared_ptr<const ModelFile>> open() const { return ModelFile::open(dir.path()); }
};

/// F32 tensors of the given shapes, one after another, holding 0, 1, 2, ...; `skew` bytes of header
/// padding too many.
std::string safetensors(const std::vector<std::pair<std::string, std::vector<int>>>& tensors,
                        const std::string& dtype = "F32", size_t skew = 0) {
  std::string header = "{";
  Bytes data;
  for (const auto& [name, shape] : tensors) {
    size_t count = 1;
    std::string sizes;
    for (int dim : shape) {
      count *= static_cast<size_t>(dim);
      sizes += (sizes.empty() ? "" : ",") + std::to_string(dim);
    }
    const size_t begin = data.text().size();
    for (size_t i = 0; i < count; ++i) data.put(static_cast<float>(i));
    header += (header.size() > 1 ? "," : "") +
              ("\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + sizes) +
              "],\"data_offsets\":[" + std::to_string(begin) + "," +
              std::to_string(data.text().size()) + "]}";
  }
  header += "}";
  while ((8 + header.size()) % 8 != skew) header += ' ';
  return Bytes().string(header).raw(data.text()).text();
}

TEST(HfFolder, SingleFileWithEverything) {
  Folder f;
  f.dir.write("config.json", config(R"("eos_token_id":7,"bos_token_id":1)"));
  f.dir.write("model.safetensors",
              safetensors({{"model.embed_tokens.weight", {4, 8}},
                           {"lm_head.weight", {4, 8}},
                           {"model.norm.weight", {8}},
                           {"model.layers.0.self_attn.rotary_emb.inv_freq", {2}}}));
  f.dir.write("tokenizer.json", R"({"model":{}})");
  f.dir.write(
      "tokenizer_config.json",
      R"({"chat_template":[{"name":"tool","template":"T"},{"name":"default","template":"D"}]})");
  f.dir.write("generation_config.json", R"({"eos_token_id":[2,3],"pad_token_id":0})");
  const auto file = f.open();
  ASSERT_TRUE(file) << file.error().message;
  const Metadata& m = (*file)->metadata();
  EXPECT_EQ((*file)->tensors().size(), 3u);
  EXPECT_EQ(m.string_or("planeloom.tokenizer_json", ""), R"({"model":{}})");
  EXPECT_EQ(m.string_or("tokenizer.chat_template", ""), "D");
  EXPECT_EQ(m.integer_or("tokenizer.ggml.bos_token_id", -1), 1);
  EXPECT_EQ(m.integer_or("tokenizer.ggml.eos_token_id", -1), 2);
  EXPECT_EQ(m.integer_or("tokenizer.ggml.padding_token_id", -1), 0);
  EXPECT_EQ(m.integers("planeloom.eos_token_ids"), (std::vector<int64_t>{2, 3}));
  const auto w = (*file)->matrix("output.weight");
  ASSERT_TRUE(w) << w.error().message;
  EXPECT_EQ(w->rows, 4);
  EXPECT_EQ(w->cols, 8);
  EXPECT_EQ((*file)->vector("output_norm.weight")->at(7), 7.0f);
  f.dir.write("chat_template.jinja", "J");
  EXPECT_EQ((*f.open())->metadata().string_or("tokenizer.chat_template", ""), "J");
}

TEST(HfFolder, UnalignedF32IsReadWithCare) {
  for (const size_t skew : {0, 1, 2, 3, 4}) {
    Folder f;
    f.dir.write("config.json", config(R"("tie_word_embeddings":true)"));
    f.dir.write("model.safetensors",
                safetensors({{"model.embed_tokens.weight", {4, 8}}}, "F32", skew));
    const auto file = f.open();
    ASSERT_TRUE(file) << file.error().message;
    const auto w = (*file)->matrix("token_embd.weight");
    ASSERT_TRUE(w) << w.error().message;
    // Kernels read the registered F32 in place, so it must not be named for odd addresses.
    EXPECT_EQ(w->codec == gguf_codec(DType::kF32), skew % 4 == 0);
    EXPECT_EQ(w->codec->name(), "F32");
    float row[8];
    w->codec->decode_row(*w, 3, row);
    EXPECT_EQ(row[0], 24.0f);
    EXPECT_EQ((*file)->vector("token_embd.weight")->at(31), 31.0f);
  }
}

TEST(HfFolder, ShardsFollowTheIndex) {
  Folder f;
  f.dir.write("config.json", config());
  f.dir.write("a.safetensors",
              safetensors({{"model.embed_tokens.weight", {4, 8}}, {"model.norm.weight", {8}}}));
  f.dir.write("b.safetensors",
              safetensors({{"lm_head.weight", {4, 8}}, {"model.norm.weight", {8}}}));
  const auto index = [&](const std::string& map) {
    f.dir.write("model.safetensors.index.json", R"({"metadata":{},"weight_map":{)" + map + "}}");
    return f.open();
  };
  const std::string good =
      R"("model.embed_tokens.weight":"a.safetensors","lm_head.weight":"b.safetensors","model.norm.weight":"b.safetensors")";
  const auto file = index(good);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 3u);
  expect_has(
      index(good + R"(,"model.layers.0.mlp.up_proj.weight":"a.safetensors")").error().message,
      "1 of the 2 tensors");
  for (const char* name : {"../a.safetensors", "/a.safetensors", "x/a.safetensors",
                           ".a.safetensors", "a.bin", "a\\u0000.safetensors"})
    expect_has(index(good + R"(,"x.weight":")" + name + "\"").error().message,
               "no plain *.safetensors");
  expect_has(index(good + R"(,"x.weight":7)").error().message, "no plain *.safetensors");
  expect_has(index(good + R"(,"x.weight":"missing.safetensors")").error().message,
             "missing.safetensors");
  f.dir.write("model.safetensors.index.json", "{}");
  expect_has(f.open().error().message, "no weight_map");
  f.dir.write("model.safetensors.index.json", "[]");
  expect_has(f.open().error().message, "no weight_map");
}

TEST(HfFolder, OutputFollowsTheTie) {
  Folder f;
  f.dir.write("config.json", config());
  f.dir.write("model.safetensors", safetensors({{"model.embed_tokens.weight", {4, 8}}}));
  expect_has(f.open().error().message, "lm_head.weight is absent");
  f.dir.write("config.json", config(R"("tie_word_embeddings":true)"));
  f.dir.write("model.safetensors",
              safetensors({{"lm_head.weight", {4, 8}}, {"model.norm.weight", {8}}}));
  const auto file = f.open();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_FALSE((*file)->find("output.weight"));
  EXPECT_TRUE((*file)->find("output_norm.weight"));
}

TEST(HfFolder, OtherTypesAreRefusedByName) {
  Folder f;
  f.dir.write("config.json", config(R"("tie_word_embeddings":true)"));
  for (const char* name : {"model.embed_tokens.weight", "model.norm.weight"}) {
    f.dir.write("model.safetensors", safetensors({{name, {4, 8}}}, "F8_E4M3"));
    expect_has(f.open().error().message, std::string(name) + " is stored as F8_E4M3");
  }
}

/// Whoever loads the model must see what it does not know; what only sees pictures is left out.
TEST(HfFolder, UnknownTensorsKeepTheirNames) {
  Folder f;
  f.dir.write("config.json", config(R"("tie_word_embeddings":true)"));
  f.dir.write("model.safetensors",
              safetensors({{"model.embed_tokens.weight", {4, 8}},
                           {"model.layers.0.self_attn.q_proj.bias", {8}},
                           {"model.layers.0.adapter.weight", {8}},
                           {"vision_tower.vision_model.embeddings.weight", {8}},
                           {"model.multi_modal_projector.mm_input_projection_weight", {8}}}));
  const auto file = f.open();
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->tensors().size(), 3u);
  EXPECT_TRUE((*file)->find("blk.0.attn_q.bias"));
  EXPECT_TRUE((*file)->find("model.layers.0.adapter.weight"));
}

TEST(HfFolder, RefusesTwoNamesForOneTensor) {
  Folder f;
  f.dir.write("config.json", config(R"("tie_word_embeddings":true)"));
  f.dir.write("model.safetensors", safetensors({{"model.norm.weight", {8}}, {"norm.weight", {8}}}));
  expect_has(f.open().error().message, "occurs twice");
}

}  // namespace
}  // namespace planeloom
