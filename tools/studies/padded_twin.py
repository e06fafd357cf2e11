"""padded_twin.py IN.gguf OUT.gguf: the same function in widths that are multiples of 256 (F16 or F32 weights of Llama or Gemma 3).

llama.cpp's two- and three-bit types want rows of 256 weights and quietly store others in four or five bits. The twin's additional
columns, rows and heads are zeros; norms see more elements, so gains shrink by sqrt(old / new) and epsilon by old / new. Gemma
multiplies embeddings by sqrt(width), which its stored ones make up for."""
import sys

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter


def main(source, target):
    reader = GGUFReader(source)
    value = {key: field.contents() for key, field in reader.fields.items()}
    architecture = value["general.architecture"]
    key = lambda name: f"{architecture}.{name}"  # noqa: E731
    width, heads, kv_heads = value[key("embedding_length")], value[key("attention.head_count")], value[key("attention.head_count_kv")]
    dim = value.get(key("attention.key_length"), width // heads)
    new_width = -(-width // 256) * 256
    new_kv = kv_heads
    while new_kv * (heads // kv_heads) * dim % 256:  # whole groups of heads
        new_kv += 1
    new_heads = new_kv * (heads // kv_heads)
    shrink = width / new_width
    changed = {key("embedding_length"): new_width, key("attention.head_count"): new_heads, key("attention.head_count_kv"): new_kv,
               key("attention.key_length"): dim, key("attention.value_length"): dim,
               key("attention.layer_norm_rms_epsilon"): value[key("attention.layer_norm_rms_epsilon")] * shrink}
    sizes = {width: new_width}
    out = {"attn_q.weight": (new_heads * dim, new_width), "attn_k.weight": (new_kv * dim, new_width), "attn_v.weight": (new_kv * dim, new_width),
           "attn_output.weight": (new_width, new_heads * dim)}

    writer = GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in changed:
            continue
        kind = field.types[0]
        if kind == GGUFValueType.ARRAY:
            writer.add_key_value(name, field.contents(), kind, sub_type=field.types[-1])
        else:
            writer.add_key_value(name, field.contents(), kind)
    for name, number in changed.items():
        kind = GGUFValueType.FLOAT32 if isinstance(number, float) else GGUFValueType.UINT32
        writer.add_key_value(name, number, kind)
    for tensor in reader.tensors:
        data, role = np.asarray(tensor.data), tensor.name.split(".", 2)[-1] if tensor.name.startswith("blk.") else tensor.name
        if data.dtype not in (np.float16, np.float32):
            sys.exit(f"padded_twin: {tensor.name} is {data.dtype}; F16 or F32 wanted")
        shape = out.get(role, tuple(sizes.get(n, n) for n in data.shape))
        if data.ndim == 1 and data.shape[0] == width:
            data = (data.astype(np.float64) * shrink**0.5).astype(data.dtype)
        if role == "token_embd.weight":
            shape = (data.shape[0], new_width)
            if architecture.startswith("gemma"):
                data = (data.astype(np.float64) * shrink**0.5).astype(data.dtype)
        padded = np.zeros(shape, data.dtype)
        padded[tuple(slice(n) for n in data.shape)] = data
        writer.add_tensor(tensor.name, padded)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
