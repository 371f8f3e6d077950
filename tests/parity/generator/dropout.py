"""Every method with a given dropout mask on one linear module: output and gradients.

Which values are dropped is random and no two programs draw alike; what follows from a mask (where it acts, the factor 1 / (1 - p), the
gradients) is not. Masks are given, not drawn.
"""

import json

import torch
from safetensors.torch import save_file
from torch import nn

from methods import HydraLora, IdLora, Lora, MoeLora
from plain import TaskGate

P = 0.25
TOKENS, D_IN, D_OUT = 9, 24, 32
MODULE = "q_proj"
METHODS = {
    "lora": Lora(targets=(MODULE,)),
    "lora, rsLoRA": Lora(targets=(MODULE,), options={"use_rslora": True}),
    "dora": Lora(targets=(MODULE,), options={"use_dora": True}),
    "hydralora": HydraLora(targets=(MODULE,)),
    "moelora": MoeLora(targets=(MODULE,)),
    "moelora, task gate": MoeLora(targets=(MODULE,), gate="task", tasks=2),
    "idlora": IdLora(targets=(MODULE,)),
    "idlora, router without softmax": IdLora(targets=(MODULE,), softmax=False),
    "idlora, pivot router": IdLora(targets=(MODULE,), router="pivot"),
}


class GivenMask(nn.Module):
    """Dropout that draws nothing: values where `keep` is 0 are dropped, the others grow by 1 / (1 - p)."""

    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def forward(self, x):
        return x * self.keep / (1 - P)


class OneLinear(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.q_proj = nn.Linear(D_IN, D_OUT, bias=False)
        self.q_proj.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x):
        return self.q_proj(x)


def record_dropout(out):
    generator = torch.Generator().manual_seed(23)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    weight, x, upstream = normal(D_OUT, D_IN) * 0.2, normal(TOKENS, D_IN), normal(TOKENS, D_OUT)
    tensors = {"weight": weight, "x": x, "upstream": upstream}
    cases = []
    for number, (name, method) in enumerate(METHODS.items()):
        adapted = method.attach(OneLinear(weight.clone()), torch.Generator().manual_seed(11))
        # ID-LoRA drops the activations of its clusters, the others the module's input.
        width = method.k * method.r if isinstance(method, IdLora) else D_IN
        keep = (torch.rand(TOKENS, width, generator=generator) >= P).float()
        tasks = torch.arange(TOKENS) % 3
        for module in adapted.model.modules():
            if hasattr(module, "lora_dropout"):
                module.lora_dropout["default"] = GivenMask(keep[:, None])
            elif hasattr(module, "dropout"):
                module.dropout = GivenMask(keep[:, None])
            if isinstance(module, TaskGate):
                module.rows = tasks
        adapted.model.train()
        given = x.clone().requires_grad_(True)
        # Each token is a row of its own, so that it has a task of its own.
        output = adapted.model(given[:, None])[:, 0]
        (output * upstream).sum().backward()
        prefix = f"{number}."
        tensors |= {f"{prefix}keep": keep, f"{prefix}output": output.detach(), f"{prefix}gradient of x": given.grad}
        for key, p in adapted.trainable.items():
            suffix = key.partition(f"{MODULE}.")[2] or key.removeprefix("base_model.model.model.")
            tensors |= {f"{prefix}{suffix}": p.detach(), f"{prefix}gradient of {suffix}": p.grad}
        for key, value in adapted.fixed.items():
            tensors[f"{prefix}{key.partition(f'{MODULE}.')[2]}"] = value
        cases.append({"name": name, "peft": {**method.config(), "lora_dropout": P}, "tasks": tasks.tolist()})
    save_file({key: value.contiguous() for key, value in tensors.items()}, out / "dropout.safetensors")
    (out / "dropout.json").write_text(json.dumps(cases) + "\n")
