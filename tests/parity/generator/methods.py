"""Adapter methods, one class each: how a model gets its adapter, and how the adapter's configuration is written.

LoRA and DoRA are PEFT's own. The others (plain.py) are plain modules written from their formulas.
"""

from dataclasses import dataclass, field, replace

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from plain import HydraLoraLinear, IdLoraLinear, MoeLoraLinear, TaskGate, module_option

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PREFIX = "base_model.model."


@dataclass
class Adapted:
    model: nn.Module
    #: Trainable parameters by their key in the file.
    trainable: dict[str, nn.Parameter]
    #: What else belongs into adapter_model.safetensors.
    fixed: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Full:
    """Every parameter of the model is trained; there is no adapter folder."""

    #: Under autocast the master weights stay f32.
    low_precision_base = torch.float32

    def config(self):
        return None

    def attach(self, model, generator):
        model.requires_grad_(True)
        return Adapted(model, dict(model.named_parameters()))


@dataclass(frozen=True)
class Adapter:
    r: int = 4
    alpha: float = 8
    targets: tuple[str, ...] = TARGETS
    #: Further options in PEFT's names: use_rslora, rank_pattern, alpha_pattern, layers_to_transform, use_dora.
    options: dict = field(default_factory=dict)

    peft_type = "LORA"
    low_precision_base = torch.bfloat16

    def config(self):
        common = {"peft_type": self.peft_type, "r": self.r, "lora_alpha": self.alpha, "target_modules": list(self.targets)}
        return {**common, **self.options, **self.own_config()}

    def own_config(self):
        return {}


@dataclass(frozen=True)
class Lora(Adapter):
    """PEFT's LoRA; DoRA is its option use_dora."""

    def attach(self, model, generator):
        options = {key: value for key, value in self.config().items() if key != "peft_type"}
        peft = get_peft_model(model, LoraConfig(lora_dropout=0.0, **options))
        trainable = {}
        for name, p in peft.named_parameters():
            if not p.requires_grad:
                continue
            with torch.no_grad():
                noise = torch.randn(p.shape, generator=generator) * 0.1
                p.copy_(p * (1 + noise) if "magnitude" in name else noise)
            # PEFT's file has neither the adapter's name nor, for the magnitude, ".weight".
            trainable[name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")] = p
        return Adapted(peft, trainable)


@dataclass(frozen=True)
class PlainMethod(Adapter):
    """A method of plain.py: `wrap` makes the module that replaces a linear one."""

    def attach(self, model, generator):
        adapted = Adapted(model, {})
        shared = self.shared(generator)
        for suffix, p in shared.stored() if shared else ():
            adapted.trainable[f"{PREFIX}model.{suffix}"] = p
        linears = [(name, module) for name, module in model.named_modules()
                   if isinstance(module, nn.Linear) and name.rpartition(".")[2] in self.targets]
        for name, linear in linears:
            own = module_option(name, self.options, r=self.r, alpha=self.alpha)
            if own is None:
                continue
            r, alpha, scale = own
            module = replace(self, r=r, alpha=alpha).wrap(linear, scale, shared, generator)
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, module)
            for suffix, tensor in module.stored():
                kind = adapted.trainable if isinstance(tensor, nn.Parameter) else adapted.fixed
                kind[f"{PREFIX}{name}.{suffix}"] = tensor
        return adapted

    def shared(self, generator):
        """A module that all wrapped ones share, or None."""
        return None


@dataclass(frozen=True)
class IdLora(PlainMethod):
    k: int = 3
    s: int = 2
    router: str = "input"
    softmax: bool = True

    peft_type = "IDLORA"

    def own_config(self):
        return {"num_clusters": self.k, "boost": self.s, "router": self.router, "router_softmax": self.softmax, "pivots": "random"}

    def wrap(self, linear, scale, shared, generator):
        return IdLoraLinear(linear, self, scale, generator)


@dataclass(frozen=True)
class HydraLora(PlainMethod):
    heads: int = 3

    peft_type = "HYDRALORA"

    def own_config(self):
        return {"num_heads": self.heads}

    def wrap(self, linear, scale, shared, generator):
        return HydraLoraLinear(linear, self, scale, generator)


@dataclass(frozen=True)
class MoeLora(PlainMethod):
    """Token gate: r is the rank of each expert. Task gate: it is the total over experts."""

    experts: int = 4
    gate: str = "token"
    tasks: int = 1

    peft_type = "MOELORA"

    def own_config(self):
        return {"num_experts": self.experts, "gate": self.gate, "num_tasks": self.tasks}

    def shared(self, generator):
        return TaskGate(self, generator) if self.gate == "task" else None

    def wrap(self, linear, scale, shared, generator):
        return MoeLoraLinear(linear, self, scale, shared, generator)
