"""The methods against their formulas, through PEFT: start, training, files, merging, refusals. A tiny random Llama serves."""

import copy
import math

import id_lora
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

TARGETS = ["q_proj", "v_proj", "down_proj"]
COMMON = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
IDS = torch.tensor([[1, 20, 33, 47, 5, 30, 14, 8], [3, 7, 9, 2, 40, 41, 42, 43]])

CONFIGS = {
    "idlora": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=3, pivots="random"),
    "idlora without softmax": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=2, router_softmax=False, boost=1, pivots="serial"),
    "idlora pivot": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=2, router="pivot", pivots="serial"),
    "idlora rows": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=2, pivots="serial", embed_pivots=True),
    "idlora gaussian": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=2, pivots="gaussian"),
    "idlora singular vectors": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=3, pivots="svd"),
    "idlora fixed": lambda: id_lora.IdLoraConfig(**COMMON, num_clusters=2, pivots="gaussian", router="fixed"),
    "hydralora": lambda: id_lora.HydraLoraConfig(**COMMON),
    "moelora": lambda: id_lora.MoeLoraConfig(**COMMON, num_experts=2),
    "moelora task": lambda: id_lora.MoeLoraConfig(**COMMON, num_experts=2, gate="task", num_tasks=2),
}


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        initializer_range=0.2,
    )
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def base(base_folder):
    return LlamaForCausalLM.from_pretrained(base_folder, dtype=torch.float32)


def trained(base, config, steps=3):
    torch.manual_seed(1)
    model = get_peft_model(base, config)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    for _ in range(steps):
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("name", CONFIGS)
def test_starts_at_the_base_and_learns(base, name):
    before = logits(base)
    model = get_peft_model(base, CONFIGS[name]())
    assert torch.equal(logits(model), before)
    after = trained(model.unload(), CONFIGS[name]())
    assert (logits(after) - before).abs().max() > 0.01
    with after.disable_adapter():
        assert torch.equal(logits(after), before)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("error::UserWarning")
def test_saves_and_loads(base, base_folder, tmp_path, name):
    model = trained(base, CONFIGS[name]())
    model.save_pretrained(tmp_path)
    fresh = LlamaForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(fresh, tmp_path, is_trainable=True)
    assert torch.equal(logits(loaded.eval()), logits(model))
    trainable = {key for key, p in loaded.named_parameters() if p.requires_grad}
    assert trainable == {key for key, p in model.named_parameters() if p.requires_grad}
    loaded.train()(input_ids=IDS, labels=IDS).loss.backward()
    assert all(p.grad is not None for p in loaded.parameters() if p.requires_grad)


