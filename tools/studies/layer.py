"""One layer of Qwen2.5's shapes in F16 with random weights, quantized: the time (times the layers: the whole model) and the peak memory.
The calibration text is words of the vocabulary in random order: they say nothing, their number costs what it costs."""
import json
import os
import pathlib
import subprocess
import sys

import numpy
import random_gguf
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

HEAD_DIM = 128
# width, ffn, heads, kv heads, layers
SHAPES = {"qwen2.5-7b": (3584, 18944, 28, 4, 28), "qwen2.5-72b": (8192, 29568, 64, 8, 80)}
PLANELOOM = os.environ.get("PLANELOOM", "build/release/planeloom")
ONLY = set(filter(None, os.environ.get("ONLY", "").split(";")))  # runs; empty: all
RUNS = {
    "qwen2.5-7b": ["--method rtn", "--method gptq", "--method bpdq", "--method bpdq --coefficients byte --rotate --refine 3",
                   "--method ptqtp", "--method trellis", "--method trellis --upstream 0.5", "--bpw 2.4"],
    "qwen2.5-72b": ["--method rtn --group 256", "--method rtn --coefficients byte --group 256", "--method ptqtp --group 256",
                    "--method ptqtp --coefficients tied --group 256"],
}


def make(shape, tokenizer, target):
    width, ffn, heads, kv_heads, _ = SHAPES[shape]
    random_gguf.VOCAB = 49152  # the tokenizer's own: the embedding is not what is measured
    writer = GGUFWriter(str(target) + ".tmp", "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    random_gguf.copy_tokenizer(writer, tokenizer)
    noise = (0.02 * numpy.random.default_rng(1).standard_normal(1 << 24, dtype=numpy.float32)).astype(numpy.float16)

    def add(name, rows, cols):
        writer.add_tensor(name + ".weight", numpy.resize(noise, rows * cols).reshape(rows, cols))

    ones = numpy.ones(width, dtype=numpy.float32)
    codes = numpy.random.default_rng(2).integers(0, 256, 1 << 24, dtype=numpy.uint8)
    kind = GGMLQuantizationType.Q4_0
    writer.add_tensor("token_embd.weight", random_gguf.weights(kind, random_gguf.VOCAB, width, codes), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(name + ".weight", ones)
    for name, rows in (("attn_q", heads * HEAD_DIM), ("attn_k", kv_heads * HEAD_DIM), ("attn_v", kv_heads * HEAD_DIM)):
        add("blk.0." + name, rows, width)
        writer.add_tensor(f"blk.0.{name}.bias", numpy.zeros(rows, dtype=numpy.float32))
    add("blk.0.attn_output", width, heads * HEAD_DIM)
    add("blk.0.ffn_gate", ffn, width)
    add("blk.0.ffn_up", ffn, width)
    add("blk.0.ffn_down", width, ffn)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(str(target) + ".tmp", target)


def write_words(source, target, count=1 << 17):
    """`count` words, each one token with a space before it."""
    tokens = GGUFReader(str(source)).get_field("tokenizer.ggml.tokens").contents()
    words = [t[1:] for t in tokens if t[0] == "\u0120" and t[1:].isascii() and t[1:].isalpha()]
    target.write_text(" ".join(numpy.random.default_rng(3).choice(words, count)))


def main():
    shape, out = sys.argv[1], pathlib.Path(sys.argv[2])
    if shape not in SHAPES:
        sys.exit(f"layer: there is no shape {shape}; there are: {', '.join(SHAPES)}")
    layers = SHAPES[shape][-1]
    source = out / f"{shape}.layer.F16.gguf"
    if not source.exists():
        tokenizer = subprocess.run([PLANELOOM, "pull", "smollm2-135m-instruct"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        make(shape, tokenizer, source)
    text = out / "words.txt"
    if not text.exists():
        write_words(source, text)
    print(f"| {shape} | bits/weight | seconds | all {layers} layers | peak memory |\n|---|---:|---:|---:|---:|")
    for options in RUNS[shape]:
        if ONLY and options not in ONLY:
            continue
        target = out / f"{shape}.layer.quantized.gguf"
        run = subprocess.run([PLANELOOM, "quantize", "-m", source, "-o", target, *options.split(), "--calibration", text, "--force", "--json"],
                             check=True, stdout=subprocess.PIPE, text=True)
        j = json.loads(run.stdout)
        target.unlink()
        print(f"| `{options}` | {j['bits_per_weight_linear']:.4f} | {j['seconds']:.1f} | {j['seconds'] * layers / 3600:.2f} h "
              f"| {j['peak_rss_bytes'] / 2**30:.2f} GiB |", flush=True)


if __name__ == "__main__":
    main()
