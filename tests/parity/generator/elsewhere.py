"""Adapters as PEFT users write them: trained for some steps, saved by save_pretrained, in the forms that PEFT takes."""

import json
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from models import load

COMMON = {"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}

#: By the name of the recorded folder: base, configuration, and how it is saved.
CASES = {
    "lora-uneven": (
        "tiny-llama",
        {"target_modules": r"model\.layers\.[01]\.self_attn\.q_proj|.*1\.mlp\.(up|gate)_proj", "lora_dropout": 0.1},
        {},
    ),
    "lora-embeddings": ("tiny-gemma", {"target_modules": "all-linear"}, {"save_embedding_layers": True}),
    "lora-rslora": (
        "tiny-qwen2",
        {
            "target_modules": ["q_proj", "k_proj", "v_proj", "down_proj"],
            "exclude_modules": r".*\.0\..*v_proj",
            "use_rslora": True,
            "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {r"layers\.1\..*": 3},
        },
        {},
    ),
    "dora-layer": (
        "tiny-qwen3",
        {"target_modules": ["self_attn.q_proj", "mlp.up_proj"], "layers_to_transform": [1], "layers_pattern": "layers", "use_dora": True},
        {},
    ),
    "lora-bf16": ("tiny-llama", {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "gaussian"}, {"dtype": torch.bfloat16}),
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


def record_elsewhere(fixtures, recorded):
    """Writes a folder a case: the adapter, and the logits [tokens, vocabulary] that it has there."""
    for name, (base, options, saved_as) in CASES.items():
        folder = recorded / "elsewhere" / name
        shutil.rmtree(folder, ignore_errors=True)
        model = trained(fixtures / base, LoraConfig(**COMMON, **options))
        dtype = saved_as.get("dtype")
        if dtype is not None:
            with torch.no_grad():
                for key, parameter in model.named_parameters():
                    if "lora_" in key:
                        parameter.copy_(parameter.to(dtype).float())
        model.save_pretrained(folder, save_embedding_layers=saved_as.get("save_embedding_layers", False))
        (folder / "README.md").unlink(missing_ok=True)
        if dtype is not None:
            path = folder / "adapter_model.safetensors"
            save_file({key: value.to(dtype) for key, value in load_file(path).items()}, path, metadata={"format": "pt"})
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text())
        targets = config["target_modules"]
        config |= {"base_model_name_or_path": base, "target_modules": targets if isinstance(targets, str) else sorted(targets)}
        path.write_text(json.dumps(config, indent=2) + "\n")
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].contiguous()
        save_file({"logits": logits}, folder / "logits.safetensors", metadata={"format": "pt"})
