"""bitsandbytes' dynamic maps, and the nearest entries of a few numbers in blocks.

The nearest entry is what its GPU kernels and its fallback in PyTorch look for; its float32 CPU function only approximates it.
"""

import json

import torch
from bitsandbytes.functional import create_dynamic_map

BLOCK = 256


def record_quantization(out):
    generator = torch.Generator().manual_seed(3)
    blocks = torch.randn(3, BLOCK, generator=generator) * torch.tensor([[1.0], [1e-4], [30.0]])
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
            "dequantized": (table[codes] * scales).reshape(-1).tolist(),
        }
    (out / "quantization.json").write_text(json.dumps(recorded) + "\n")
