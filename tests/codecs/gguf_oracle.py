"""Compares every GGUF codec bit for bit with the PyPI package gguf, on random blocks.

usage: gguf_oracle.py TOOL   (TOOL: the built gguf_codec_tool)
"""
import subprocess
import sys

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

# Where a block's half-precision numbers stand.
HALVES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0],
    "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52],
    "TQ2_0": [64], "F32": [], "BF16": [],
}
SPECIAL = np.array([0.0, -0.0, 6e-8, -6e-8, 6.1e-5, -5.9e-5, 65504, -65504, 1, -1], dtype=np.float16)


def tool(path, mode, name, cols, data):
    return subprocess.run([path, mode, name, str(cols)], input=data.tobytes(), capture_output=True, check=True).stdout


def random_blocks(rng, name, n):
    """n random blocks: any bytes, finite halves, a third of them zero, subnormal or extreme."""
    size = GGML_QUANT_SIZES[T[name]][1]
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in HALVES[name]:
        bits = rng.integers(0, 65536, n, dtype=np.uint16)
        bits = np.where((bits & 0x7C00) == 0x7C00, bits & 0x83FF, bits).astype(np.uint16)
        special = rng.choice(SPECIAL, n).view(np.uint16)
        bits = np.where(rng.random(n) < 1 / 3, special, bits).astype(np.uint16)
        blocks[:, at:at + 2] = bits.view(np.uint8).reshape(n, 2)
    if name == "IQ1_M":  # whose half lies in four pieces: below 2
        blocks[:, 55] &= 0xBF
    if name in ("F32", "BF16"):  # any exponent but the one of inf and nan
        blocks[:, size - 2] &= 0x7F
    return blocks


def check_decode(path, rng, name):
    block, size = GGML_QUANT_SIZES[T[name]]
    for per_row, rows in ((1, 64), (3, 40), (7, 11)):
        data = random_blocks(rng, name, per_row * rows).reshape(rows, per_row * size)
        want = quants.dequantize(data, T[name]).astype(np.float32, copy=False)
        got = np.frombuffer(tool(path, "decode", name, per_row * block, data), np.float32).reshape(want.shape)
        different = np.flatnonzero(got.view(np.uint32).ravel() != want.view(np.uint32).ravel())
        assert different.size == 0, f"{name}: {different.size} of {want.size} differ, first at {different[0]}: " \
            f"{got.ravel()[different[0]]} for {want.ravel()[different[0]]}"
    return 64 + 120 + 77


def check_encode(path, rng, name):
    values = rng.standard_normal((50, 96)).astype(np.float32) * np.float32(10) ** rng.integers(-6, 4, (50, 1))
    values[0] = 0
    values[1, :32] = np.arange(-16, 16) / 2  # halves: rounding away from zero shows
    values[2] = np.float32(6e-8)
    values[3, 0] = 127
    values[3, 1:33] = np.arange(32) + np.float32(0.5)
    values = values.astype(np.float32)
    want = quants.quantize(values, T[name]).view(np.uint8).ravel()
    got = np.frombuffer(tool(path, "encode", name, 96, values), np.uint8)
    assert np.array_equal(got, want), f"{name}: encoded bytes differ at {np.flatnonzero(got != want)[:4]}"


if __name__ == "__main__":
    generator = np.random.default_rng(20240607)
    np.seterr(all="ignore")
    for type_name in HALVES:
        count = check_decode(sys.argv[1], generator, type_name)
        print(f"{type_name}: {count} blocks decode to the same bits")
    for type_name in ("F32", "F16", "BF16", "Q8_0"):
        check_encode(sys.argv[1], generator, type_name)
        print(f"{type_name}: encodes to the same bytes")
