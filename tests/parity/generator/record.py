"""Records one case: the adapter's folder, logits, loss and gradients (values.safetensors), and what else there is (summary.json)."""

import json
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from cases import LOW_PRECISION_RATE, STEPS
from models import FIXTURES, load
from plain import TaskGate


def batch(vocabulary):
    """Three rows of different lengths with masked prompts, padded at the right; each is of another task."""
    generator = torch.Generator().manual_seed(7)
    lengths, prompts = [24, 17, 9], [6, 9, 3]
    ids = torch.zeros(3, 24, dtype=torch.long)
    labels = torch.full((3, 24), -100)
    for row, (length, prompt) in enumerate(zip(lengths, prompts)):
        ids[row, :length] = torch.randint(3, vocabulary, (length,), generator=generator)
        labels[row, prompt:length] = ids[row, prompt:length]
    mask = (torch.arange(24)[None] < torch.tensor(lengths)[:, None]).long()
    rows = [ids[i, :n].tolist() for i, n in enumerate(lengths)]
    return {"ids": ids, "labels": labels, "mask": mask}, {"rows": rows, "prompts": prompts, "tasks": [0, 1, 2]}


def pack(tensors, lengths, config):
    """The same rows as one: positions start anew with each, and the mask shows a token those of its row up to itself, `window` of them.

    Models whose layers differ take a mask for each kind of layer.
    """
    join = lambda name: torch.cat([tensors[name][row, :length] for row, length in enumerate(lengths)])[None]
    positions = torch.cat([torch.arange(length) for length in lengths])
    rows = torch.repeat_interleave(torch.tensor(lengths))
    distance = positions[:, None] - positions[None]

    def mask(window):
        visible = (rows[:, None] == rows[None]) & (distance >= 0) & (distance < (window or len(rows)))
        return torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)[None, None]

    window = getattr(config, "sliding_window", None)
    masks = {"full_attention": mask(None), "sliding_attention": mask(window)} if getattr(config, "layer_types", None) else mask(window)
    return {"ids": join("ids"), "labels": join("labels"), "mask": masks, "positions": positions[None]}


def loss_of(model, ids, labels, mask, positions=None):
    logits = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits.float()
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100), logits


def adapt(case, fixtures, tasks, dtype=torch.float32):
    adapted = case.method.attach(load(fixtures / case.model, dtype), torch.Generator().manual_seed(11))
    for module in adapted.model.modules():
        if isinstance(module, TaskGate):
            module.rows = torch.tensor(tasks)
    return adapted


def optimizer_of(train, parameters):
    """The optimizer that training options in the studio's names mean."""
    return torch.optim.AdamW(parameters, lr=train["learningRate"], weight_decay=train["weightDecay"])


def curve(adapted, tensors, train, autocast=False):
    """Losses and gradient norms of STEPS optimizer steps on the same batch."""
    parameters = list(adapted.trainable.values())
    optimizer = optimizer_of(train, parameters)
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss, _ = loss_of(adapted.model, **tensors)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, train["clipNorm"])))
        optimizer.step()
        losses.append(loss.item())
    return {"train": train, "losses": rounded(losses), "norms": rounded(norms)}


def rounded(values):
    return [float(f"{value:.7g}") for value in values]


def record(case, fixtures, out):
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = FIXTURES[case.model].config
    tensors, rows = batch(config.vocab_size)
    lengths = [len(row) for row in rows["rows"]]
    if case.packed:
        tensors = pack(tensors, lengths, config)
    adapted = adapt(case, fixtures, rows["tasks"])
    start = {name: p.detach().clone().contiguous() for name, p in adapted.trainable.items()}
    if case.method.config() is not None:
        write_adapter(case, folder / "adapter", {**start, **adapted.fixed})

    loss, logits = loss_of(adapted.model, **tensors)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in adapted.trainable.items()}
    save_file({"logits": logits[0, : lengths[0]].detach().contiguous(), **gradients}, folder / "values.safetensors", metadata={"format": "pt"})

    summary = {
        "model": case.model,
        "label": case.label,
        "trainable": sum(p.numel() for p in adapted.trainable.values()),
        "loss": loss.item(),
        **rows,
    }
    if case.train:
        summary["curve"] = curve(adapted, tensors, case.train)
        # The same start in bf16 by autocast: the base in bf16, what is trained as f32 masters.
        low = adapt(case, fixtures, rows["tasks"], case.method.low_precision_base)
        with torch.no_grad():
            for name, p in low.trainable.items():
                assert p.dtype == torch.float32, (name, p.dtype)
                p.copy_(start[name])
        train = {**case.train, "learningRate": case.train["learningRate"] * LOW_PRECISION_RATE}
        summary["curveBf16"] = curve(low, tensors, train, autocast=True)
    (folder / "summary.json").write_text(json.dumps(summary) + "\n")


def write_adapter(case, folder, tensors):
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {**case.method.config(), "lora_dropout": 0.0, "bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": case.model}
    (folder / "adapter_config.json").write_text(json.dumps(config) + "\n")
