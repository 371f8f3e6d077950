"""Blocks of every type of GGUF that the studio reads, and the numbers that the Python package gguf makes of them.

usage: python tests/parity/generator/gguf_blocks.py OUT.safetensors

Needs gguf==0.19.0 and safetensors. Blocks are drawn bytes with scales that are finite; Q8_0 is also quantized from
drawn numbers, which the studio writes itself.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType, dequantize, quantize
from safetensors.numpy import save_file

TYPES = ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
#: Where the f16 scales of a block begin.
SCALES = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
}
SIZES = {
    "F16": 64, "BF16": 64, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q8_0": 34,
    "Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210,
}


def main(out):
    rng = np.random.default_rng(3)
    tensors = {}
    for name in TYPES:
        kind = GGMLQuantizationType[name]
        if name in SCALES:
            blocks = rng.integers(0, 256, (6, SIZES[name]), dtype=np.uint8)
            for at in SCALES[name]:
                scales = rng.normal(0, 0.05, 6).astype(np.float16)
                blocks[:, at : at + 2] = scales.view(np.uint8).reshape(6, 2)
        else:
            blocks = quantize(rng.normal(0, 1, (6, 32)).astype(np.float32), kind).view(np.uint8)
        tensors[f"{name}.blocks"] = blocks
        tensors[f"{name}.values"] = np.ascontiguousarray(dequantize(blocks, kind), dtype=np.float32)
    numbers = rng.normal(0, 0.1, (40, 64)).astype(np.float32)
    numbers[3, :32] = 0
    # Halves between two steps, which are rounded away from zero.
    numbers[4, :32] = np.arange(32) + 0.5
    numbers[4, 31] = 127
    tensors["numbers"] = numbers
    for name in ("F16", "BF16", "Q8_0"):
        stored = quantize(numbers, GGMLQuantizationType[name])
        tensors[f"numbers.{name}"] = np.ascontiguousarray(stored).view(np.uint8).reshape(-1)
    save_file(tensors, out)


if __name__ == "__main__":
    main(sys.argv[1])
