"""What llama.cpp's own quantization makes of numbers, and of a whole file.

usage: python tests/parity/generator/llama_quantize.py blocks OUT.safetensors
       python tests/parity/generator/llama_quantize.py file IN.gguf OUT.gguf

Calls llama.cpp's shared libraries, which node-llama-cpp brings: ID_LORA_LLAMA_CPP names a folder with it (llamaCpp.mjs
says how to make one). `blocks` needs numpy and safetensors.
"""

import ctypes
import os
import sys
from pathlib import Path

#: ggml's numbers of the types, and bytes of a block.
TYPES = {"Q8_0": (8, 32, 34), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}
#: llama.cpp's number of the mixture Q4_K_M.
Q4_K_M = 15


def library(name):
    folder = Path(os.environ["ID_LORA_LLAMA_CPP"]) / "node_modules" / "@node-llama-cpp" / "linux-x64" / "bins" / "linux-x64"
    (found,) = folder.glob(f"{name}*.so")
    return ctypes.CDLL(str(found), mode=ctypes.RTLD_GLOBAL)


def numbers():
    """Rows of 512 numbers: of usual sizes, far from zero, on one side of it, in steps, few of them, tiny, none."""
    import numpy as np

    rng = np.random.default_rng(11)
    rows = [rng.normal(0, 0.02, 512) for _ in range(6)]
    rows += [rng.standard_t(2, 512) * 0.01, rng.normal(3, 0.1, 512), -np.abs(rng.normal(0, 1, 512)), np.abs(rng.normal(0, 1, 512))]
    rows += [np.round(rng.normal(0, 4, 512)), (np.arange(512) % 32 - 15.5) / 8, rng.normal(0, 1, 512) * (rng.random(512) < 0.03)]
    rows += [rng.normal(0, 1e-9, 512), rng.normal(0, 1e-17, 512), rng.normal(0, 3e4, 512), np.full(512, 0.25), np.zeros(512)]
    rows += [np.where(np.arange(512) % 64 < 32, 0, rng.normal(0, 1, 512)), rng.normal(0, 1, 512) * np.repeat(10.0 ** rng.integers(-6, 3, 16), 32)]
    return np.stack(rows).astype(np.float32)


def record_blocks(out):
    import numpy as np
    from safetensors.numpy import save_file

    values = np.ascontiguousarray(numbers())
    quantize = library("libggml-base").ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    tensors = {"numbers": values}
    for name, (kind, length, size) in TYPES.items():
        blocks = np.zeros(values.size // length * size, dtype=np.uint8)
        written = quantize(kind, values.ctypes.data, blocks.ctypes.data, 0, *values.shape, None)
        assert written == blocks.size
        tensors[name] = blocks
    save_file(tensors, out)


def quantize_file(source, out):
    library("libggml-base")
    library("libggml.v")
    llama = library("libllama.v")

    class Options(ctypes.Structure):
        """llama_model_quantize_params: the first two are set here, the others as they come."""

        _fields_ = [("threads", ctypes.c_int32), ("kind", ctypes.c_int), ("others", ctypes.c_uint8 * 248)]

    llama.llama_model_quantize_default_params.restype = Options
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Options)]
    options = llama.llama_model_quantize_default_params()
    options.threads, options.kind = 1, Q4_K_M
    failed = llama.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(options))
    assert not failed


if __name__ == "__main__":
    {"blocks": record_blocks, "file": quantize_file}[sys.argv[1]](*sys.argv[2:])
