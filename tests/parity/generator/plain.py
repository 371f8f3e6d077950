"""The methods that PEFT does not have, as plain modules, without any of the identities that the engine uses: ID-LoRA multiplies with explicit
A_i = W[S_i] and applies B to every cluster, the mixtures apply every expert.

Starting values are random and not zero, so that every gradient is a real one. `dropout` may be replaced by a module with a given mask.
"""

import math
import re

import torch
from torch import nn


def module_option(name, options, r, alpha):
    """(r, alpha, scale) of one module by PEFT's options, or None where it is not adapted."""
    layers = options.get("layers_to_transform")
    if layers is not None and int(re.search(r"\.(\d+)\.", name)[1]) not in layers:
        return None
    for key, value in options.get("rank_pattern", {}).items():
        if re.match(rf"(.*\.)?({key})$", name):
            r = value
            break
    for key, value in options.get("alpha_pattern", {}).items():
        if re.match(rf"(.*\.)?({key})$", name):
            alpha = value
            break
    return r, alpha, alpha / (math.sqrt(r) if options.get("use_rslora") else r)


def random_parameter(generator, *shape):
    return nn.Parameter(torch.randn(*shape, generator=generator) * 0.1)


class IdLoraLinear(nn.Module):
    """ID-LoRA (Ma et al., equation 4)."""

    def __init__(self, base, method, scale, generator):
        super().__init__()
        self.base, self.method, self.scale, self.dropout = base, method, scale, nn.Identity()
        r, k, s = method.r, method.k, method.s
        d_out, d_in = base.weight.shape
        self.register_buffer("pivots", torch.randperm(d_out, generator=generator)[: k * r].to(torch.int32))
        self.B = random_parameter(generator, d_out // s, r // s)
        self.R = random_parameter(generator, k, d_in) if method.router == "input" else random_parameter(generator, r)

    def stored(self):
        yield "idlora_B.weight", self.B
        yield "idlora_router.weight", self.R
        yield "idlora_pivots", self.pivots

    def forward(self, h):
        method = self.method
        bases = self.base.weight.detach()[self.pivots.long()].chunk(method.k)
        x = self.dropout(torch.cat([h @ a.T for a in bases], -1)).chunk(method.k, -1)
        if method.router == "input":
            a = h @ self.R.T
            if method.softmax:
                a = a.softmax(-1)
        else:
            a = torch.stack([(x_i * self.R).sum(-1) for x_i in x], -1)
        update = 0
        for i, x_i in enumerate(x):
            parts = x_i.chunk(method.s, dim=-1)
            update = update + a[..., i : i + 1] * torch.cat([part @ self.B.T for part in parts], -1)
        return self.base(h) + self.scale * update


class HydraLoraLinear(nn.Module):
    """HydraLoRA: one A, several B, softmax router on the input."""

    def __init__(self, base, method, scale, generator):
        super().__init__()
        self.base, self.scale, self.dropout = base, scale, nn.Identity()
        d_out, d_in = base.weight.shape
        self.A = random_parameter(generator, method.r, d_in)
        self.B = nn.ParameterList(random_parameter(generator, d_out, method.r) for _ in range(method.heads))
        self.R = random_parameter(generator, method.heads, d_in)

    def stored(self):
        yield "hydralora_A.weight", self.A
        for i, b in enumerate(self.B):
            yield f"hydralora_B.{i}.weight", b
        yield "hydralora_router.weight", self.R

    def forward(self, h):
        gates = (h @ self.R.T).softmax(-1)
        down = self.dropout(h) @ self.A.T
        return self.base(h) + self.scale * sum(gates[..., i : i + 1] * (down @ b.T) for i, b in enumerate(self.B))


class TaskGate(nn.Module):
    """Liu et al. 2023, section 3.4: one embedding and one linear gate for all modules; a row's weights are softmax(G e_task)."""

    width = 64

    def __init__(self, method, generator):
        super().__init__()
        self.embedding = random_parameter(generator, method.tasks + 1, self.width)
        self.G = random_parameter(generator, method.experts, self.width)
        #: Task of each row of the batch.
        self.rows = torch.tensor([0])

    def stored(self):
        yield "moelora_task_embedding.weight", self.embedding
        yield "moelora_gate.weight", self.G

    def forward(self):
        return (self.embedding[self.rows] @ self.G.T).softmax(-1)[:, None]


class MoeLoraLinear(nn.Module):
    """MoELoRA: independent LoRA experts under a softmax gate."""

    def __init__(self, base, method, scale, task_gate, generator):
        super().__init__()
        self.base, self.scale, self.task_gate, self.dropout = base, scale, task_gate, nn.Identity()
        d_out, d_in = base.weight.shape
        r = method.r if task_gate is None else method.r // method.experts
        self.A = nn.ParameterList(random_parameter(generator, r, d_in) for _ in range(method.experts))
        self.B = nn.ParameterList(random_parameter(generator, d_out, r) for _ in range(method.experts))
        self.R = random_parameter(generator, method.experts, d_in) if task_gate is None else None

    def stored(self):
        for i, (a, b) in enumerate(zip(self.A, self.B)):
            yield f"moelora_A.{i}.weight", a
            yield f"moelora_B.{i}.weight", b
        if self.R is not None:
            yield "moelora_router.weight", self.R

    def forward(self, h):
        gates = (h @ self.R.T).softmax(-1) if self.task_gate is None else self.task_gate()
        dropped = self.dropout(h)
        return self.base(h) + self.scale * sum(gates[..., i : i + 1] * (dropped @ a.T @ b.T) for i, (a, b) in enumerate(zip(self.A, self.B)))
