"""Times an epoch of PyTorch + PEFT over the rows of studioEpoch.ts and prints one JSON document.

usage: python torch_epoch.py '{"folder": "model", "file": "rows.json", "rank": 32, "batch": 8, "groups": false, "precision": "bf16"}'

Rows of a batch are padded to the longest of them. With `groups` rows of like lengths form a batch, as transformers'
Trainer does with group_by_length: within 50 batches at a time. bf16: bf16 weights, f32 adapters, autocast; f32: everything in f32.
"""

import json
import resource
import sys
import time
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BATCHES_IN_A_GROUP = 50
NOT_TRAINED = -100


def order_of(rows, batch, groups):
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    if not groups:
        return order
    size = batch * BATCHES_IN_A_GROUP
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    return [row for part in parts for row in sorted(part, key=lambda i: -len(rows[i]["ids"]))]


def batch_of(rows):
    longest = max(len(row["ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), NOT_TRAINED)
    for i, row in enumerate(rows):
        length = len(row["ids"])
        ids[i, :length] = torch.tensor(row["ids"])
        mask[i, :length] = 1
        labels[i, row["prompt"] : length] = ids[i, row["prompt"] : length]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def main(request):
    with open(request["file"]) as file:
        rows = json.load(file)
    is_bf16 = request["precision"] == "bf16"
    torch.manual_seed(0)
    started = time.perf_counter()
    base = AutoModelForCausalLM.from_pretrained(request["folder"], dtype=torch.bfloat16 if is_bf16 else torch.float32)
    base.config.use_cache = False
    rank = request["rank"]
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=TARGETS))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
    loaded = time.perf_counter()
    order = order_of(rows, request["batch"], request["groups"])
    losses, ends = [], []
    for at in range(0, len(order), request["batch"]):
        batch = batch_of([rows[i] for i in order[at : at + request["batch"]]])
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        ends.append(time.perf_counter())
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "steps": len(ends),
                "loadSeconds": loaded - started,
                "firstStepSeconds": ends[0] - loaded,
                "epochSeconds": ends[-1] - loaded,
                "peakMemoryBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "losses": {"first": losses[0], "last": losses[-1]},
            }
        )
    )


main(json.loads(sys.argv[1]))
