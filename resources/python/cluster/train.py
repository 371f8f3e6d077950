"""Trains what ID-LoRA Studio handed over, on any number of GPUs or CPUs: the same rows in the same order, at the same rates.

    torchrun --nproc-per-node 8 train.py --base /models/base
    accelerate launch train.py --base /models/base
    python train.py --base organization/base              # one process

Writes `result/`: the adapter (or the model), curve.jsonl and result.json. The README beside it says how to take it back. The same command
goes on where a job before it ended: it keeps its state there, too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import id_lora
import torch
import torch.distributed as dist
from going_on import Ending, Progress, SavedState, cut_curve, whole
from id_lora.base import check_base
from peft import PeftConfig, PeftModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

FOLDER = Path(__file__).resolve().parent
#: The studio gives up after as many steps in a row whose loss or gradient is not finite.
MOST_SKIPPED = 3


class Rows:
    """Rows of tokens, as the studio laid them out."""

    def __init__(self, tensors: dict[str, torch.Tensor], prefix: str = "") -> None:
        self.ids, self.trained = tensors[f"{prefix}ids"], tensors[f"{prefix}trained"]
        self.offsets = tensors[f"{prefix}offsets"].tolist()
        self.tasks = tensors[f"{prefix}tasks"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def labels(self, row: int) -> int:
        """Tokens that are predicted: the first of a row never is."""
        begin, end = self.offsets[row], self.offsets[row + 1]
        return int(self.trained[begin + 1 : end].sum())

    def batch(self, rows: list[int], device: torch.device) -> dict[str, torch.Tensor]:
        """Padded at the right; labels are -100 where nothing is learnt. No rows: one token without a label."""
        lengths = [self.offsets[row + 1] - self.offsets[row] for row in rows] or [1]
        shape = (len(lengths), max(lengths))
        batch = {name: torch.zeros(shape, dtype=torch.long) for name in ("input_ids", "attention_mask")}
        batch["labels"] = torch.full(shape, -100)
        batch["attention_mask"][:, 0] = 1
        for i, row in enumerate(rows):
            part = slice(self.offsets[row], self.offsets[row + 1])
            ids = self.ids[part].long()
            batch["input_ids"][i, : len(ids)] = ids
            batch["attention_mask"][i, : len(ids)] = 1
            batch["labels"][i, : len(ids)] = torch.where(self.trained[part].bool(), ids, -100)
        return {name: tensor.to(device) for name, tensor in batch.items()}


class Processes:
    """This process among those that train together; one alone needs no launcher."""

    def __init__(self) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        local = int(os.environ.get("LOCAL_RANK", 0))
        on_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", local) if on_gpu else torch.device("cpu")
        if on_gpu:
            torch.cuda.set_device(self.device)
        if self.count > 1:
            dist.init_process_group("nccl" if on_gpu else "gloo")

    def sum(self, *values: float) -> list[float]:
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.count > 1:
            dist.all_reduce(total)
        return total.tolist()

    def shares(self, rows: list[int], most: int) -> list[list[int]]:
        """This process's rows in forward passes of at most `most`. Every process gets as many passes, some of them empty."""
        passes = max(1, math.ceil(math.ceil(len(rows) / self.count) / most))
        own = rows[self.rank :: self.count]
        return [own[i * most : (i + 1) * most] for i in range(passes)]


