"""Linear layers with an adapter. Shapes: h [..., d_in], W [d_out, d_in], the update [..., d_out]."""

from __future__ import annotations

import math
from typing import Any

import torch
from peft.tuners._buffer_dict import BufferDict
from peft.tuners.tuners_utils import BaseTunerLayer, check_adapters_to_merge
from torch import nn

from .configs import HydraLoraConfig, IdLoraConfig, MoeLoraConfig, RoutedConfig
from .pivots import chosen_bases, chosen_rows


class Rows(nn.Module):
    """The frozen rows A_i, written out, or bases in their place. @ weight [k r, d_in]"""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)


class RoutedLinear(nn.Module, BaseTunerLayer):
    """What the layers of the three methods share: y = W h + b + update(h), for every active adapter."""

    other_param_names: tuple[str, ...] = ("r", "scaling", "configs")

    def __init__(self, base_layer: nn.Module) -> None:
        nn.Module.__init__(self)
        self.base_layer = base_layer
        self.r: dict[str, int] = {}
        self.scaling: dict[str, float] = {}
        self.configs: dict[str, RoutedConfig] = {}
        self.dropouts = nn.ModuleDict()
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter: str | list[str] = []
        linear = self.get_base_layer()
        if not isinstance(linear, nn.Linear):
            raise ValueError(f"Only linear layers are adapted, and this is {type(linear).__name__}.")
        self.in_features, self.out_features = linear.in_features, linear.out_features

    def update_layer(self, name: str, config: RoutedConfig, r: int, alpha: float) -> None:
        """Adds an adapter of rank r. The update starts at zero."""
        self.r[name] = r
        self.scaling[name] = alpha / (math.sqrt(r) if config.use_rslora else r)
        self.configs[name] = config
        self.dropouts[name] = nn.Dropout(config.lora_dropout) if config.lora_dropout > 0 else nn.Identity()
        self.add_parameters(name, config, r)
        self._move_adapter_to_device_of_base_layer(name)
        self.set_adapter(self.active_adapters or name, inference_mode=config.inference_mode)

    def add_parameters(self, name: str, config: Any, r: int) -> None:
        raise NotImplementedError

    def update(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Update of one adapter [..., d_out]. @ base W h without the bias"""
        raise NotImplementedError

    def route(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Weights of the bases, heads or experts for each token [..., n], in f32."""
        raise NotImplementedError

    def fixed_route(self, name: str) -> torch.Tensor | None:
        """The weights [n] where they are the same for every token, else None."""
        raise NotImplementedError

    def low_rank(self, name: str, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A [R, d_in] and B [d_out, R], scaled, with update(h) = B A h under a fixed route. @ weights [n]"""
        raise NotImplementedError

    def forward(self, h: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.disable_adapters and self.merged:
            self.unmerge()
        result = self.base_layer(h, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        bias = self.get_base_layer().bias
        base = result if bias is None else result - bias
        for name in self.active_adapters:
            if name in self.r:
                result = result + self.update(name, h, base).to(result.dtype)
        return result

    def get_delta_weight(self, name: str) -> torch.Tensor:
        """B A of a route that is the same for every token. @raises ValueError for one that is not"""
        weights = self.fixed_route(name)
        if weights is None:
            raise ValueError(
                f"{self.configs[name].method} weighs its parts anew for every token, and no one matrix does that: it "
                "cannot be merged. id_lora.merge_route merges it with the route frozen at given weights."
            )
        a, b = self.low_rank(name, weights)
        return b @ a

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        weight = self.get_base_layer().weight
        for name in check_adapters_to_merge(self, adapter_names):
            if name not in self.r:
                continue
            merged = weight.data.float() + self.get_delta_weight(name)
            if safe_merge and not torch.isfinite(merged).all():
                raise ValueError(f"NaN or infinity in the merged weight of the adapter {name}: nothing is merged.")
            weight.data = merged.to(weight.dtype)
            self.merged_adapters.append(name)

    def unmerge(self) -> None:
        weight = self.get_base_layer().weight
        while self.merged_adapters:
            delta = self.get_delta_weight(self.merged_adapters.pop())
            weight.data = (weight.data.float() - delta).to(weight.dtype)

    def base_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows of W in f32 [n, d_in], also where it is kept in 4 or 8 bits (as get_base_weight gives it)."""
        return self.get_base_weight()[rows].float()


def zeros(rows: int, columns: int) -> nn.Linear:
    """Trainable [rows, columns], zero."""
    linear = nn.Linear(columns, rows, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


def uniform(rows: int, columns: int) -> nn.Linear:
    """Trainable [rows, columns], kaiming-uniform with a = sqrt(5), which is a bound of 1 / sqrt(columns)."""
    return nn.Linear(columns, rows, bias=False)


class IdLoraLinear(RoutedLinear):
    """x_i = (W h)[S_i], z = sum_i a_i x_i, update = c concat_p(B z^p); dropout acts on x_i (Ma et al., equation 4)."""

    adapter_layer_names = ("idlora_B", "idlora_router")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.idlora_B = nn.ModuleDict()
        self.idlora_router = nn.ModuleDict()
        self.idlora_pivots = BufferDict({}, persistent=True)
        self.idlora_A = nn.ModuleDict()
        self.idlora_basis = nn.ModuleDict()

    def add_parameters(self, name: str, config: IdLoraConfig, r: int) -> None:
        k, s, d_out, d_in = config.num_clusters, config.boost, self.out_features, self.in_features
        if r % s or d_out % s:
            raise ValueError(f"boost = {s} divides not both the rank {r} and the {d_out} outputs of a module.")
        most = min(d_out, d_in) if config.pivots == "svd" else d_out
        if k * r > most:
            raise ValueError(f"num_clusters x r = {k} x {r} = {k * r} different rows, and a module has {most}.")
        self.idlora_B[name] = zeros(d_out // s, r // s)
        # The pivot router T [r] is stored as a vector.
        if config.router != "fixed":
            self.idlora_router[name] = uniform(k, d_in) if config.router == "input" else Vector(r)
        if not config.has_rows:
            # Zero: not chosen yet.
            self.idlora_basis[name] = Rows(torch.zeros(k * r, d_in))
            return
        # -1: not chosen yet. A file brings them; a new adapter chooses at its first use.
        self.idlora_pivots[name] = torch.full((k * r,), -1, dtype=torch.int32)
        if config.embed_pivots:
            self.idlora_A[name] = Rows(torch.zeros(k * r, d_in))

    def choose_pivots(self, name: str, key: str = "") -> None:
        """Chooses the rows of W, where they are not chosen yet. @ key the module's path: it decides random rows"""
        config = self.configs[name]
        if not config.has_rows:
            basis = self.idlora_basis[name]
            if basis.weight.device.type != "meta" and not bool(basis.weight.any()):
                found = chosen_bases(self.get_base_weight(), config.pivots, config.num_clusters, self.r[name], key)
                basis.weight = found.to(basis.weight)
            return
        pivots = self.idlora_pivots[name]
        if pivots.device.type == "meta" or int(pivots[0]) >= 0:
            return
        rows = chosen_rows(self.get_base_weight(), config.pivots, config.num_clusters, self.r[name], key)
        self.idlora_pivots[name] = rows.to(pivots.device)
        if name in self.idlora_A:
            self.idlora_A[name].weight = self.base_rows(rows.long()).to(self.idlora_A[name].weight.device)

    def activations(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """x_i [..., k, r]."""
        self.choose_pivots(name)
        k, r = self.configs[name].num_clusters, self.r[name]
        written = self.written_bases(name)
        if written is not None:
            columns = nn.functional.linear(h, written.to(h.dtype))
        else:
            columns = base[..., self.idlora_pivots[name].long()]
        return columns.unflatten(-1, (k, r))

    def written_bases(self, name: str) -> torch.Tensor | None:
        """The bases where the adapter holds them [k r, d_in], else None: then they are rows of W."""
        held = next((part for part in (self.idlora_A, self.idlora_basis) if name in part), None)
        return None if held is None else held[name].weight

    def weights(self, name: str, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        config = self.configs[name]
        if config.router == "fixed":
            return torch.full(x.shape[:-1], 1 / config.num_clusters, device=x.device)
        router = self.idlora_router[name]
        if config.router == "pivot":
            return (x.float() * router.weight.float()).sum(-1)
        logits = router(self._cast_input_dtype(h, router.weight.dtype)).float()
        return logits.softmax(-1) if config.router_softmax else logits

    def route(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        return self.weights(name, h, self.activations(name, h, base))

    def update(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        x = self.dropouts[name](self.activations(name, h, base))
        z = self.scaling[name] * (self.weights(name, h, x)[..., None] * x.float()).sum(-2)
        b, s = self.idlora_B[name], self.configs[name].boost
        parts = z.to(b.weight.dtype).unflatten(-1, (s, -1))
        return b(parts).flatten(-2)

    def fixed_route(self, name: str) -> torch.Tensor | None:
        config = self.configs[name]
        k, device = config.num_clusters, self.idlora_B[name].weight.device
        is_one = k == 1 and config.router == "input" and config.router_softmax
        return torch.full((k,), 1 / k, device=device) if is_one or config.router == "fixed" else None

    def low_rank(self, name: str, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.choose_pivots(name)
        k, r, s = self.configs[name].num_clusters, self.r[name], self.configs[name].boost
        written = self.written_bases(name)
        rows = self.base_rows(self.idlora_pivots[name].long()) if written is None else written.float()
        a = torch.einsum("k,krd->rd", weights.to(rows), rows.view(k, r, -1))
        b = self.idlora_B[name].weight.float()
        return a, self.scaling[name] * torch.block_diag(*[b] * s)


class Vector(nn.Module):
    """The pivot router T [r]. It is not zero: with B = 0 and T = 0 neither would ever have a gradient."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size).uniform_(-1 / math.sqrt(size), 1 / math.sqrt(size)))


class HydraLoraLinear(RoutedLinear):
    """update = c sum_i a_i B_i A dropout(h), a = softmax(R h)."""

    adapter_layer_names = ("hydralora_A", "hydralora_B", "hydralora_router")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.hydralora_A = nn.ModuleDict()
        self.hydralora_B = nn.ModuleDict()
        self.hydralora_router = nn.ModuleDict()

    def add_parameters(self, name: str, config: HydraLoraConfig, r: int) -> None:
        self.hydralora_A[name] = uniform(r, self.in_features)
        self.hydralora_B[name] = nn.ModuleList(zeros(self.out_features, r) for _ in range(config.num_heads))
        self.hydralora_router[name] = uniform(config.num_heads, self.in_features)

    def route(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        router = self.hydralora_router[name]
        return router(self._cast_input_dtype(h, router.weight.dtype)).float().softmax(-1)

    def update(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        a, heads = self.hydralora_A[name], self.hydralora_B[name]
        down = a(self.dropouts[name](self._cast_input_dtype(h, a.weight.dtype)))
        gates = self.scaling[name] * self.route(name, h, base)
        wide = (gates[..., None] * down.float()[..., None, :]).to(down.dtype).flatten(-2)
        return nn.functional.linear(wide, torch.cat([head.weight for head in heads], 1))

    def fixed_route(self, name: str) -> torch.Tensor | None:
        return torch.ones(1, device=self.hydralora_A[name].weight.device) if len(self.hydralora_B[name]) == 1 else None

    def low_rank(self, name: str, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        heads = torch.stack([head.weight.float() for head in self.hydralora_B[name]])
        b = torch.einsum("n,nor->or", weights.to(heads), heads)
        return self.hydralora_A[name].weight.float(), self.scaling[name] * b


class TaskGate:
    """The gate that all modules of a task-gated MoELoRA share: softmax(G e_t) for the task t of each row."""

    def __init__(self, embedding: nn.Embedding, gate: nn.Linear) -> None:
        self.embedding, self.gate = embedding, gate
        #: Task of each row of the batch, or of all rows.
        self.rows = torch.zeros(1, dtype=torch.long)

    def weights(self) -> torch.Tensor:
        """[rows, experts]"""
        tasks = self.rows.to(self.embedding.weight.device)
        return self.gate(self.embedding(tasks)).float().softmax(-1)


class MoeLoraLinear(RoutedLinear):
    """update = c sum_i g_i B_i A_i dropout(h), g = softmax(R h) or, by the task of the row, softmax(G e_t)."""

    adapter_layer_names = ("moelora_A", "moelora_B", "moelora_router")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.moelora_A = nn.ModuleDict()
        self.moelora_B = nn.ModuleDict()
        self.moelora_router = nn.ModuleDict()
        #: By adapter; parameters of the tuner and not of the layer.
        self.task_gates: dict[str, TaskGate] = {}

    def add_parameters(self, name: str, config: MoeLoraConfig, r: int) -> None:
        n, by_task = config.num_experts, config.gate == "task"
        if by_task and r % n:
            raise ValueError(f"The task gate divides the rank among {n} experts, and {r} is no multiple of {n}.")
        own = r // n if by_task else r
        experts = [uniform(own, self.in_features) for _ in range(n)]
        if by_task:
            for expert in experts:
                nn.init.normal_(expert.weight, std=0.01)
        else:
            self.moelora_router[name] = uniform(n, self.in_features)
        self.moelora_A[name] = nn.ModuleList(experts)
        self.moelora_B[name] = nn.ModuleList(zeros(self.out_features, own) for _ in range(n))

    def route(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        if name in self.task_gates:
            gates = self.task_gates[name].weights()
            # One row of weights for every token of a row of the batch.
            return gates.view(gates.shape[0], *[1] * (h.dim() - 2), -1).expand(*h.shape[:-1], -1)
        router = self.moelora_router[name]
        return router(self._cast_input_dtype(h, router.weight.dtype)).float().softmax(-1)

    def update(self, name: str, h: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        experts, ups = self.moelora_A[name], self.moelora_B[name]
        h = self._cast_input_dtype(h, experts[0].weight.dtype)
        down = nn.functional.linear(self.dropouts[name](h), torch.cat([expert.weight for expert in experts]))
        gates = self.scaling[name] * self.route(name, h, base)
        wide = gates[..., None] * down.float().unflatten(-1, (len(experts), -1))
        return nn.functional.linear(wide.to(down.dtype).flatten(-2), torch.cat([up.weight for up in ups], 1))

    def fixed_route(self, name: str) -> torch.Tensor | None:
        gates = self.task_gates[name].weights() if name in self.task_gates else None
        if gates is not None and gates.shape[0] == 1:
            return gates[0]
        return torch.ones(1) if gates is None and len(self.moelora_A[name]) == 1 else None

    def low_rank(self, name: str, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a = torch.cat([expert.weight.float() for expert in self.moelora_A[name]])
        ups = [up.weight.float() * weight for up, weight in zip(self.moelora_B[name], weights.float())]
        return a, self.scaling[name] * torch.cat(ups, 1)
