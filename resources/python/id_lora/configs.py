"""What adapter_config.json says of the three methods. The keys besides PEFT's own are those of ID-LoRA Studio."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft import PeftConfig


@dataclass
class RoutedConfig(PeftConfig):
    """Options that the three methods have in common; they mean what they mean in PEFT's LoraConfig."""

    r: int = field(default=8, metadata={"help": "Rank of the update of one token."})
    lora_alpha: float = field(default=16, metadata={"help": "The update is scaled by lora_alpha / r."})
    lora_dropout: float = 0.0
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    use_rslora: bool = field(default=False, metadata={"help": "Scale by lora_alpha / sqrt(r)."})
    modules_to_save: list[str] | None = None
    bias: str = "none"

    #: Name under which adapter_config.json knows the method.
    method = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = self.method
        if self.target_modules is None:
            raise ValueError('Say which modules are adapted, for example target_modules=["q_proj", "v_proj"].')
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if self.bias != "none":
            raise ValueError(f'bias="{self.bias}" is not there: biases are not trained.')
        if self.r < 1:
            raise ValueError(f"r = {self.r}: a rank is 1 at least.")


@dataclass
class IdLoraConfig(RoutedConfig):
    """ID-LoRA (Ma et al., sections 4.1 and 4.2): k frozen bases of r rows of W each, one shared trainable B."""

    num_clusters: int = field(default=4, metadata={"help": "k, the number of frozen bases A_i = W[S_i, :]."})
    boost: int = field(default=2, metadata={"help": "s: B is [d_out / s, r / s] and applied to s parts."})
    router: str = field(
        default="input",
        metadata={"help": '"input": a = softmax(R h); "pivot": a_i = <T, x_i>; "fixed": a_i = 1 / k, an ablation.'},
    )
    router_softmax: bool = True
    pivots: str = field(
        default="pmrc",
        metadata={"help": 'How rows are chosen: "pmrc", "serial" or "random"; ablations without rows: "gaussian", "svd".'},
    )
    base_sha256: str | None = field(
        default=None,
        metadata={"help": "SHA-256 over the bytes of the base's safetensors files, in the order of their names."},
    )
    embed_pivots: bool = field(default=False, metadata={"help": "The file holds the rows A_i beside their indices."})

    method = "IDLORA"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.router not in ("input", "pivot", "fixed"):
            raise ValueError(f'router = "{self.router}": it is "input", "pivot" or "fixed".')
        if self.pivots not in ("pmrc", "serial", "random", "gaussian", "svd"):
            raise ValueError(f'pivots = "{self.pivots}": it is "pmrc", "serial", "random", "gaussian" or "svd".')

    @property
    def has_rows(self) -> bool:
        """Whether the bases are rows of W, and not matrices in their place."""
        return self.pivots in ("pmrc", "serial", "random")


@dataclass
class HydraLoraConfig(RoutedConfig):
    """HydraLoRA: one A, several B, a softmax router on the input."""

    num_heads: int = 3

    method = "HYDRALORA"


@dataclass
class MoeLoraConfig(RoutedConfig):
    """MoELoRA: independent LoRA experts under a dense softmax gate.

    gate "token": each expert has rank r, and a router on the input weighs them for every token. gate "task" (Liu et al.
    2023): r is the total of all experts, and the task of a row weighs them (`task_of_rows`).
    """

    num_experts: int = 4
    gate: str = "token"
    num_tasks: int = 1

    method = "MOELORA"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate not in ("token", "task"):
            raise ValueError(f'gate = "{self.gate}": it is "token" or "task".')
