"""Records bitsandbytes' dynamic maps and block-wise nearest entries of a few numbers: recorded/quantisation.json.

The nearest entry is what its GPU kernels and its fallback in PyTorch look for; its float32 CPU function only approximates it.
Needs torch and bitsandbytes. python3 tests/engine/training/generate_quantisation.py
"""
import json
from pathlib import Path

import torch
from bitsandbytes.functional import create_dynamic_map

OUT = Path(__file__).resolve().parent / "recorded"

generator = torch.Generator().manual_seed(3)
blocks = torch.randn(3, 256, generator=generator) * torch.tensor([[1.0], [1e-4], [30.0]])
blocks[1] = blocks[1] ** 3
recorded = {}
for name, signed, values in (("signed", True, blocks), ("unsigned", False, blocks.square())):
    table = create_dynamic_map(signed=signed)
    scales = values.abs().amax(1, keepdim=True)
    codes = (values / scales)[..., None].sub(table).abs().argmin(-1)
    recorded[name] = {
        "map": table.tolist(),
        "values": values.reshape(-1).tolist(),
        "codes": codes.reshape(-1).tolist(),
        "scales": scales.reshape(-1).tolist(),
        "dequantised": (table[codes] * scales).reshape(-1).tolist(),
    }
OUT.mkdir(exist_ok=True)
(OUT / "quantisation.json").write_text(json.dumps(recorded))
