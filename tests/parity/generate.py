"""Records reference values for tests/parity with PyTorch, transformers and PEFT.

usage: python tests/parity/generate.py            (writes tests/parity/recorded and tests/fixtures/tiny-llama*)
needs: torch, transformers, peft, safetensors, numpy, k-means-constrained

Everything is f32 on one thread, seeded. ID-LoRA is a plain PyTorch module written from the formulas of
src-main/engine/adapters/idLora.ts's docstring with explicit A_i = W[S_i]; LoRA is PEFT's own.
"""

import json
import pathlib
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, Qwen2Config, Qwen3Config

HERE = pathlib.Path(__file__).parent
OUT = HERE / "recorded"
FIXTURES = HERE.parent / "fixtures"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
torch.set_num_threads(1)


def write_json(path, value):
    path.write_text(json.dumps(value) + "\n")


def tokenizer_json(vocabulary):
    """A byte-level BPE without merges: 3 special tokens, then printable characters."""
    characters = ["<unk>", "<s>", "</s>"] + [chr(c) for c in range(33, 127)] + ["Ġ", "Ċ"]
    assert len(characters) <= vocabulary
    special = [
        {"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for i, c in enumerate(characters[:3])
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {c: i for i, c in enumerate(characters)}, "merges": [],
        },
    }


