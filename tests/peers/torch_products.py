"""Times matrix products of PyTorch in both precisions and prints one JSON document: {"bf16": 0.7, "f32": 66.0}, in GFLOP/s.

usage: python torch_products.py

Processors without bf16 products have them emulated, up to a hundred times slower than f32: PEFT under autocast is no opponent there.
"""

import json
import time

import torch

ROWS, WIDTH = 256, 1024
REPEATS = 3


def rate(dtype):
    a, b = torch.randn(ROWS, WIDTH, dtype=dtype), torch.randn(WIDTH, WIDTH, dtype=dtype)
    best = float("inf")
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * ROWS * WIDTH * WIDTH / best / 1e9


print(json.dumps({"bf16": rate(torch.bfloat16), "f32": rate(torch.float32)}))
