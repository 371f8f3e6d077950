"""How PEFT puts the layers into a model."""

from __future__ import annotations

import re
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTuner
from peft.utils.other import get_pattern_key
from torch import nn

from .base import check_base, folder_of, sha256_of_base
from .configs import MoeLoraConfig, RoutedConfig
from .layers import HydraLoraLinear, IdLoraLinear, MoeLoraLinear, RoutedLinear, TaskGate


class RoutedModel(BaseTuner):
    """What the tuners of the three methods share."""

    tuner_layer_cls: type[RoutedLinear] = RoutedLinear
    target_module_mapping: dict[str, list[str]] = {}

    def _create_and_replace(
        self,
        config: RoutedConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        r = config.rank_pattern.get(get_pattern_key(list(config.rank_pattern), current_key), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(list(config.alpha_pattern), current_key), config.lora_alpha)
        if isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, config, r, alpha)
            return
        layer = self.tuner_layer_cls(target)
        layer.update_layer(adapter_name, config, r, alpha)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        """PEFT takes the name for the last or the last but one part; a list of heads has a number behind it."""
        return re.sub(rf"(\.{cls.prefix}\w+)\.{re.escape(adapter_name)}(?=\.|$)", r"\1", key)


class IdLoraModel(RoutedModel):
    """ID-LoRA. Rows are chosen at the first use of a new adapter (`choose_pivots` does it at once)."""

    prefix = "idlora_"
    tuner_layer_cls = IdLoraLinear

    def _pre_injection_hook(self, model: nn.Module, config: Any, adapter_name: str) -> None:
        name = getattr(getattr(model, "config", None), "_name_or_path", None)
        if config.base_sha256 is None:
            folder = folder_of(name)
            config.base_sha256 = sha256_of_base(folder) if folder else None
        elif not config.embed_pivots:
            check_base(config.base_sha256, name)

    @classmethod
    def _get_adapter_state_dict(cls, model: nn.Module, config: Any, adapter_name: str, **kwargs: Any) -> dict:
        state = super()._get_adapter_state_dict(model=model, config=config, adapter_name=adapter_name, **kwargs)
        for key, tensor in state.items():
            if ".idlora_pivots." in key and int(tensor[0]) < 0:
                raise ValueError("The rows of W are not chosen yet: call id_lora.choose_pivots(model), or train first.")
        return state


class HydraLoraModel(RoutedModel):
    prefix = "hydralora_"
    tuner_layer_cls = HydraLoraLinear


class MoeLoraModel(RoutedModel):
    """MoELoRA. The task gate's two tensors belong to all modules and lie at the decoder's path in the file."""

    prefix = "moelora_"
    tuner_layer_cls = MoeLoraLinear

    #: Where the file has what all modules share.
    shared_key = "base_model.model.model."
    #: Size of a task's embedding (Liu et al. 2023).
    task_embedding = 64

    def _pre_injection_hook(self, model: nn.Module, config: MoeLoraConfig, adapter_name: str) -> None:
        if not hasattr(self, "moelora_task_embedding"):
            self.moelora_task_embedding = nn.ModuleDict()
            self.moelora_gate = nn.ModuleDict()
        if config.gate != "task":
            return
        self.moelora_task_embedding[adapter_name] = nn.Embedding(config.num_tasks + 1, self.task_embedding)
        self.moelora_gate[adapter_name] = nn.Linear(self.task_embedding, config.num_experts, bias=False)

    def _post_injection_hook(self, model: nn.Module, config: MoeLoraConfig, adapter_name: str) -> None:
        if config.gate != "task":
            return
        gate = TaskGate(self.moelora_task_embedding[adapter_name], self.moelora_gate[adapter_name])
        device = next(model.parameters()).device
        for part in (gate.embedding, gate.gate):
            if device.type != "meta":
                part.to(device)
            part.requires_grad_(not config.inference_mode)
        for layer in model.modules():
            if isinstance(layer, MoeLoraLinear) and adapter_name in layer.r:
                layer.task_gates[adapter_name] = gate

    @classmethod
    def _remove_adapter_name_from_key(cls, key: str, adapter_name: str) -> str:
        key = super()._remove_adapter_name_from_key(key, adapter_name)
        return re.sub(r"^base_model\.(moelora_)", rf"{cls.shared_key}\1", key)


def choose_pivots(model: nn.Module, progress: bool = False) -> None:
    """Chooses the rows of W for every module of a new ID-LoRA adapter; those that a file brought stay."""
    from tqdm import tqdm

    layers = [(key, layer) for key, layer in model.named_modules() if isinstance(layer, IdLoraLinear)]
    for key, layer in tqdm(layers, disable=not progress, desc="Choosing rows"):
        with torch.no_grad():
            for name in layer.r:
                layer.choose_pivots(name, key)