def load_model(run: dict[str, Any], base: str) -> nn.Module:
    """The base with the adapter as it starts, in main memory; what is trained is f32, as in the studio."""
    config = run["config"]
    full = config["adapter"]["method"] == "full"
    low = config["precision"] == "bf16" and not full
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16 if low else torch.float32)
    check_base(run["base"]["sha256"], base)
    model.config.use_cache = False
    if config["gradientCheckpointing"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    model.requires_grad_(full)
    if not full:
        start = PeftConfig.from_pretrained(FOLDER / "start")
        start.base_model_name_or_path = base
        model = PeftModel.from_pretrained(model, FOLDER / "start", config=start, is_trainable=True)
    return model


def shard(model: nn.Module) -> None:
    """
    Spreads the weights over the processes (FSDP), a decoder layer at a time: each is moved to the device only then, so that no GPU ever holds
    the whole base.
    """
    from torch.distributed.fsdp import fully_shard

    for module in model.modules():
        if isinstance(module, nn.ModuleList) and any("DecoderLayer" in type(layer).__name__ for layer in module):
            for layer in module:
                fully_shard(layer)
    fully_shard(model)


def gather_no_longer(model: nn.Module) -> None:
    """
    Leaves each process its own rows of all weights again. After a forward pass without a backward one the outermost weights stay whole, and are
    other parameters than those of the optimizer: a state that was kept then had no moments of them.
    """
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def optimizer_of(config: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """The run's optimizer; B matrices (and magnitudes of DoRA) in a group of their own for LoRA+."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups["_B." in name or "magnitude_vector" in name].append(parameter)
    factors = {True: config["loraPlusRatio"], False: 1.0}
    parameters = [{"params": group, "factor": factors[is_b]} for is_b, group in groups.items() if group]
    rate, decay = config["learningRate"], config["weightDecay"]
    if config["optimizer"] == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=config["momentum"], weight_decay=decay)
    options = {"lr": rate, "betas": (config["beta1"], config["beta2"]), "eps": config["epsilon"], "weight_decay": decay}
    if config["optimizer"] == "adamw8bit":
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(parameters, **options)
    return torch.optim.AdamW(parameters, **options)


class Trainer:
    def __init__(self, run: dict[str, Any], model: nn.Module, processes: Processes, rows_a_pass: int, use_fsdp: bool) -> None:
        self.config, self.processes, self.rows_a_pass, self.model = run["config"], processes, rows_a_pass, model
        if use_fsdp:
            shard(model)
        else:
            model.to(processes.device)
        self.parallel = model
        if processes.count > 1 and not use_fsdp:
            self.parallel = nn.parallel.DistributedDataParallel(model, device_ids=[processes.device] if processes.device.type == "cuda" else None)
        self.use_fsdp = use_fsdp
        self.optimizer = optimizer_of(self.config, model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def loss_sum(self, rows: Rows, numbers: list[int]) -> torch.Tensor:
        """Sum of -log p over the labels of one forward pass, f32."""
        device = self.processes.device
        batch = rows.batch(numbers, device)
        labels = batch.pop("labels")
        tasks = rows.tasks[numbers].tolist() if numbers else [0]
        by_task = self.config["adapter"].get("gate") == "task" and self.config["adapter"]["method"] == "moelora"
        with id_lora.task_of_rows(self.model, tasks) if by_task else contextlib.nullcontext():
            with torch.autocast(device.type, torch.bfloat16, enabled=self.config["precision"] == "bf16"):
                logits = self.parallel(**batch).logits
        return cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum")

    def step(self, rows: Rows, numbers: list[int], rate: float) -> dict[str, Any]:
        """One optimizer step: the gradient is that of the mean over the step's labels, however rows are spread."""
        began = time.perf_counter()
        self.model.train()
        count = self.processes.count
        labelled = max(1, sum(rows.labels(row) for row in numbers))
        passes = self.processes.shares(numbers, self.rows_a_pass)
        total = torch.zeros((), device=self.processes.device)
        for i, part in enumerate(passes):
            with self.gathering(i == len(passes) - 1):
                loss = self.loss_sum(rows, part)
                # Both ways to spread the work take the mean over processes, and this is a sum.
                (loss * (count / labelled)).backward()
            total += loss.detach()
        clip = self.config["clipNorm"]
        norm = nn.utils.clip_grad_norm_(self.parameters, math.inf if clip is None else clip)
        norm = float(whole(norm))
        (loss_sum,) = self.processes.sum(float(total))
        finite = math.isfinite(norm) and math.isfinite(loss_sum)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if not finite:
            return {"skipped": True, "loss": None, "lr": rate, "gradNorm": None}
        tokens = sum(rows.offsets[row + 1] - rows.offsets[row] for row in numbers)
        seconds = time.perf_counter() - began
        return {"loss": loss_sum / labelled, "lr": rate, "gradNorm": norm, "tokensPerSecond": tokens / seconds}

    def gathering(self, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients are exchanged after the last pass of a step only."""
        if self.use_fsdp:
            self.model.set_requires_gradient_sync(is_last)
        elif self.processes.count > 1 and not is_last:
            return self.parallel.no_sync()
        return contextlib.nullcontext()

    @torch.no_grad()
    def held_out(self, rows: Rows) -> dict[str, Any]:
        """Mean loss over the labels of the held-out rows, without dropout."""
        self.model.eval()
        total = sum(float(self.loss_sum(rows, part)) for part in self.processes.shares(list(range(len(rows))), self.rows_a_pass))
        if self.use_fsdp:
            gather_no_longer(self.model)
        (loss_sum,) = self.processes.sum(total)
        labels = sum(rows.labels(row) for row in range(len(rows)))
        return {"loss": loss_sum / max(1, labels), "rows": len(rows), "tokens": labels}

    def save(self, folder: Path) -> None:
        """The adapter as PEFT saves it, or the model; complete or absent."""
        state = self.state()
        if self.processes.rank == 0:
            partial = folder.with_name(f".{folder.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            if isinstance(self.model, PeftModel):
                config = self.model.peft_config["default"]
                save_file(state, partial / "adapter_model.safetensors", {"format": "pt"})
                start = json.loads((FOLDER / "start" / "adapter_config.json").read_text("utf-8"))
                (partial / "adapter_config.json").write_text(json.dumps(start, indent=2) + "\n", "utf-8")
                assert config.r == start["r"]
            else:
                self.model.save_pretrained(partial, state_dict=state)
            former = folder.with_name(f".{folder.name}.former")
            shutil.rmtree(former, ignore_errors=True)  # Of a job that was killed here.
            if folder.exists():
                folder.rename(former)
            partial.rename(folder)
            shutil.rmtree(former, ignore_errors=True)
        if self.processes.count > 1:
            dist.barrier()

    def state(self) -> dict[str, torch.Tensor]:
        """What is saved, in main memory; every process takes part, and the first one has it. One tensor is whole on a GPU at a time."""
        spread = self.model.state_dict()
        if isinstance(self.model, PeftModel):
            spread = get_peft_model_state_dict(self.model, spread)
        kept = {}
        for name, tensor in spread.items():
            found = whole(tensor)
            if self.processes.rank == 0:
                kept[name] = found.detach().to("cpu").contiguous()
        return kept


def write_result(folder: Path, run: dict[str, Any], processes: Processes, **facts: Any) -> None:
    """result.json, by which the studio takes the folder back: complete or as it was."""
    device = torch.cuda.get_device_name() if processes.device.type == "cuda" else "CPU"
    facts = {"run": run["id"], **facts, "processes": processes.count, "device": device, "torch": torch.__version__}
    (folder / "run.json").write_bytes((FOLDER / "run.json").read_bytes())
    partial = folder / ".result.json.partial"
    partial.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    partial.replace(folder / "result.json")


def is_done(folder: Path) -> bool:
    """Whether a folder holds the result of a training that went to its end; one that was stopped may begin anew."""
    try:
        return json.loads((folder / "result.json").read_text("utf-8"))["endReason"] != "stop_requested"
    except FileNotFoundError:
        return False
    except (KeyError, TypeError, ValueError):
        return True


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def main() -> None:
    run = json.loads((FOLDER / "run.json").read_text("utf-8"))
    config = run["config"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=run["base"]["name"], help="folder or repository of the base model (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=FOLDER / "result", help="where the result goes (default: result/ beside this file)")
    parser.add_argument("--rows", type=int, default=config["batch"], help="most rows in one forward pass; changes memory, not the result (default: %(default)s)")
    parser.add_argument("--fsdp", action="store_true", help="spread the weights over the processes, too")
    parser.add_argument(
        "--save-every", type=int, default=config["checkpointEvery"] or 100, metavar="STEPS", help="how often the state is kept from which the next job goes on (default: %(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew, also where a job before this one kept its state")
    asked = parser.parse_args()
    if asked.rows < 1 or asked.save_every < 1:
        parser.error("--rows and --save-every are 1 or more")
    if asked.fsdp and config["optimizer"] == "adamw8bit":
        parser.error("--fsdp spreads Adam's moments, too, and those of bitsandbytes in 8 bits cannot be: leave it out")
    ending = Ending()
    processes = Processes()
    state = SavedState(asked.out, run["id"], processes.device, processes.rank, processes.count)
    (seen,) = processes.sum(float(state.path.exists() and not asked.fresh))
    (done,) = processes.sum(float(not seen and not asked.fresh and is_done(asked.out)))
    if asked.fresh:
        state.remove()
    if 0 < seen < processes.count:
        raise SystemExit(f"Only {seen:.0f} of {processes.count} processes see {state.path}: --out must be a folder that all of them share.")
    if done:
        parser.error(f"{asked.out} holds a result already: name another folder with --out, or begin anew with --fresh")
    if not seen and processes.rank == 0:
        # It is about the curve of a job that was ended before: this one begins another.
        (asked.out / "result.json").unlink(missing_ok=True)
    # Dropout differs between processes, and is the same in every repetition.
    torch.manual_seed(config["seed"] + processes.rank)
    tensors = load_file(FOLDER / "rows.safetensors")
    rows = Rows(tensors)
    held_out = Rows(tensors, "held_out.") if "held_out.ids" in tensors else None
    if held_out and not any(held_out.labels(row) for row in range(len(held_out))):
        held_out = None  # Nothing in them is predicted.
    order, begins, rates = tensors["order"].tolist(), tensors["steps"].tolist(), tensors["rates"].tolist()
    trainer = Trainer(run, load_model(run, asked.base), processes, asked.rows, asked.fsdp and processes.count > 1)
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / ("model" if config["adapter"]["method"] == "full" else "adapter")
    curve_file = asked.out / "curve.jsonl"
    progress = Progress(config)
    if seen:
        state.take(trainer.model, trainer.optimizer, progress)
        if processes.rank == 0:
            cut_curve(curve_file, progress.step)
            print(f"Going on after step {progress.step} of {len(rates)}.", flush=True)

    with curve_file.open("a" if seen else "w", encoding="utf-8") if processes.rank == 0 else contextlib.nullcontext() as curve:

        def tell(event: str, **facts: Any) -> None:
            if curve:
                line = json.dumps({"event": event, **facts}, allow_nan=False)
                print(line, file=curve, flush=True)
                print(line, flush=True)

        for step, rate in enumerate(rates[progress.step :], progress.step + 1):
            result = trainer.step(rows, order[begins[step - 1] : begins[step]], rate)
            tell("step", step=step, **result)
            progress.step = step
            progress.skipped_in_a_row = progress.skipped_in_a_row + 1 if result.get("skipped") else 0
            if progress.skipped_in_a_row >= MOST_SKIPPED:
                raise SystemExit(f"{MOST_SKIPPED} steps in a row had a loss or a gradient that is not finite: lower the learning rate.")
            is_last = step == len(rates)
            is_best = False
            if held_out and (is_last or due(step, config["evalEvery"])):
                found = trainer.held_out(held_out)
                is_best = progress.see(found["loss"])
                if math.isfinite(found["loss"]):
                    tell("eval", step=step, **found)
            is_last = is_last or progress.is_enough
            # With keepBest the state with the lowest held-out loss stays.
            is_due = is_last or due(step, config["checkpointEvery"])
            if is_best or (is_last and progress.kept_step == 0) if progress.keeps_best else is_due:
                trainer.save(kept)
                progress.kept_step = step
            # With every state that is kept: of a job that is killed later that much can be taken in.
            if processes.rank == 0 and (is_last or progress.kept_step == step):
                reason = "early_stopped" if progress.is_enough else "all_steps" if step == len(rates) else "stop_requested"
                write_result(asked.out, run, step=step, keptStep=progress.kept_step, endReason=reason, processes=processes)
            if is_last:
                break
            (told,) = processes.sum(float(ending.asked))
            if told or progress.kept_step == step or due(step, asked.save_every):
                state.save(trainer.model, trainer.optimizer, progress)
            if told:
                raise SystemExit(f"Told to end after step {step}: the same command goes on from there.")
    # Gone only now that the result is there: a job that is killed in between does its last steps once more.
    state.remove()
    if processes.count > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
