"""One layer of Qwen2.5-72B's shape in F16 with random weights, quantized: the time (times 80: the whole model) and the peak memory."""
import json
import os
import pathlib
import subprocess
import sys

import numpy
import random_gguf
from gguf import GGMLQuantizationType, GGUFWriter

WIDTH, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS = 8192, 29568, 64, 8, 128, 80
PLANELOOM = os.environ.get("PLANELOOM", "build/release/planeloom")
RUNS = [("rtn", "half", 256), ("rtn", "byte", 256), ("ptqtp", "half", 256), ("ptqtp", "tied", 256)]


def make(tokenizer, target):
    random_gguf.VOCAB = 49152  # the tokenizer's own: the embedding is not what is measured
    writer = GGUFWriter(str(target) + ".tmp", "qwen2")
    writer.add_block_count(1)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    random_gguf.copy_tokenizer(writer, tokenizer)
    noise = (0.02 * numpy.random.default_rng(1).standard_normal(1 << 24, dtype=numpy.float32)).astype(numpy.float16)

    def add(name, rows, cols):
        writer.add_tensor(name + ".weight", numpy.resize(noise, rows * cols).reshape(rows, cols))

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    codes = numpy.random.default_rng(2).integers(0, 256, 1 << 24, dtype=numpy.uint8)
    kind = GGMLQuantizationType.Q4_0
    writer.add_tensor("token_embd.weight", random_gguf.weights(kind, random_gguf.VOCAB, WIDTH, codes), raw_dtype=kind)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(name + ".weight", ones)
    for name, rows in (("attn_q", HEADS * HEAD_DIM), ("attn_k", KV_HEADS * HEAD_DIM), ("attn_v", KV_HEADS * HEAD_DIM)):
        add("blk.0." + name, rows, WIDTH)
        writer.add_tensor(f"blk.0.{name}.bias", numpy.zeros(rows, dtype=numpy.float32))
    add("blk.0.attn_output", WIDTH, HEADS * HEAD_DIM)
    add("blk.0.ffn_gate", FFN, WIDTH)
    add("blk.0.ffn_up", FFN, WIDTH)
    add("blk.0.ffn_down", WIDTH, FFN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(str(target) + ".tmp", target)


def main():
    out = pathlib.Path(sys.argv[1])
    source = out / "layer.F16.gguf"
    if not source.exists():
        tokenizer = subprocess.run([PLANELOOM, "pull", "smollm2-135m-instruct"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        make(tokenizer, source)
    print("| method | coefficients | bits/weight | seconds | all 80 layers | peak memory |\n|---|---|---:|---:|---:|---:|")
    for method, coefficients, group in RUNS:
        target = out / f"layer.{method}.gguf"
        run = subprocess.run([PLANELOOM, "quantize", "-m", source, "-o", target, "--method", method, "--coefficients", coefficients,
                              "--group", str(group), "--force", "--json"], check=True, stdout=subprocess.PIPE, text=True)
        j = json.loads(run.stdout)
        target.unlink()
        print(f"| {method} | {coefficients} | {j['bits_per_weight_linear']:.4f} | {j['seconds']:.1f} | {j['seconds'] * LAYERS / 3600:.2f} h "
              f"| {j['peak_rss_bytes'] / 2**30:.2f} GiB |", flush=True)


if __name__ == "__main__":
    main()
