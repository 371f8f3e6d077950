"""Records training curves of torch's optimisers on tiny-llama: recorded/optimisers/.

LoRA and DoRA of PEFT, each from one recorded start, on one batch: AdamW, SGD with momentum and coupled weight decay, and LoRA+
through PEFT's create_loraplus_optimizer. Needs torch, transformers, peft, safetensors.
python3 tests/engine/training/generate_optimisers.py
"""
import json
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
OUT = HERE / "recorded" / "optimisers"
TINY = HERE.parents[1] / "fixtures" / "tiny-llama"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS, DECAY, CLIP = 40, 0.01, 1.0


def start(method):
    torch.manual_seed(13)
    base = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32, attn_implementation="eager")
    peft = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS, use_dora=method == "dora"))
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
    return peft


def batch():
    generator = torch.Generator().manual_seed(19)
    return torch.randint(3, 101, (3, 20), generator=generator)


def optimiser_for(name, peft):
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


curves = []
shutil.rmtree(OUT, ignore_errors=True)
ids = batch()
for method in ("lora", "dora"):
    start(method).save_pretrained(OUT / method)
    (OUT / method / "README.md").unlink(missing_ok=True)
    path = OUT / method / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": "tiny-llama"}))
    for name in ("adamw", "sgd", "loraplus"):
        peft = start(method)
        optimiser, config = optimiser_for(name, peft)
        losses, norms = [], []
        for _ in range(STEPS):
            optimiser.zero_grad()
            loss = F.cross_entropy(peft(input_ids=ids).logits[:, :-1].reshape(-1, 101), ids[:, 1:].reshape(-1))
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_([p for p in peft.parameters() if p.requires_grad], CLIP).item())
            optimiser.step()
            losses.append(loss.item())
        curves.append({"method": method, "name": name, "config": {**config, "weightDecay": DECAY, "clipNorm": CLIP}, "losses": losses, "norms": norms})
(OUT / "curves.json").write_text(json.dumps({"rows": ids.tolist(), "curves": curves}))
