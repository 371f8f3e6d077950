"""Training curves of torch's optimizers, each from one recorded start, on one batch: AdamW, SGD with momentum and coupled weight decay, and
LoRA+ through PEFT's create_loraplus_optimizer; LoRA and DoRA of PEFT."""

import json
import shutil

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

from methods import TARGETS
from models import load

MODEL = "tiny-llama"
STEPS, DECAY, CLIP = 40, 0.01, 1.0


def start(fixtures, method):
    torch.manual_seed(13)
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=list(TARGETS), use_dora=method == "dora")
    peft = get_peft_model(load(fixtures / MODEL), config)
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
    return peft


def optimizer_for(name, peft):
    trained = [p for p in peft.parameters() if p.requires_grad]
    if name == "adamw":
        return torch.optim.AdamW(trained, lr=2e-3, weight_decay=DECAY), {"optimizer": "adamw", "learningRate": 2e-3}
    if name == "sgd":
        return (
            torch.optim.SGD(trained, lr=0.05, momentum=0.9, weight_decay=DECAY),
            {"optimizer": "sgd", "learningRate": 0.05, "momentum": 0.9},
        )
    plus = create_loraplus_optimizer(peft, torch.optim.AdamW, lr=3e-4, loraplus_lr_ratio=16, loraplus_weight_decay=DECAY)
    return plus, {"optimizer": "adamw", "learningRate": 3e-4, "loraPlusRatio": 16}


def curve(peft, optimizer, ids):
    """Losses and gradient norms (before clipping) of every step."""
    parameters = [p for p in peft.parameters() if p.requires_grad]
    losses, norms = [], []
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = peft(input_ids=ids).logits[:, :-1]
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, CLIP).item())
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "norms": norms}


def record_optimizers(fixtures, recorded):
    out = recorded / "optimizers"
    shutil.rmtree(out, ignore_errors=True)
    ids = torch.randint(3, 101, (3, 20), generator=torch.Generator().manual_seed(19))
    curves = []
    for method in ("lora", "dora"):
        start(fixtures, method).save_pretrained(out / method)
        (out / method / "README.md").unlink(missing_ok=True)
        path = out / method / "adapter_config.json"
        # PEFT writes a set, in another order each time.
        path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": MODEL, "target_modules": TARGETS}) + "\n")
        for name in ("adamw", "sgd", "loraplus"):
            peft = start(fixtures, method)
            optimizer, config = optimizer_for(name, peft)
            config = {**config, "weightDecay": DECAY, "clipNorm": CLIP}
            curves.append({"method": method, "name": name, "config": config, **curve(peft, optimizer, ids)})
    (out / "curves.json").write_text(json.dumps({"rows": ids.tolist(), "curves": curves}) + "\n")
