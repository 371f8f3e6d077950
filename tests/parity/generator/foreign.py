"""The other direction: folders that the studio exported, opened by transformers, PEFT, our Python package and the plain modules of methods.py."""

import importlib
import json
import pathlib
import sys
import warnings

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


def open_by_package(model, folder):
    """By PEFT, with the copy of the package that lies beside the adapter; a warning is an error."""
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module("id_lora")
    finally:
        sys.path.pop(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return PeftModel.from_pretrained(model, folder)


def write_logits(model, adapter, ids, out):
    """Logits [tokens, vocabulary] of a model folder with an adapter folder (or None); a task gate gets task 0.

    `package`: the same by PEFT alone, where the adapter's method is not PEFT's own.
    """
    def logits(opened):
        with torch.no_grad():
            return opened.eval()(input_ids=torch.tensor([ids])).logits[0].float().contiguous()

    folder = None if adapter is None else pathlib.Path(adapter)
    plain = load(pathlib.Path(model))
    found = {"logits": logits(plain if folder is None else open_adapter(plain, folder))}
    if folder is not None and (folder / "id_lora").is_dir():
        found["package"] = logits(open_by_package(load(pathlib.Path(model)), folder))
    save_file(found, out, metadata={"format": "pt"})
