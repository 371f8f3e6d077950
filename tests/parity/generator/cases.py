"""The table of cases. A case is a model with an adapter on the same batch; its name is its folder under recorded/."""

from dataclasses import dataclass

from methods import Full, HydraLora, IdLora, Lora, MoeLora


@dataclass(frozen=True)
class Case:
    model: str
    #: Short name of the method with its options.
    label: str
    method: object
    #: Training options in the studio's names (contract/training.ts) for the recorded loss curves; None: no curves.
    train: dict | None = None
    #: The rows are one row of PyTorch's batch, kept apart by positions and mask.
    packed: bool = False

    @property
    def name(self):
        return f"{self.model}-{self.label}"


STEPS = 100
#: At twice this rate the batch is learnt by heart and late steps amplify rounding: PyTorch's f32 curve of DoRA on tiny-qwen2 is then 0.3 % off
#: its own f64 curve; at this one 0.0002 %.
ADAMW = {"learningRate": 1e-3, "weightDecay": 0.01, "clipNorm": 1.0}
#: Every parameter learns the batch faster.
ADAMW_FULL = {**ADAMW, "learningRate": 2e-4}
#: The bf16 curves have this part of the rate, for the same reason: at 2e-3 PyTorch's bf16 curves of adapters are up to 4 % off its f32
#: curves, at 5e-4 0.1 to 1.3 %.
LOW_PRECISION_RATE = 0.5

#: Every family gets each of these: (label, method, training options of its curves).
GRID = [
    ("full", Full(), ADAMW_FULL),
    ("lora", Lora(), ADAMW),
    ("dora", Lora(options={"use_dora": True}), ADAMW),
    ("hydralora", HydraLora(), ADAMW),
    ("moelora", MoeLora(r=2, alpha=4), ADAMW),
    ("idlora", IdLora(k=3, s=2), ADAMW),
    ("idlora-pivot", IdLora(k=3, s=2, router="pivot", softmax=False), ADAMW),
    ("idlora-linear-s1", IdLora(k=4, s=1, softmax=False), None),
    ("idlora-s4", IdLora(k=4, s=4), None),
    ("idlora-pivot-k1-s4", IdLora(k=1, s=4, router="pivot", softmax=False), None),
    ("idlora-k1", IdLora(k=1, s=2), None),
    ("idlora-k16", IdLora(r=1, alpha=2, k=16, s=1), None),
]
FAMILIES = ("tiny-llama", "tiny-mistral", "tiny-qwen2", "tiny-qwen3")

#: PEFT's options for single modules and layers, for its own methods and ours.
SELECTION = {"use_rslora": True, "rank_pattern": {"q_proj": 2, r"layers\.0\..*\.down_proj": 8}, "alpha_pattern": {"mlp.up_proj": 3.0}}
LAST_LAYER = {"layers_to_transform": [1]}
#: Keys as people write them, of which several fit a module: the first decides; a single layer as a number.
PLACED = {
    "use_rslora": True,
    "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.(up|down)_proj": 3, "^model.layers.1.self_attn.v_proj": 6, ".*_proj": 5},
    "alpha_pattern": {"self_attn.k_proj|up_proj": 3.5, r"layers\.[0-9]+\.mlp\.gate_proj": 7},
    "layers_to_transform": 1,
}

#: Other configurations of a family: rope scaling, biases.
CONFIGURATIONS = ("tiny-llama-rope", "tiny-llama-yarn", "tiny-llama-linear")

#: Families and options beyond those of FAMILIES: what they add to the graph is seen by every parameter's gradient.
FURTHER = ("tiny-llama-dynamic", "tiny-llama-yarn-all", "tiny-qwen2-windows", "tiny-qwen3-windows", "tiny-ministral", "tiny-gemma", "tiny-gemma2",
           "tiny-gemma3", "tiny-smollm3", "tiny-granite", "tiny-olmo2", "tiny-olmo3", "tiny-exaone4")
#: At 1e-3 a change of 1e-7 in the start moves PyTorch's own gradient norms on tiny-gemma3 by 0.1 %, at 5e-4 by 0.0001 %.
CURVES = {"tiny-gemma2": ADAMW, "tiny-gemma3": {**ADAMW, "learningRate": 5e-4}}
#: Phi-3 keeps q, k, v in one matrix and gate, up in another: PEFT adapts these.
FUSED_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")

CASES = [
    *(Case(model, label, method, train) for model in FAMILIES for label, method, train in GRID),
    *(Case(model, "full", Full()) for model in CONFIGURATIONS[:1]),
    *(Case(model, "lora", Lora(r=2, alpha=4)) for model in CONFIGURATIONS),
    *(Case(model, "idlora", IdLora(k=2, s=2)) for model in CONFIGURATIONS),
    *(Case(model, "full", Full()) for model in (*FURTHER, "tiny-phi3", "tiny-phi3-long")),
    *(Case(model, "lora", Lora(r=2, alpha=4), CURVES.get(model)) for model in FURTHER),
    Case("tiny-phi3", "lora", Lora(r=2, alpha=4, targets=FUSED_TARGETS), ADAMW),
    Case("tiny-phi3-long", "lora", Lora(r=2, alpha=4, targets=FUSED_TARGETS)),
    *(Case(model, "idlora", IdLora(k=2, s=2)) for model in ("tiny-gemma2", "tiny-gemma3")),
    Case("tiny-phi3", "idlora", IdLora(k=2, s=2, targets=FUSED_TARGETS)),
    Case("tiny-phi3", "dora", Lora(targets=FUSED_TARGETS, options={"use_dora": True})),
    Case("tiny-llama", "lora-attention", Lora(targets=("q_proj", "v_proj"))),
    Case("tiny-qwen3", "idlora-mlp", IdLora(targets=("gate_proj", "down_proj"))),
    Case("tiny-llama", "lora-patterns", Lora(options=SELECTION)),
    Case("tiny-qwen2", "dora-patterns", Lora(options={**SELECTION, "use_dora": True})),
    Case("tiny-qwen3", "idlora-patterns", IdLora(k=2, s=2, options=SELECTION)),
    Case("tiny-mistral", "hydralora-patterns", HydraLora(options=SELECTION)),
    Case("tiny-qwen2", "lora-last-layer", Lora(options=LAST_LAYER)),
    Case("tiny-mistral", "idlora-last-layer", IdLora(options=LAST_LAYER)),
    Case("tiny-llama", "lora-placed", Lora(options=PLACED), ADAMW),
    *(Case(model, f"{label}-packed", method, packed=True) for model in FAMILIES[:2] for label, method in (("lora", Lora()), ("idlora", IdLora(k=3, s=2)))),
    Case("tiny-gemma3", "lora-packed", Lora(r=2, alpha=4), packed=True),
    Case("tiny-llama", "moelora-task", MoeLora(r=8, experts=4, gate="task", tasks=2), ADAMW),
]
