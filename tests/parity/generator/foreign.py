"""The other direction: folders that the studio exported, opened by transformers, PEFT and the plain modules of methods.py."""

import json
import pathlib

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from methods import HydraLora, IdLora, MoeLora
from models import load


#: Options that all plain methods share, where the file has them.
COMMON = ("use_rslora", "rank_pattern", "alpha_pattern", "layers_to_transform")


def plain_method(config):
    """The method of an adapter_config.json that PEFT does not know."""
    options = {key: config[key] for key in COMMON if config.get(key) is not None}
    common = {"r": config["r"], "alpha": config["lora_alpha"], "targets": tuple(config["target_modules"]), "options": options}
    match config["peft_type"]:
        case "IDLORA":
            return IdLora(**common, k=config["num_clusters"], s=config["boost"], router=config["router"], softmax=config["router_softmax"])
        case "HYDRALORA":
            return HydraLora(**common, heads=config["num_heads"])
        case "MOELORA":
            return MoeLora(**common, experts=config["num_experts"], gate=config["gate"], tasks=config["num_tasks"])
        case other:
            raise ValueError(f"peft_type {other}")


def open_adapter(model, folder):
    config = json.loads((folder / "adapter_config.json").read_text())
    if config["peft_type"] == "LORA":
        return PeftModel.from_pretrained(model, folder)
    adapted = plain_method(config).attach(model, torch.Generator())
    stored = load_file(folder / "adapter_model.safetensors")
    places = {**adapted.trainable, **adapted.fixed}
    assert stored.keys() == places.keys(), sorted(stored.keys() ^ places.keys())[:4]
    with torch.no_grad():
        for name, place in places.items():
            assert place.shape == stored[name].shape, (name, place.shape, stored[name].shape)
            place.copy_(stored[name])
    return adapted.model


def write_logits(model, adapter, ids, out):
    """Logits [tokens, vocabulary] of a model folder with an adapter folder (or None); a task gate gets task 0."""
    opened = load(pathlib.Path(model))
    if adapter is not None:
        opened = open_adapter(opened, pathlib.Path(adapter))
    with torch.no_grad():
        logits = opened(input_ids=torch.tensor([ids])).logits[0].float().contiguous()
    save_file({"logits": logits}, out, metadata={"format": "pt"})
