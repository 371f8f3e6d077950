"""Adapters as our Python package writes them through PEFT: trained for some steps, saved by save_pretrained."""

import json
import pathlib
import shutil
import sys

import torch
from peft import get_peft_model
from safetensors.torch import save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "resources" / "python"))
import id_lora  # noqa: E402

from methods import TARGETS  # noqa: E402
from models import load  # noqa: E402

COMMON = {"r": 4, "lora_alpha": 8, "target_modules": list(TARGETS), "task_type": "CAUSAL_LM"}
PATTERNS = {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"mlp.up_proj": 3}}

#: By the name of the recorded folder.
CASES = {
    "idlora-rows": ("tiny-llama", id_lora.IdLoraConfig(**COMMON, num_clusters=2, embed_pivots=True)),
    "idlora-patterns": ("tiny-qwen2", id_lora.IdLoraConfig(**COMMON, **PATTERNS, num_clusters=2)),
    "idlora-pivot": ("tiny-gemma", id_lora.IdLoraConfig(**COMMON, num_clusters=2, router="pivot", pivots="random")),
    "hydralora": ("tiny-qwen2", id_lora.HydraLoraConfig(**COMMON)),
    "moelora": ("tiny-llama", id_lora.MoeLoraConfig(**COMMON, num_experts=2, layers_to_transform=[1])),
    "moelora-task": ("tiny-gemma", id_lora.MoeLoraConfig(**COMMON, num_experts=2, gate="task", num_tasks=2)),
}

ids = [1, 20, 33, 47, 5, 90, 14, 8, 61, 77]


def trained(folder, config):
    """A model with an adapter that three steps of AdamW moved."""
    torch.manual_seed(7)
    model = get_peft_model(load(folder), config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    tokens = torch.tensor([ids])
    for _ in range(3):
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def record_package(fixtures, recorded):
    """Writes a folder a case: the adapter, and the logits [tokens, vocabulary] that it has there; task 0."""
    for name, (base, config) in CASES.items():
        folder = recorded / "package" / name
        shutil.rmtree(folder, ignore_errors=True)
        model = trained(fixtures / base, config)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        path = folder / "adapter_config.json"
        saved = {**json.loads(path.read_text()), "base_model_name_or_path": base, "target_modules": list(TARGETS)}
        path.write_text(json.dumps(saved, indent=2) + "\n")
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].contiguous()
        save_file({"logits": logits}, folder / "logits.safetensors", metadata={"format": "pt"})