def test_idlora_is_its_formula():
    torch.manual_seed(2)
    linear = torch.nn.Linear(12, 16)
    wrapper = torch.nn.Sequential(linear)
    k, r, s = 2, 4, 2
    config = id_lora.IdLoraConfig(r=r, lora_alpha=8, target_modules=["0"], num_clusters=k, boost=s, pivots="random")
    layer = get_peft_model(wrapper, config).base_model.model[0]
    torch.nn.init.normal_(layer.idlora_B["default"].weight)
    h = torch.randn(5, 12)
    y = layer(h)
    rows, b = layer.idlora_pivots["default"].long(), layer.idlora_B["default"].weight
    bases = linear.weight[rows].view(k, r, 12)
    a = (h @ layer.idlora_router["default"].weight.T).softmax(-1)
    update = sum(
        a[:, i, None] * torch.cat([(h @ bases[i].T)[:, p * r // s : (p + 1) * r // s] @ b.T for p in range(s)], 1) for i in range(k)
    )
    assert torch.allclose(y, linear(h) + 8 / r * update, atol=1e-5)


def test_scales_by_patterns_and_rank_stabilized(base):
    config = id_lora.HydraLoraConfig(**COMMON, use_rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"down_proj": 3})
    layers = {key.rpartition(".")[2]: m for key, m in get_peft_model(base, config).named_modules() if hasattr(m, "hydralora_A")}
    assert layers["q_proj"].hydralora_A["default"].weight.shape[0] == 2
    assert layers["q_proj"].scaling["default"] == pytest.approx(8 / math.sqrt(2))
    assert layers["down_proj"].scaling["default"] == pytest.approx(3 / 2)


def test_singular_bases_span_what_the_weight_has_most_of(base):
    model = get_peft_model(base, CONFIGS["idlora singular vectors"]())
    id_lora.choose_pivots(model)
    layer = next(m for m in model.modules() if hasattr(m, "idlora_basis"))
    basis = layer.idlora_basis["default"].weight
    vectors = torch.linalg.svd(layer.get_base_weight(), full_matrices=False).Vh[:12]
    lengths = basis.norm(dim=1)
    assert torch.allclose(lengths, layer.get_base_weight().norm() / math.sqrt(layer.out_features) * torch.ones(12), rtol=1e-4)
    # The second cluster begins with the second vector.
    assert (basis[4] @ vectors[1] / lengths[4]).abs().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "settings", [{"num_clusters": 1, "pivots": "serial"}, {"num_clusters": 3, "pivots": "random", "router": "fixed"}]
)
def test_merges_what_has_one_matrix(base, settings):
    model = trained(base, id_lora.IdLoraConfig(**COMMON, **settings))
    before = logits(model)
    assert torch.allclose(logits(model.merge_and_unload(safe_merge=True)), before, atol=1e-4)


def test_merging_can_be_undone(base):
    model = trained(base, id_lora.MoeLoraConfig(**COMMON, num_experts=2, gate="task"))
    before = logits(model)
    model.merge_adapter()
    assert torch.allclose(logits(model), before, atol=1e-4)
    model.unmerge_adapter()
    assert torch.allclose(logits(model), before, atol=1e-4)


@pytest.mark.parametrize("name", ["idlora", "idlora pivot", "hydralora", "moelora"])
def test_refuses_to_merge_a_route(base, name):
    model = trained(base, CONFIGS[name]())
    before = logits(model)
    with pytest.raises(ValueError, match="weighs its parts anew"):
        model.merge_adapter()
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["idlora", "idlora rows", "hydralora", "moelora"])
def test_frozen_route_is_the_low_rank_update_at_the_mean(base, name):
    model = trained(base, CONFIGS[name]())
    batch = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
    batch["attention_mask"][1, 4:] = 0
    route = id_lora.frozen_route(model, [batch])
    layers = {key: copy.deepcopy(m) for key, m in model.named_modules() if key in route}
    assert len(layers) == 6
    merged = id_lora.merge_route(model, route)
    for key, layer in layers.items():
        assert route[key].sum().item() == pytest.approx(1, abs=1e-5)
        a, b = layer.low_rank("default", route[key])
        assert torch.linalg.matrix_rank(a) <= (8 if name == "moelora" else 4)
        weight = merged.get_submodule(key.removeprefix("base_model.model.")).weight
        assert torch.allclose(weight, layer.get_base_layer().weight + b @ a, atol=1e-5)


def test_tasks_choose_experts(base):
    model = trained(base, CONFIGS["moelora task"]())
    none = logits(model)
    with id_lora.task_of_rows(model, [1, 2]):
        chosen = logits(model)
    assert not torch.allclose(chosen, none)
    with id_lora.task_of_rows(model, [2]):
        assert torch.allclose(logits(model)[1], chosen[1], atol=1e-5)
    assert torch.equal(logits(model), none)
    with pytest.raises(ValueError, match="Tasks are 0 to 2"), id_lora.task_of_rows(model, [3]):
        pass


def test_refuses_another_base(base, base_folder, tmp_path):
    trained(base, CONFIGS["idlora"]()).save_pretrained(tmp_path / "adapter")
    other = tmp_path / "other"
    changed = LlamaForCausalLM.from_pretrained(base_folder)
    changed.save_pretrained(other)
    state = load_file(other / "model.safetensors")
    state["model.norm.weight"] = state["model.norm.weight"] + 1
    save_file(state, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="name rows of a base"):
        PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(other), tmp_path / "adapter")


def test_rows_in_the_file_need_no_base(base, base_folder, tmp_path):
    model = trained(base, CONFIGS["idlora rows"]())
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    key = "base_model.model.model.layers.0.self_attn.q_proj.idlora_"
    weight = load_file(base_folder / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    assert torch.equal(stored[f"{key}A.weight"], weight[stored[f"{key}pivots"].long()])


def test_pmrc_takes_whole_clusters():
    pytest.importorskip("k_means_constrained")
    from id_lora.pivots import chosen_rows

    torch.manual_seed(3)
    centers = torch.eye(3, 8) * 10
    weight = (centers[torch.arange(30) % 3] + 0.1 * torch.randn(30, 8))[torch.randperm(30)]
    rows = chosen_rows(weight, "pmrc", 3, 4).long().view(3, 4)
    nearest = torch.cdist(weight, centers).argmin(1)
    assert {tuple(sorted(set(nearest[cluster].tolist()))) for cluster in rows} == {(0,), (1,), (2,)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_clusters": 9}, "different rows"),
        ({"boost": 3}, "boost = 3"),
        ({"router": "both"}, "router"),
        ({"r": 0}, "r = 0"),
        ({"bias": "all"}, "bias"),
    ],
)
def test_says_what_is_impossible(base, options, message):
    with pytest.raises(ValueError, match=message):
        get_peft_model(base, id_lora.IdLoraConfig(**{**COMMON, "pivots": "serial", **options}))
