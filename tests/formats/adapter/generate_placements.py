"""What PEFT makes of adapter folders written in many ways: which modules it adapts, with which scaling and update.

    python tests/formats/adapter/generate_placements.py

writes recorded/placements.json. Needs the packages of tests/parity/requirements.txt.
"""

import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

logging.disable(logging.WARNING)
warnings.simplefilter("ignore")
here = Path(__file__).parent
base_folder = here.parent.parent / "fixtures" / "tiny-llama"
plain = {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
unsloth = (
    r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
    r"(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|o_proj|gate_proj|up_proj|down_proj).*?)|"
    r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\."
    r"(?:(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)))"
)

cases = {
    "as PEFT writes it": {},
    "keys with the adapter's name": {"rename": "default"},
    "keys with another adapter's name": {"rename": "other"},
    "dora": {"config": {"use_dora": True}},
    "dora, magnitude with .weight": {"config": {"use_dora": True}, "rename": "weight"},
    "dora, keys with the adapter's name": {"config": {"use_dora": True}, "rename": "default"},
    "expression": {"config": {"target_modules": r".*\.(q_proj|v_proj)"}},
    "expression, uneven": {
        "config": {"target_modules": r"model\.layers\.[01]\.self_attn\.q_proj|.*1\.mlp\.(up|gate)_proj"}
    },
    "expression, looking ahead": {"config": {"target_modules": r"^(?!.*mlp).*layers\.\d+\..*_proj$"}},
    "expression, as Unsloth writes it": {"config": {"target_modules": unsloth}},
    "all-linear": {"config": {"target_modules": "all-linear"}},
    "full paths": {
        "config": {"target_modules": ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"]}
    },
    "full paths, layers are not read": {
        "config": {
            "target_modules": ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"],
            "layers_to_transform": [1],
        }
    },
    "suffixes": {"config": {"target_modules": ["self_attn.q_proj", "1.mlp.up_proj"]}},
    "suffixes in one layer": {
        "config": {"target_modules": ["self_attn.q_proj", "mlp.up_proj"], "layers_to_transform": 1}
    },
    "names that the model lacks": {"config": {"target_modules": ["q_proj", "query_key_value", "fc1"]}},
    "excluded names": {"config": {"exclude_modules": ["v_proj", "layers.0.self_attn.q_proj"]}},
    "excluded by an expression": {"config": {"exclude_modules": r".*\.0\..*v_proj"}},
    "patterns": {
        "config": {
            "use_rslora": True,
            "rank_pattern": {"q_proj": 4},
            "alpha_pattern": {r"layers\.1\..*": 3},
        }
    },
    "embedding saved as it is": {"embedding": 0.0},
    "embedding saved, changed": {"embedding": 0.5},
    "embedding in modules_to_save, as it is": {"config": {"modules_to_save": ["embed_tokens"]}},
    "modules_to_save keeps LoRA away": {
        "config": {"target_modules": ["q_proj", "norm"], "modules_to_save": ["norm"]}
    },
    "fan_in_fan_out, which linear modules do not have": {"raw": {"fan_in_fan_out": True}},
    "patterns that fit nothing": {"raw": {"rank_pattern": {"nothing": 7}, "alpha_pattern": {"k_proj": 9}}},
    "a key that PEFT does not know": {"raw": {"use_tomorrow": True}},
}


def value(name: str, shape: tuple) -> torch.Tensor:
    """Numbers that any language can make again: from the name's letters and the place."""
    salt = sum(name.encode()) % 97
    numbers = [((i * 31 + salt * 7) % 23 - 11) / 64 for i in range(int(torch.Size(shape).numel()))]
    return torch.tensor(numbers).reshape(shape)


def fill(model) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                short = name.replace(".default", "").replace("vector.weight", "vector")
                number = value(short, tuple(parameter.shape))
                parameter.copy_(number.abs() + 1 if "magnitude" in name else number)


def renamed(key: str, how: str) -> str:
    if how == "weight":
        return key + ".weight" if key.endswith("lora_magnitude_vector") else key
    for part in ("lora_A", "lora_B"):
        key = key.replace(f".{part}.weight", f".{part}.{how}.weight")
    return key.replace("lora_magnitude_vector", f"lora_magnitude_vector.{how}.weight")


def base_model():
    return AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)


def run(case: dict) -> dict:
    settings = {**plain, **case.get("config", {})}
    trained = get_peft_model(base_model(), LoraConfig(**settings))
    fill(trained)
    tensors = get_peft_model_state_dict(trained, save_embedding_layers=False)
    if "rename" in case:
        tensors = {renamed(key, case["rename"]): tensor for key, tensor in tensors.items()}
    if "embedding" in case:
        embedding = base_model().model.embed_tokens.weight.data + case["embedding"]
        tensors["base_model.model.model.embed_tokens.weight"] = embedding
    folder = Path(tempfile.mkdtemp())
    trained.peft_config["default"].save_pretrained(folder)
    raw = json.loads((folder / "adapter_config.json").read_text())
    # all-linear is resolved before it is saved; files of others have the word.
    raw["target_modules"] = settings["target_modules"]
    raw.update(case.get("raw", {}))
    (folder / "adapter_config.json").write_text(json.dumps(raw))
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    base = base_model()
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    loaded = PeftModel.from_pretrained(base, folder)
    merged = loaded.merge_and_unload().state_dict()
    shutil.rmtree(folder)
    updates = {}
    for name, tensor in merged.items():
        difference = (tensor - before[name]).double()
        if difference.abs().max() > 0:
            updates[name.removesuffix(".weight")] = {
                "sum": difference.sum().item(),
                "squares": difference.square().sum().item(),
                "first": difference.flatten()[:3].tolist(),
            }
    raw.pop("peft_version", None)
    return {
        "config": {key: entry for key, entry in raw.items() if entry is not None},
        "tensors": {key: list(tensor.shape) for key, tensor in tensors.items()},
        "embedding": case.get("embedding"),
        "updates": updates,
    }


recorded = {name: run(case) for name, case in cases.items()}
target = here / "recorded" / "placements.json"
lines = [f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in recorded.items()]
target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
for name, case in recorded.items():
    print(name, len(case["tensors"]), sorted(case["updates"]))
