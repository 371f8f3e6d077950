"""Learning rates of transformers' get_scheduler."""

import json

import torch
from transformers import get_scheduler

PEAK = 2e-4
#: Name there, name here, warm-up, steps, options there, options here.
CASES = (
    ("constant_with_warmup", "constant", 4, 20, {}, {}),
    ("linear", "linear", 0, 20, {}, {}),
    ("linear", "linear", 5, 20, {}, {}),
    ("cosine", "cosine", 3, 20, {}, {}),
    ("cosine_with_min_lr", "cosine_with_min_lr", 4, 20, {"min_lr_rate": 0.1}, {}),
    ("cosine_with_min_lr", "cosine_with_min_lr", 0, 17, {"min_lr_rate": 0.25}, {"minLearningRateRatio": 0.25}),
    ("inverse_sqrt", "inverse_sqrt", 4, 20, {}, {}),
    ("inverse_sqrt", "inverse_sqrt", 0, 20, {}, {}),
    ("polynomial", "polynomial", 4, 20, {}, {}),
    ("polynomial", "polynomial", 0, 20, {"power": 2.0, "lr_end": PEAK * 0.05}, {"polynomialPower": 2, "minLearningRateRatio": 0.05}),
    ("warmup_stable_decay", "warmup_stable_decay", 4, 20, {"num_decay_steps": 6}, {"decaySteps": 6}),
    ("warmup_stable_decay", "warmup_stable_decay", 3, 30, {"num_decay_steps": 3}, {}),
    ("warmup_stable_decay", "warmup_stable_decay", 5, 20, {"num_decay_steps": 8, "min_lr_ratio": 0.2}, {"decaySteps": 8, "minLearningRateRatio": 0.2}),
)


def rates_of(name, warmup, steps, options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps, scheduler_specific_kwargs=options)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def record_schedules(out):
    recorded = []
    for theirs, ours, warmup, steps, options, config in CASES:
        config = {"learningRate": PEAK, "schedule": ours, "warmupSteps": warmup, **config}
        recorded.append({"config": config, "totalSteps": steps, "rates": rates_of(theirs, warmup, steps, options)})
    (out / "schedules.json").write_text(json.dumps(recorded) + "\n")
