"""A GGUF file of random weights in a published shape and one quantized type, for speed only.

  random_gguf.py TYPE TOKENIZER.gguf OUT.gguf     the shape of Qwen2.5-7B; the tokenizer is any file's, padded
"""
import os
import sys

import numpy
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

LAYERS, WIDTH, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 28, 3584, 18944, 28, 4, 128, 152064
EMBEDDING, HEAD = GGMLQuantizationType.Q4_K, GGMLQuantizationType.Q6_K
# Where a block keeps its half-precision scales: random bytes there would be NaN now and then.
SCALES = {"Q4_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82], "IQ2_XXS": [0], "TQ2_0": [64], "TQ1_0": [52]}


def weights(kind, rows, cols, noise):
    block, size = GGML_QUANT_SIZES[kind]
    data = numpy.resize(noise, rows * cols // block * size).reshape(-1, size)
    small = numpy.frombuffer(numpy.float16(1e-4).tobytes(), dtype=numpy.uint8)
    for at in SCALES[kind.name]:
        data[:, at:at + 2] = small
    return data.reshape(rows, -1)


def copy_tokenizer(writer, path):
    for key, field in GGUFReader(path).fields.items():
        if not key.startswith("tokenizer.") or key == "tokenizer.chat_template":
            continue
        value = field.contents()
        if key == "tokenizer.ggml.tokens":
            value = value + [f"[PAD{i}]" for i in range(len(value), VOCAB)]
        if key == "tokenizer.ggml.token_type":
            value = value + [5] * (VOCAB - len(value))
        array = field.types[0] == GGUFValueType.ARRAY
        writer.add_key_value(key, value, field.types[0], sub_type=field.types[-1] if array else None)


def main():
    kind, tokenizer, target = GGMLQuantizationType[sys.argv[1]], sys.argv[2], sys.argv[3]
    noise = numpy.random.default_rng(1).integers(0, 256, 1 << 24, dtype=numpy.uint8)
    writer = GGUFWriter(target + ".tmp", "qwen2")
    writer.add_block_count(LAYERS)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    copy_tokenizer(writer, tokenizer)

    def add(name, rows, cols, of=kind):
        writer.add_tensor(name + ".weight", weights(of, rows, cols, noise), raw_dtype=of)

    ones = numpy.ones(WIDTH, dtype=numpy.float32)
    add("token_embd", VOCAB, WIDTH, EMBEDDING)
    add("output", VOCAB, WIDTH, HEAD)
    writer.add_tensor("output_norm.weight", ones)
    for i in range(LAYERS):
        layer = f"blk.{i}."
        writer.add_tensor(layer + "attn_norm.weight", ones)
        writer.add_tensor(layer + "ffn_norm.weight", ones)
        for name, rows in (("attn_q", HEADS * HEAD_DIM), ("attn_k", KV_HEADS * HEAD_DIM), ("attn_v", KV_HEADS * HEAD_DIM)):
            add(layer + name, rows, WIDTH)
            writer.add_tensor(f"{layer}{name}.bias", numpy.zeros(rows, dtype=numpy.float32))
        add(layer + "attn_output", WIDTH, HEADS * HEAD_DIM)
        add(layer + "ffn_gate", FFN, WIDTH)
        add(layer + "ffn_up", FFN, WIDTH)
        add(layer + "ffn_down", WIDTH, FFN)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(target + ".tmp", target)


if __name__ == "__main__":
    main()
