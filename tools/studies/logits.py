"""Compares Planeloom's logits of real GGUF models with transformers in float32 on the same weights and tokens.

usage: logits.py DUMP_LOGITS WORK_FOLDER NAME=FILE.gguf ...        (tools/studies/logits.sh calls it)

The reference decodes the file's tensors with the PyPI package gguf, builds the model with transformers and runs it in
float32 with eager attention. Each model reads 64 tokens of text; Gemma also the same tokens ten times over, of which
the last 64 are compared: positions 576 to 639 lie beyond its sliding window of 512.
"""
import datetime
import pathlib
import subprocess
import sys

import gguf
import numpy as np
import torch
import transformers as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import make_golden  # noqa: E402  the names of tensors

# The first 64 tokens of this text: "The weaver counted her threads twice before dawn. Thirty-two planes of linen, each
# no wider than a finger, lay across the loom; she lifted every other one, passed the shuttle, and listened. "If it
# sounds loose," her teacher had said in 1987, "it is loose." ..."
IDS = {
    "smollm2-135m-instruct": [
        504, 392, 10247, 17288, 874, 14708, 6757, 1092, 16804, 30, 32101, 29, 11355, 13958, 282, 28522, 28, 971, 787,
        9376, 670, 253, 8400, 28, 2060, 1699, 260, 39621, 43, 1041, 21051, 897, 550, 582, 28, 4180, 260, 23245, 28,
        284, 17443, 30, 476, 1937, 357, 4598, 10918, 1627, 874, 3743, 761, 1137, 281, 216, 33, 41, 40, 39, 28, 476,
        269, 314, 10918, 1270],
    "gemma-3-270m": [
        2, 818, 214510, 31167, 1116, 25843, 10911, 1680, 38306, 236761, 74918, 236772, 13498, 23449, 529, 41521,
        236764, 1546, 951, 17865, 1082, 496, 15599, 236764, 6267, 3418, 506, 86191, 236793, 1304, 32340, 1418, 1032,
        886, 236764, 6915, 506, 51320, 236764, 532, 37570, 236761, 623, 2859, 625, 12054, 20034, 2098, 1116, 9800,
        1053, 1176, 528, 236743, 236770, 236819, 236828, 236832, 236764, 623, 509, 563, 20034, 1781],
}


def load(path: str) -> torch.nn.Module:
    """A transformers model with the dequantized weights of a llama or gemma3 GGUF."""
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()

    def key(name, default=None):
        field = reader.fields.get(f"{arch}.{name}")
        return field.contents() if field else default

    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    heads, layers, width = key("attention.head_count"), key("block_count"), key("embedding_length")
    head_dim = key("attention.key_length", width // heads)
    rope = dict(rope_type="default", rope_theta=float(key("rope.freq_base", 10000.0)))
    tied = "output.weight" not in tensors
    common = dict(vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=width, head_dim=head_dim,
                  intermediate_size=key("feed_forward_length"), num_hidden_layers=layers, num_attention_heads=heads,
                  num_key_value_heads=key("attention.head_count_kv", heads), attn_implementation="eager",
                  rms_norm_eps=float(key("attention.layer_norm_rms_epsilon")), tie_word_embeddings=tied,
                  max_position_embeddings=key("context_length"), use_cache=False)
    if arch == "llama":
        model = tf.LlamaForCausalLM(tf.LlamaConfig(rope_parameters=rope, **common))
    elif arch == "gemma3":
        kinds = ["full_attention" if i % 6 == 5 else "sliding_attention" for i in range(layers)]
        model = tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(
            query_pre_attn_scalar=head_dim, sliding_window=key("attention.sliding_window"), layer_types=kinds,
            rope_parameters={"full_attention": rope, "sliding_attention": rope | {"rope_theta": 10000.0}}, **common))
    else:
        raise SystemExit(f"{path}: architecture {arch}")

    blocks = make_golden.LINEARS | (make_golden.GEMMA_NORMS | make_golden.HEAD_NORMS if arch == "gemma3"
                                    else make_golden.NORMS)
    whole = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    state = {}
    for name, values in tensors.items():
        parts = name.removesuffix(".weight").split(".")
        if arch == "gemma3" and values.ndim == 1:
            values = values - np.float32(1)  # a GGUF has the 1 added
        if arch == "llama" and parts[-1] in ("attn_q", "attn_k"):  # a GGUF pairs neighbours for RoPE
            values = values.reshape(-1, head_dim // 2, 2, width).swapaxes(1, 2).reshape(values.shape)
        theirs = whole[parts[0]] if len(parts) == 1 else f"model.layers.{parts[1]}.{blocks[parts[2]]}"
        state[f"{theirs}.weight"] = torch.from_numpy(np.ascontiguousarray(values))
    missing, unexpected = model.float().eval().load_state_dict(state, strict=False)
    if unexpected or set(missing) - ({"lm_head.weight"} if tied else set()):
        raise SystemExit(f"{path}: weights do not fit: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model


def ours(dump: str, work: pathlib.Path, path: str, ids: list, activations: str, cache: str, first: int) -> np.ndarray:
    ids_file, out_file = work / "ids.txt", work / "logits.f32"
    ids_file.write_text(" ".join(map(str, ids)))
    subprocess.run([dump, path, ids_file, out_file, activations, cache, str(first)], check=True)
    out = np.fromfile(out_file, dtype="<f4").reshape(len(ids) - first, -1)
    out_file.unlink()
    return out


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def row(want: np.ndarray, got: np.ndarray) -> str:
    diff = np.abs(want.astype(np.float64) - got)
    p, q = log_softmax(want), log_softmax(got)
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    same = int((want.argmax(axis=1) == got.argmax(axis=1)).sum())
    return (f"{np.abs(want).max():.1f} | {diff.max():.2e} | {diff.mean():.2e} | {kl.mean():.2e} | {kl.max():.2e} | "
            f"{same}/{len(want)}")


@torch.no_grad()
def main() -> None:
    dump, work = sys.argv[1], pathlib.Path(sys.argv[2])
    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), "unknown CPU")
    print(f"{datetime.date.today()}, {cpu}, transformers {tf.__version__}, torch {torch.__version__}, "
          f"gguf {getattr(gguf, '__version__', '0.19.0')}\n")
    print("| model | tokens compared | activations, cache | largest abs logit | max abs diff | mean abs diff | mean KL | max KL | same top-1 |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for argument in sys.argv[3:]:
        name, path = argument.split("=", 1)
        model = load(path)
        cases = [(IDS[name], 0)] + ([(IDS[name] * 10, 576)] if name.startswith("gemma") else [])
        for ids, first in cases:
            want = model(input_ids=torch.tensor([ids]), logits_to_keep=len(ids) - first).logits[0].numpy()
            for activations, cache in (("float", "f32"), ("float", "f16"), ("int8", "f16")):
                got = ours(dump, work, path, ids, activations, cache, first)
                span = f"{first} to {len(ids) - 1}"
                print(f"| {name} | {span} | {activations}, {cache} | {row(want, got)} |", flush=True)


if __name__ == "__main__":
    main()
