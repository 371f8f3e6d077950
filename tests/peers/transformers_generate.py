"""Times greedy decoding by transformers' generate and prints one JSON document.

usage: python transformers_generate.py '{"folder": "...", "batch": 16, "promptTokens": 64, "newTokens": 64, "precision": "bf16", "rounds": 3}'

The folder holds a Llama. Every answer has as many tokens as asked. The first round warms up and is not counted; a round is prompt and answers.
"""

import json
import sys
import time
import warnings

import torch
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")


def main(request):
    dtype = torch.float32 if request["precision"] == "f32" else torch.bfloat16
    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(request["folder"], dtype=dtype)
    model.eval()
    load_seconds = time.perf_counter() - started
    torch.manual_seed(0)
    batch, new_tokens = request["batch"], request["newTokens"]
    ids = torch.randint(3, model.config.vocab_size, (batch, request["promptTokens"]))
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + request["rounds"]):
            started = time.perf_counter()
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=new_tokens,
                min_new_tokens=new_tokens,
                pad_token_id=0,
            )
            seconds.append(time.perf_counter() - started)
            assert out.shape == (batch, ids.shape[1] + new_tokens)
    timed = sorted(seconds[1:])
    median = timed[len(timed) // 2]
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "loadSeconds": load_seconds,
                "secondsPerRound": median,
                "tokensPerSecond": batch * new_tokens / median,
            }
        )
    )


main(json.loads(sys.argv[1]))
