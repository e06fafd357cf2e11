#!/usr/bin/env python3
"""Writes tests/golden/NAME.json: logits of tiny random models, computed by transformers in float32.

usage: python tools/make_golden.py [FOLDER]        (needs PyPI torch and transformers 5; CPU is enough)

The weights come from a formula, so that no file carries them: element i of the tensor with GGUF name NAME is the
(i+1)-th draw of SplitMix64 seeded with FNV-1a(NAME), mapped to [-1, 1) and scaled. tests/models/tiny_model.h holds the
same formula in C++. Each JSON file holds the model's options, its metadata in GGUF keys, the tokens and the logits.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import transformers as tf

TOKENS = [3, 17, 41, 8, 8, 25, 0, 47, 12, 33, 5, 29, 17, 44, 2, 38, 21, 9, 30, 14, 46, 1, 27, 36]

LINEARS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
           "ffn_down": "mlp.down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
GEMMA_NORMS = {"attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
               "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}

# options: fields of TinyOptions. metadata: GGUF keys without the architecture. rope: what transformers calls them.
BASE = dict(vocab=48, width=64, heads=4, kv_heads=2, head_dim=16, ffn=96, layers=2, context=256, tied=False)
PLAIN_ROPE = dict(rope_type="default", rope_theta=10000.0)
CASES = {
    "llama_gqa_untied": dict(architecture="llama"),
    "llama_mha_tied": dict(architecture="llama", kv_heads=4, tied=True),
    "llama_head_dim": dict(architecture="llama", kv_heads=1, head_dim=24),
    "llama_rope_linear": dict(
        architecture="llama", rope=dict(rope_type="linear", factor=4.0),
        metadata={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    # With base 10000, eight frequencies and 32 original positions all three branches of the scaling occur.
    "llama_rope_llama3": dict(
        architecture="llama",
        rope=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=32),
        metadata={"rope.scaling.type": "llama3", "rope.scaling.factor": 8.0, "rope.scaling.low_freq_factor": 1.0,
                  "rope.scaling.high_freq_factor": 4.0, "rope.scaling.original_context_length": 32}),
    "llama_rope_yarn": dict(
        architecture="llama", rope=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
        metadata={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                  "rope.scaling.original_context_length": 64}),
    "qwen2_bias": dict(architecture="qwen2", tied=True, rope=dict(rope_theta=1e6),
                       metadata={"rope.freq_base": 1e6}),
    "qwen3_qk_norm": dict(architecture="qwen3", head_dim=32, rope=dict(rope_theta=1e6),
                          metadata={"rope.freq_base": 1e6}),
    # Six layers: five local, one global, as Gemma's GGUF files imply without saying so. 24 tokens, window 6.
    "gemma3_window": dict(
        architecture="gemma3", kv_heads=1, head_dim=32, layers=6, tied=True, rope=dict(rope_theta=1e6),
        local_rope=10000.0, window=6, metadata={"attention.sliding_window": 6, "rope.freq_base": 1e6}),
    # The layers' kinds spelled out, another query scale, scaled global RoPE, a soft cap on the logits.
    "gemma3_variants": dict(
        architecture="gemma3", layers=3, tied=True, rope=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
        local_rope=500.0, window=5, local=[True, False, True], query_scalar=24, final_softcap=20.0,
        metadata={"attention.sliding_window": 5, "rope.freq_base": 1e6, "rope.freq_base_swa": 500.0,
                  "rope.scaling.type": "linear", "rope.scaling.factor": 8.0,
                  "attention.scale": 1 / math.sqrt(24), "final_logit_softcapping": 20.0,
                  "attention.sliding_window_pattern": [True, False, True]}),
}


def draws(name: str, count: int) -> np.ndarray:
    """The first `count` draws for a tensor, in [-1, 1): 24 bits each, so they are exact in float32."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def matrix(name: str, rows: int, cols: int) -> np.ndarray:
    scale = np.float32(1.0 if name == "token_embd.weight" else 2.0 / math.sqrt(cols))
    return (draws(name, rows * cols) * scale).reshape(rows, cols)


def gain(name: str, size: int, gemma: bool) -> np.ndarray:
    """1 + 0.1 u; Gemma's own files hold 0.1 u and the model adds the 1."""
    small = draws(name, size) * np.float32(0.1)
    return small if gemma else np.float32(1) + small


def bias(name: str, size: int) -> np.ndarray:
    return draws(name, size) * np.float32(0.5)


