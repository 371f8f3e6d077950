"""Weights in 4 and 8 bits as bitsandbytes stores and reads them: tensors of every kind, and a model with its logits.

Rows are whole numbers of blocks: where they are not, the processor's kernel of bitsandbytes begins a block with every row, against what
its own quantization wrote.
"""

import json
import shutil
import tempfile

import torch
from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant, int8_vectorwise_quant, quantize_4bit
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

from tokenizer import write_tokenizer

IDS = [1, 5, 9, 33, 70, 12, 100, 3, 44]


def record_packed(out):
    folder = out / "packed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record_kinds(folder)
    record_rows(folder)
    record_model(folder)


def record_rows(folder):
    """A weight of LLM.int8(), as transformers saves one, and what it stands for."""
    generator = torch.Generator().manual_seed(7)
    values = torch.randn((5, 48), generator=generator) * torch.logspace(-3, 1, 5)[:, None]
    values[3] = 0
    rounded, sizes, _ = int8_vectorwise_quant(values.to(torch.float16))
    stored = {"rows.weight": rounded, "rows.SCB": sizes, "rows.weight_format": torch.tensor(0, dtype=torch.uint8)}
    save_file(stored, folder / "rows.safetensors")
    save_file({"rows.weight": int8_vectorwise_dequant(rounded, sizes)}, folder / "dequantizedRows.safetensors")


def record_kinds(folder):
    generator = torch.Generator().manual_seed(4)
    stored, dequantized = {}, {}
    kinds = [(kind, nested, dtype) for kind in ("nf4", "fp4") for nested in (True, False) for dtype in ("bfloat16", "float16", "float32")]
    for kind, nested, dtype in kinds:
        name = f"{kind}-{'nested' if nested else 'plain'}-{dtype}.weight"
        # More than one block of scales where these are quantized as well.
        values = torch.randn((129, 128) if nested else (6, 128), generator=generator) * torch.logspace(-3, 1, 128)
        packed, state = quantize_4bit(values.to(getattr(torch, dtype)), quant_type=kind, compress_statistics=nested, blocksize=64)
        stored[name] = packed
        stored |= {f"{name}.{key}": tensor.contiguous() for key, tensor in state.as_dict(packed=True).items()}
        dequantized[name] = dequantize_4bit(packed, state).contiguous()
    save_file(stored, folder / "kinds.safetensors")
    save_file(dequantized, folder / "dequantized.safetensors")


def record_model(folder):
    torch.manual_seed(6)
    config = LlamaConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         vocab_size=101, max_position_embeddings=96, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False)
    whole = AutoModelForCausalLM.from_config(config)
    for parameter in whole.parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if parameter.dim() == 1 else 0.0, std=0.2)
    kept = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=torch.float32)
    with tempfile.TemporaryDirectory() as unpacked:
        whole.to(torch.bfloat16).save_pretrained(unpacked)
        model = AutoModelForCausalLM.from_pretrained(unpacked, quantization_config=kept, dtype=torch.bfloat16, device_map="cpu")
    model.save_pretrained(folder / "model")
    write_tokenizer(folder / "model", 101)
    # The values are those of 4 bits; everything is computed in f32, as the engine does.
    exact = AutoModelForCausalLM.from_config(config)
    modules = dict(model.named_modules())
    for name, parameter in exact.named_parameters():
        module = modules[name.rpartition(".")[0]]
        state = getattr(module.weight, "quant_state", None)
        parameter.data = (dequantize_4bit(module.weight.data, state) if state else module.weight.data).float()
    with torch.no_grad():
        logits = exact.eval()(torch.tensor([IDS])).logits[0]
    (folder / "logits.json").write_text(json.dumps({"ids": IDS, "logits": logits.tolist()}) + "\n")