def make_tiny_llama():
    torch.manual_seed(1)
    config = LlamaConfig(
        hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=12, vocab_size=101, max_position_embeddings=96, rms_norm_eps=1e-5, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in name else torch.randn_like(p) * 0.15)
    for folder, shard in (("tiny-llama", "10MB"), ("tiny-llama-sharded", "150KB")):
        target = FIXTURES / folder
        shutil.rmtree(target, ignore_errors=True)
        model.save_pretrained(target, max_shard_size=shard)
        write_json(target / "tokenizer.json", tokenizer_json(config.vocab_size))
        write_json(target / "tokenizer_config.json",
                   {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    return config


SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=101,
             max_position_embeddings=96, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
FAMILIES = {
    "tiny-mistral": MistralConfig(**SMALL, sliding_window=7, rope_theta=10000.0),
    "tiny-qwen2": Qwen2Config(**SMALL, tie_word_embeddings=True, rms_norm_eps=1e-6),
    "tiny-qwen3": Qwen3Config(**SMALL, head_dim=12, tie_word_embeddings=False, rms_norm_eps=1e-6),
    "tiny-llama-rope": LlamaConfig(**SMALL, rope_parameters={"rope_theta": 500.0, "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
                                   "high_freq_factor": 4.0, "original_max_position_embeddings": 24}, attention_bias=True, mlp_bias=True),
    "tiny-llama-yarn": LlamaConfig(**SMALL, rope_parameters={"rope_theta": 500.0, "rope_type": "yarn", "factor": 4.0,
                                   "original_max_position_embeddings": 24}),
    "tiny-llama-linear": LlamaConfig(**SMALL, rope_parameters={"rope_theta": 500.0, "rope_type": "linear", "factor": 3.0}),
}


def make_family(name, config):
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter_name, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in parameter_name else torch.randn_like(p) * 0.2)
    target = FIXTURES / name
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(target)
    shutil.copy(FIXTURES / "tiny-llama" / "tokenizer.json", target)
    shutil.copy(FIXTURES / "tiny-llama" / "tokenizer_config.json", target)
    (target / "generation_config.json").unlink(missing_ok=True)


def load_tiny(name="tiny-llama"):
    return AutoModelForCausalLM.from_pretrained(FIXTURES / name, dtype=torch.float32, attn_implementation="eager")


class IdLoraLinear(torch.nn.Module):
    def __init__(self, base, r, k, s, alpha, router, use_softmax, generator):
        super().__init__()
        self.base, self.r, self.k, self.s, self.scale = base, r, k, s, alpha / r
        self.router, self.use_softmax = router, use_softmax
        d_out, d_in = base.weight.shape
        pivots = torch.randperm(d_out, generator=generator)[: k * r]
        self.register_buffer("pivots", pivots.to(torch.int32))
        self.register_buffer("A", base.weight[pivots].detach().clone().reshape(k, r, d_in))
        self.B = torch.nn.Parameter(torch.randn(d_out // s, r // s, generator=generator) * 0.1)
        shape = (k, d_in) if router == "input" else (r,)
        self.R = torch.nn.Parameter(torch.randn(*shape, generator=generator) * 0.1)

    def forward(self, h):
        x = torch.einsum("krd,...d->...kr", self.A, h)
        if self.router == "input":
            a = h @ self.R.T
            if self.use_softmax:
                a = a.softmax(-1)
        else:
            a = (x * self.R).sum(-1)
        update = 0
        for i in range(self.k):  # exactly the paper's equation 4
            parts = x[..., i, :].chunk(self.s, dim=-1)
            update = update + a[..., i : i + 1] * torch.cat([part @ self.B.T for part in parts], -1)
        return self.base(h) + self.scale * update


class RoutedLinear(torch.nn.Module):
    """HydraLoRA (one A) and MoELoRA (an A for each expert): dense softmax router on the input."""

    def __init__(self, base, r, count, alpha, shared_a, generator):
        super().__init__()
        self.base, self.scale, self.shared_a = base, alpha / r, shared_a
        d_out, d_in = base.weight.shape
        make = lambda *shape: torch.nn.Parameter(torch.randn(*shape, generator=generator) * 0.1)
        self.A = torch.nn.ParameterList(make(r, d_in) for _ in range(1 if shared_a else count))
        self.B = torch.nn.ParameterList(make(d_out, r) for _ in range(count))
        self.R = make(count, d_in)

    def forward(self, h):
        gates = (h @ self.R.T).softmax(-1)
        update = 0
        for i, up in enumerate(self.B):
            update = update + gates[..., i : i + 1] * (h @ self.A[0 if self.shared_a else i].T @ up.T)
        return self.base(h) + self.scale * update


def routed_names(key, module):
    if module.shared_a:
        yield f"{key}.hydralora_A.weight", module.A[0]
    else:
        for i, p in enumerate(module.A):
            yield f"{key}.moelora_A.{i}.weight", p
    prefix = "hydralora" if module.shared_a else "moelora"
    for i, p in enumerate(module.B):
        yield f"{key}.{prefix}_B.{i}.weight", p
    yield f"{key}.{prefix}_router.weight", module.R


def batch(config):
    generator = torch.Generator().manual_seed(7)
    lengths, prompts = [24, 17, 9], [6, 9, 3]
    ids = torch.zeros(3, 24, dtype=torch.long)
    labels = torch.full((3, 24), -100)
    for row, (length, prompt) in enumerate(zip(lengths, prompts)):
        ids[row, :length] = torch.randint(3, config.vocab_size, (length,), generator=generator)
        labels[row, prompt:length] = ids[row, prompt:length]
    mask = torch.arange(24)[None] < torch.tensor(lengths)[:, None]
    return ids, labels, mask.long(), lengths, prompts


def loss_of(model, ids, labels, mask):
    logits = model(input_ids=ids, attention_mask=mask).logits
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100), logits


def with_method(case):
    model = load_tiny(case.get("model", "tiny-llama"))
    generator = torch.Generator().manual_seed(11)
    for p in model.parameters():
        p.requires_grad_(False)
    if case["method"] in ("lora", "dora"):
        peft = get_peft_model(model, LoraConfig(r=case["r"], lora_alpha=case["alpha"], lora_dropout=0.0, target_modules=TARGETS, use_dora=case["method"] == "dora"))
        named = {}
        for name, p in peft.named_parameters():
            if "lora_" in name:
                with torch.no_grad():
                    noise = torch.randn(p.shape, generator=generator) * 0.1
                    p.copy_(p * (1 + noise) if "magnitude" in name else noise)
                # PEFT's file has the magnitude without ".weight".
                named[name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")] = p
        return peft, named, {}
    named, fixed = {}, {}
    for layer_index, layer in enumerate(model.model.layers):
        for target in TARGETS:
            parent = layer.mlp if target in ("gate_proj", "up_proj", "down_proj") else layer.self_attn
            where = "mlp" if parent is layer.mlp else "self_attn"
            key = f"base_model.model.model.layers.{layer_index}.{where}.{target}"
            if case["method"] != "idlora":
                module = RoutedLinear(getattr(parent, target), case["r"], case["count"], case["alpha"], case["method"] == "hydralora", generator)
                setattr(parent, target, module)
                named.update(routed_names(key, module))
                continue
            module = IdLoraLinear(getattr(parent, target), case["r"], case["k"], case["s"], case["alpha"], case["router"], case["softmax"], generator)
            setattr(parent, target, module)
            named[f"{key}.idlora_B.weight"], named[f"{key}.idlora_router.weight"] = module.B, module.R
            fixed[f"{key}.idlora_pivots"] = module.pivots
    return model, named, fixed


def adapter_config(case):
    common = {"r": case["r"], "lora_alpha": case["alpha"], "lora_dropout": 0.0, "target_modules": TARGETS, "bias": "none",
              "task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny-llama"}
    if case["method"] in ("lora", "dora"):
        return {"peft_type": "LORA", **common, "use_dora": case["method"] == "dora"}
    if case["method"] == "hydralora":
        return {"peft_type": "HYDRALORA", **common, "num_heads": case["count"]}
    if case["method"] == "moelora":
        return {"peft_type": "MOELORA", **common, "num_experts": case["count"]}
    return {"peft_type": "IDLORA", **common, "num_clusters": case["k"], "boost": case["s"], "router": case["router"],
            "router_softmax": case["softmax"], "pivots": "random"}


def record(case, config):
    folder = OUT / case["name"]
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "adapter").mkdir(parents=True)
    model, named, fixed = with_method(case)
    ids, labels, mask, lengths, prompts = batch(config)
    tensors = {name: p.detach().clone().contiguous() for name, p in named.items()}
    save_file({**tensors, **fixed}, folder / "adapter" / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json(folder / "adapter" / "adapter_config.json", adapter_config(case))
    loss, logits = loss_of(model, ids, labels, mask)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in named.items()}
    save_file({"logits": logits[0].detach().contiguous(), **gradients}, folder / "values.safetensors", metadata={"format": "pt"})
    summary = {"model": case.get("model", "tiny-llama"), "loss": loss.item(), "rows": [ids[i, :n].tolist() for i, n in enumerate(lengths)], "prompts": prompts}
    if case.get("curve"):
        summary["curve"] = curve(model, list(named.values()), (ids, labels, mask), 100)
    write_json(folder / "summary.json", summary)


def curve(model, parameters, data, steps):
    """Losses and gradient norms (before clipping to 1) of AdamW with weight decay 0.01."""
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
    losses, norms = [], []
    for _ in range(steps):
        optimiser.zero_grad()
        loss, _ = loss_of(model, *data)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
        optimiser.step()
        losses.append(loss.item())
    return {"losses": losses, "norms": norms}


def record_full(name):
    """Full fine-tuning: the gradient of every parameter (a tied head's is inside the embedding's), and a curve."""
    folder = OUT / f"full-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = load_tiny(name)
    ids, labels, mask, lengths, prompts = batch(model.config)
    loss, _ = loss_of(model, ids, labels, mask)
    loss.backward()
    save_file({key: p.grad.clone() for key, p in model.named_parameters()}, folder / "values.safetensors", metadata={"format": "pt"})
    summary = {"model": name, "loss": loss.item(), "rows": [ids[i, :n].tolist() for i, n in enumerate(lengths)], "prompts": prompts,
               "curve": curve(model, list(model.parameters()), (ids, labels, mask), 40)}
    write_json(folder / "summary.json", summary)


def record_clusters():
    from k_means_constrained import KMeansConstrained

    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(c, s, (n, 12)) for c, s, n in ((0, 1, 40), (3, 0.4, 12), (-2, 0.7, 8))]).astype(np.float32)
    cases = []
    for k, size_min in ((3, 8), (4, 12), (2, 25), (5, 4)):
        best = min((KMeansConstrained(n_clusters=k, size_min=size_min, n_init=10, random_state=s).fit(rows.astype(np.float64)).inertia_ for s in range(3)))
        cases.append({"clusters": k, "minimumSize": size_min, "inertia": float(best)})
    write_json(OUT / "kmeans.json", {"dimensions": 12, "rows": [round(float(v), 6) for v in rows.reshape(-1)], "cases": cases})


