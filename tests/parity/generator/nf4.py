"""A base that is kept in 4 bits (NF4, double quantization): bitsandbytes' numbers, and the curves of PEFT's QLoRA on them in f32.

Rows are whole numbers of blocks where bitsandbytes widens them (see packed.py). Its f32 kernel for processors only approximates the nearest
entry of a scale; `nearest` is what its GPU kernels and its fallback in PyTorch look for.
"""

import json
import shutil
from types import SimpleNamespace

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

from cases import ADAMW
from methods import HydraLora, IdLora, Lora, MoeLora
from record import batch, curve, write_adapter

#: PEFT's own on bitsandbytes' Linear4bit; the others on a model that has the numbers left of its weights.
PEFT = {"lora": Lora(), "dora": Lora(options={"use_dora": True})}
PLAIN = {"idlora": IdLora(k=3, s=2), "hydralora": HydraLora(), "moelora": MoeLora(r=2, alpha=4)}
KEPT = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)
TRAIN = {**ADAMW, "loadIn4bit": True}


def record_nf4(out):
    folder = out / "nf4"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record_numbers(folder)
    record_curves(folder)


def record_numbers(folder):
    generator = torch.Generator().manual_seed(8)
    normal = lambda *shape: torch.randn(shape, generator=generator)
    outliers = normal(6, 128) * 0.02
    outliers[1, 3], outliers[2] = 5.0, 0.0
    middles = (torch.arange(-64, 64) / 64).repeat(4, 1)
    stored = {
        # More than one group of scales.
        "f32": normal(132, 128) * torch.logspace(-3, 1, 128),
        "bf16": (normal(130, 128) * 0.05).bfloat16(),
        "f16": (normal(6, 128) * 0.05).half(),
        "outliers": outliers,
        "steps": middles,
        # Blocks run on over the ends of rows, and the last one ends early.
        "uneven": normal(7, 42),
    }
    tensors = {}
    for name, values in stored.items():
        packed, state = quantize_4bit(values, quant_type="nf4", compress_statistics=True, blocksize=64)
        shifted = greatest(values.float(), 64) - state.offset
        scales = state.state2.absmax
        shares = shifted / scales.repeat_interleave(256)[: len(shifted)].clamp(min=1e-38)
        nearest = (shares[:, None] - state.state2.code).abs().argmin(-1)
        tensors |= {f"{name}.values": values, f"{name}.packed": packed.reshape(-1), f"{name}.scale_codes": state.absmax,
                    f"{name}.nearest": nearest.to(torch.uint8), f"{name}.scales": scales, f"{name}.offset": state.offset.reshape(1)}
        if values.shape[1] % 64 == 0:
            tensors[f"{name}.dequantized"] = dequantize_4bit(packed, state).float()
    tensors["map"] = state.state2.code
    tensors["entries"] = state.code
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "numbers.safetensors")


def greatest(values, size):
    flat = values.reshape(-1)
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % size))
    return padded.reshape(-1, size).abs().amax(1)


def record_curves(folder):
    torch.manual_seed(6)
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         vocab_size=101, max_position_embeddings=96, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
    whole = AutoModelForCausalLM.from_config(config)
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.dim() == 1 else 0.0, std=0.15)
    whole.to(torch.bfloat16).save_pretrained(folder / "model")
    tensors, rows = batch(config.vocab_size)
    load = lambda **options: AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="eager", **options)
    for label, method in {**PEFT, **PLAIN}.items():
        kept = load(quantization_config=KEPT, device_map="cpu")
        model = kept if label in PEFT else replaced(load(), kept)
        model.requires_grad_(False)
        adapted = method.attach(model, torch.Generator().manual_seed(11))
        # For scoring, bitsandbytes packs weights anew on processors, and computes in bf16.
        adapted.model.train()
        case = folder / label
        case.mkdir()
        start = {name: p.detach().clone().contiguous() for name, p in adapted.trainable.items()}
        write_adapter(SimpleNamespace(method=method, model="nf4"), case / "adapter", {**start, **adapted.fixed})
        summary = {"trainable": sum(p.numel() for p in start.values()), **rows, "curve": curve(adapted, tensors, TRAIN)}
        (case / "summary.json").write_text(json.dumps(summary) + "\n")


def replaced(model, kept):
    """The model with the numbers that are left of the weights of `kept`."""
    modules = dict(kept.named_modules())
    for name, parameter in model.named_parameters():
        state = getattr(modules[name.rpartition(".")[0]].weight, "quant_state", None)
        if state is not None:
            parameter.data = dequantize_4bit(modules[name.rpartition(".")[0]].weight.data, state)
    return model
