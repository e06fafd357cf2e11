"""Files written by the PyPI package gguf are read, and files written here are read by it: same keys, values, bytes.

usage: gguf_files_oracle.py TOOL   (TOOL: the built gguf_copy_tool)
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

TYPES = [T.F32, T.F16, T.BF16, T.I8, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K,
         T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_NL, T.IQ4_XS, T.TQ1_0, T.TQ2_0]


def write_original(path, rng):
    writer = GGUFWriter(path, "llama")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -7)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -300)
    writer.add_uint32("t.u32", 2**32 - 1)
    writer.add_int32("t.i32", -2**31)
    writer.add_uint64("t.u64", 2**64 - 1)
    writer.add_int64("t.i64", -2**63)
    writer.add_float32("t.f32", 1.25e-30)
    writer.add_float64("t.f64", 1e300)
    writer.add_bool("t.yes", True)
    writer.add_string("t.text", "na\u00efve \U0001f600 \u4f60\u597d")
    writer.add_array("t.words", ["", "a", "\u0120the", "x" * 1000])
    writer.add_array("t.floats", [0.5, -1.0, 3e38])
    writer.add_array("t.ints", [1, -2, 3])
    writer.add_array("t.flags", [True, False, True])
    for n, kind in enumerate(TYPES):
        block, size = GGML_QUANT_SIZES[kind]
        rows, blocks = n % 3 + 1, n % 2 + 1
        data = rng.integers(0, 256, (rows, blocks * size), dtype=np.uint8)
        if kind in (T.F32, T.F16, T.I8):
            data = data.view({T.F32: np.float32, T.F16: np.float16, T.I8: np.int8}[kind])
            writer.add_tensor(f"blk.{n}.w", data)
        else:
            writer.add_tensor(f"blk.{n}.w", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def contents(path):
    reader = GGUFReader(path)
    keys = {}
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.alignment":
            keys[name] = ([t.name for t in field.types], repr(field.contents()))
    tensors = {t.name: (t.tensor_type, t.shape.tolist(), t.data.tobytes()) for t in reader.tensors}
    return keys, tensors, reader.alignment


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        first, second = (str(pathlib.Path(folder) / name) for name in ("first.gguf", "second.gguf"))
        write_original(first, np.random.default_rng(7))
        subprocess.run([sys.argv[1], first, second], check=True)
        keys, tensors, _ = contents(first)
        keys2, tensors2, alignment = contents(second)
        assert alignment == 64, alignment
        assert list(keys) == list(keys2), set(keys) ^ set(keys2)
        for key in keys:
            assert keys[key] == keys2[key], f"{key}: {keys[key]} became {keys2[key]}"
        assert list(tensors) == list(tensors2)
        for name in tensors:
            assert tensors[name] == tensors2[name], f"tensor {name} differs"
        print(f"{len(keys)} keys and {len(tensors)} tensors survive reading and writing")