def state(o: dict) -> dict:
    """transformers' names -> weights."""
    arch, gemma = o["architecture"], o["architecture"] == "gemma3"
    width, q, kv, ffn = o["width"], o["heads"] * o["head_dim"], o["kv_heads"] * o["head_dim"], o["ffn"]
    shapes = {"attn_q": (q, width), "attn_k": (kv, width), "attn_v": (kv, width), "attn_output": (width, q),
              "ffn_gate": (ffn, width), "ffn_up": (ffn, width), "ffn_down": (width, ffn)}
    out = {"model.embed_tokens.weight": matrix("token_embd.weight", o["vocab"], width),
           "model.norm.weight": gain("output_norm.weight", width, gemma)}
    if not o["tied"]:
        out["lm_head.weight"] = matrix("output.weight", o["vocab"], width)
    for layer in range(o["layers"]):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for name, other in LINEARS.items():
            out[f"{theirs}{other}.weight"] = matrix(f"{ours}{name}.weight", *shapes[name])
            if arch == "qwen2" and name in ("attn_q", "attn_k", "attn_v"):
                out[f"{theirs}{other}.bias"] = bias(f"{ours}{name}.bias", shapes[name][0])
        for name, other in (GEMMA_NORMS if gemma else NORMS).items():
            out[f"{theirs}{other}.weight"] = gain(f"{ours}{name}.weight", width, gemma)
        if gemma or arch == "qwen3":
            for name, other in HEAD_NORMS.items():
                out[f"{theirs}{other}.weight"] = gain(f"{ours}{name}.weight", o["head_dim"], gemma)
    return {name: torch.from_numpy(values) for name, values in out.items()}


def build(o: dict, case: dict) -> torch.nn.Module:
    rope = PLAIN_ROPE | case.get("rope", {})
    common = dict(vocab_size=o["vocab"], hidden_size=o["width"], intermediate_size=o["ffn"],
                  num_hidden_layers=o["layers"], num_attention_heads=o["heads"], num_key_value_heads=o["kv_heads"],
                  head_dim=o["head_dim"], rms_norm_eps=1e-5, max_position_embeddings=o["context"],
                  tie_word_embeddings=o["tied"], attn_implementation="eager", use_cache=False,
                  pad_token_id=None, bos_token_id=None, eos_token_id=None)
    if o["architecture"] == "gemma3":
        local = case.get("local", [(i + 1) % 6 != 0 for i in range(o["layers"])])
        config = tf.Gemma3TextConfig(
            hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=case.get("query_scalar", o["head_dim"]),
            sliding_window=case["window"], final_logit_softcapping=case.get("final_softcap"),
            layer_types=["sliding_attention" if x else "full_attention" for x in local],
            rope_parameters={"full_attention": rope,
                             "sliding_attention": PLAIN_ROPE | {"rope_theta": case["local_rope"]}}, **common)
        model = tf.Gemma3ForCausalLM(config)
    else:
        kind = {"llama": (tf.LlamaConfig, tf.LlamaForCausalLM), "qwen2": (tf.Qwen2Config, tf.Qwen2ForCausalLM),
                "qwen3": (tf.Qwen3Config, tf.Qwen3ForCausalLM)}[o["architecture"]]
        model = kind[1](kind[0](hidden_act="silu", rope_parameters=rope, **common))
    missing, unexpected = model.float().eval().load_state_dict(state(o), strict=False)
    if unexpected or set(missing) - ({"lm_head.weight"} if o["tied"] else set()):
        raise SystemExit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    if o["tied"]:
        model.tie_weights()
    return model


@torch.no_grad()
def logits(model: torch.nn.Module) -> np.ndarray:
    return model(input_ids=torch.tensor([TOKENS])).logits[0].numpy()


def main() -> None:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "tests/golden")
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, case in CASES.items():
        options = BASE | {k: case[k] for k in ("architecture", *BASE) if k in case}
        options["architecture"] = case["architecture"]
        model = build(options, case)
        single = logits(model)
        error = np.abs(single - logits(model.double())).max()
        metadata = {f"{case['architecture']}.{k}": v for k, v in case.get("metadata", {}).items()}
        rows = ",\n".join("[" + ",".join(f"{float(x):.9g}" for x in row) + "]" for row in single)
        head = json.dumps({"source": f"transformers {tf.__version__}, torch {torch.__version__}, float32, eager",
                           "options": options, "metadata": metadata, "tokens": TOKENS})
        (folder / f"{name}.json").write_text(head[:-1] + ',\n"logits": [\n' + rows + "\n]}\n")
        print(f"{name}: max |logit| {np.abs(single).max():.3f}, float32 against float64 {error:.2e}")


if __name__ == "__main__":
    main()
