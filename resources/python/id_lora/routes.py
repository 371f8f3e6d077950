"""Routes held fast: what makes a routed adapter an ordinary LoRA, and the task of a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .layers import MoeLoraLinear, RoutedLinear


@contextmanager
def task_of_rows(model: nn.Module, tasks: Iterable[int]) -> Iterator[None]:
    """Within it, rows of a batch have these tasks for a task-gated MoELoRA (one: every row; 0 is no task)."""
    gates = {id(gate): gate for layer in model.modules() if isinstance(layer, MoeLoraLinear) for gate in layer.task_gates.values()}
    before = {key: gate.rows for key, gate in gates.items()}
    rows = torch.tensor(list(tasks), dtype=torch.long)
    try:
        for gate in gates.values():
            if rows.numel() == 0 or int(rows.min()) < 0 or int(rows.max()) >= gate.embedding.num_embeddings:
                raise ValueError(f"Tasks are 0 to {gate.embedding.num_embeddings - 1}.")
            gate.rows = rows
        yield
    finally:
        for key, gate in gates.items():
            gate.rows = before[key]


@torch.no_grad()
def frozen_route(model: nn.Module, batches: Iterable[dict[str, torch.Tensor]], adapter_name: str = "default") -> dict[str, torch.Tensor]:
    """Mean weights of bases, heads or experts over the tokens of batches, of every module: {path: [n]}, f32.

    Only tokens with attention_mask 1 count. Under these weights a routed adapter is a LoRA (`merge_route`).
    """
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    mask: torch.Tensor | None = None

    def hook(path: str) -> Any:
        def added(layer: RoutedLinear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            h = inputs[0]
            linear = layer.get_base_layer()
            base = linear(h) if linear.bias is None else linear(h) - linear.bias
            weights = layer.route(adapter_name, h, base).float()
            chosen = weights[mask.bool()] if mask is not None else weights.flatten(0, -2)
            sums[path] = sums.get(path, 0) + chosen.double().sum(0)
            counts[path] = counts.get(path, 0) + chosen.shape[0]

        return added

    layers = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, RoutedLinear) and adapter_name in layer.r]
    handles = [layer.register_forward_hook(hook(path)) for path, layer in layers]
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            mask = batch.get("attention_mask")
            model(**batch)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    if not sums:
        raise ValueError("No batch was given, or the model has no such adapter: there is no route to average.")
    return {path: (total / counts[path]).float() for path, total in sums.items()}


@torch.no_grad()
def merge_route(model: nn.Module, route: dict[str, torch.Tensor], adapter_name: str = "default") -> nn.Module:
    """The base model with the adapter merged under fixed weights (`frozen_route`).

    Where the weights depend on the token, this is another function than the adapter's: measure how far it is off.
    """
    for path, layer in model.named_modules():
        if isinstance(layer, RoutedLinear) and adapter_name in layer.r:
            if path not in route:
                raise ValueError(f"The route has no weights for {path}.")
            a, b = layer.low_rank(adapter_name, route[path])
            weight = layer.get_base_layer().weight
            weight.data = (weight.data.float() + b @ a).to(weight.dtype)
    return model.base_model.unload()