def record_assignments():
    from scipy.optimize import linprog

    rng = np.random.default_rng(5)
    cases = []
    for points, clusters, size_min in ((12, 3, 4), (20, 4, 3), (30, 5, 6), (25, 2, 10), (40, 6, 5)):
        costs = rng.gamma(2.0, 1.0, (points, clusters)) * np.array([1.0, 5.0, 0.5, 2.0, 8.0, 3.0])[:clusters]
        costs = costs.round(4)
        equal = np.kron(np.eye(points), np.ones((1, clusters)))
        at_least = -np.kron(np.ones((1, points)), np.eye(clusters))
        solved = linprog(costs.reshape(-1), A_eq=equal, b_eq=np.ones(points), A_ub=at_least, b_ub=-size_min * np.ones(clusters))
        cases.append({"points": points, "clusters": clusters, "minimumSize": size_min, "costs": costs.reshape(-1).tolist(), "optimum": solved.fun})
    write_json(OUT / "assignments.json", cases)


CASES = [
    {"name": "lora", "method": "lora", "r": 4, "alpha": 8, "curve": True},
    {"name": "idlora-input-s2", "method": "idlora", "r": 4, "k": 3, "s": 2, "alpha": 8, "router": "input", "softmax": True, "curve": True},
    {"name": "idlora-pivot-s2", "method": "idlora", "r": 4, "k": 3, "s": 2, "alpha": 8, "router": "pivot", "softmax": False},
    {"name": "idlora-linear-s1", "method": "idlora", "r": 4, "k": 2, "s": 1, "alpha": 4, "router": "input", "softmax": False},
    {"name": "idlora-input-s4", "method": "idlora", "r": 4, "k": 4, "s": 4, "alpha": 8, "router": "input", "softmax": True},
    {"name": "dora", "method": "dora", "r": 4, "alpha": 8, "curve": True},
    {"name": "hydralora", "method": "hydralora", "r": 4, "alpha": 8, "count": 3, "curve": True},
    {"name": "moelora", "method": "moelora", "r": 2, "alpha": 4, "count": 4, "curve": True},
    *({"name": f"lora-{name}", "model": name, "method": "lora", "r": 2, "alpha": 4} for name in FAMILIES),
    *({"name": f"idlora-{name}", "model": name, "method": "idlora", "r": 4, "k": 2, "s": 2, "alpha": 8, "router": "input", "softmax": True} for name in ("tiny-qwen2", "tiny-qwen3", "tiny-llama-rope")),
]

# Separate head; tied head and biases on q, k, v; q/k norms; biases on every linear.
FULL = ["tiny-llama", "tiny-qwen2", "tiny-qwen3", "tiny-llama-rope"]


def record_stories():
    """Logits of stories260K over 256 tokens, every eighth position, where the shared data are present."""
    folder = HERE.parents[2] / "shared" / "data" / "stories260K-hf"
    if not folder.exists():
        print("shared data absent: stories260K logits not recorded")
        return
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(2)
    ids = torch.cat([torch.tensor([1]), torch.randint(3, 512, (255,), generator=generator)])
    with torch.no_grad():
        logits = model(ids[None]).logits[0, ::8].contiguous()
    save_file({"ids": ids.to(torch.int32), "logits": logits}, OUT / "stories260k.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    FIXTURES.mkdir(exist_ok=True)
    tiny = make_tiny_llama()
    for name, family in FAMILIES.items():
        make_family(name, family)
    for case in CASES:
        record(case, tiny)
    for name in FULL:
        record_full(name)
    record_clusters()
    record_assignments()
    record_stories()
