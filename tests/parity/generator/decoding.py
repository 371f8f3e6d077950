"""Greedy continuations by transformers' generate, one prompt at a time through its KV cache."""

import json

import torch

from models import FIXTURES, load

NEW_TOKENS = 32
#: Between the two best logits of every step: a choice within rounding would say nothing of either side.
LEAST_MARGIN = 1e-3


def greedy(folder, prompt):
    """The continuation and its smallest margin."""
    # A model of its own for each prompt: rotary embeddings of dynamic scaling remember the longest text so far.
    model = load(folder)
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=True, pad_token_id=0,
                             output_logits=True, return_dict_in_generate=True)
    best = torch.stack(out.logits)[:, 0].float().topk(2).values
    return out.sequences[0, len(prompt):].tolist(), (best[:, 0] - best[:, 1]).min().item()


def decided(folder, length, vocabulary, generator):
    """A random prompt of a length whose continuation is beyond doubt."""
    while True:
        prompt = torch.randint(3, vocabulary, (length,), generator=generator).tolist()
        ids, margin = greedy(folder, prompt)
        if margin >= LEAST_MARGIN:
            return {"prompt": prompt, "ids": ids}


def record_decoding(fixtures, out):
    recorded = {}
    for name, fixture in FIXTURES.items():
        generator = torch.Generator().manual_seed(3)
        # Shorter and longer than the windows and original contexts of the models.
        recorded[name] = [decided(fixtures / name, length, fixture.config.vocab_size, generator) for length in (4, 11, 21)]
    (out / "greedy.json").write_text(json.dumps(recorded) + "\n")
