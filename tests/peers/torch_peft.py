"""Times LoRA training steps of PyTorch + PEFT on random weights and prints one JSON document.

usage: python torch_peft.py '{"shape": {...}, "rank": 32, "batch": 4, "tokens": 256, "precision": "bf16", "steps": 6}'

`precision` bf16: bf16 base, f32 adapters, torch.autocast to bf16 (the arithmetic of the studio's bf16); `bf16-default`: the same without
autocast, PEFT's default, whose adapter products run in f32; f32: everything in f32. Peak memory is the process's greatest resident size.
"""

import json
import resource
import sys
import time
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.filterwarnings("ignore")
WARM_UP_STEPS = 2
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main(request):
    shape, rank, batch, tokens = request["shape"], request["rank"], request["batch"], request["tokens"]
    precision = request["precision"]
    torch.manual_seed(0)
    base = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=shape["hiddenSize"],
            intermediate_size=shape["intermediateSize"],
            num_hidden_layers=shape["layers"],
            num_attention_heads=shape["heads"],
            num_key_value_heads=shape["keyValueHeads"],
            head_dim=shape["headDim"],
            vocab_size=shape["vocabularySize"],
            max_position_embeddings=max(2048, tokens),
        )
    )
    base.to(torch.float32 if precision == "f32" else torch.bfloat16)
    base.config.use_cache = False
    adapter = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=TARGETS,
        use_dora=request.get("dora", False),
    )
    model = get_peft_model(base, adapter)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trained)
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
    ids = torch.randint(0, shape["vocabularySize"], (batch, tokens))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    seconds, losses = [], []
    for _ in range(WARM_UP_STEPS + request["steps"]):
        started = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - started)
    timed = sorted(seconds[WARM_UP_STEPS:])
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "attention": base.config._attn_implementation,
                "trainable": sum(p.numel() for p in trained),
                "secondsPerStep": {"median": timed[len(timed) // 2], "minimum": timed[0]},
                "tokensPerSecond": batch * tokens / timed[len(timed) // 2],
                "peakMemoryBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "losses": {"first": losses[0], "last": losses[-1]},
            }
        )
    )


main(json.loads(sys.argv[1]))
