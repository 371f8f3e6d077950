"""How far a training came, kept beside its result: the next job goes on from there after one that was killed."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

VERSION = 1


class Progress:
    """The last step, which state is kept, and whether the held-out loss fell for long enough not."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.step, self.kept_step, self.skipped_in_a_row = 0, 0, 0
        self.best, self.since_best = math.inf, 0
        self.patience: float = config["earlyStoppingPatience"] or math.inf
        self.keeps_best = config["keepBest"]

    def see(self, loss: float) -> bool:
        """Takes note of a held-out loss. Returns whether it is the lowest so far."""
        is_best = loss < self.best
        self.best, self.since_best = (loss, 0) if is_best else (self.best, self.since_best + 1)
        return is_best

    @property
    def is_enough(self) -> bool:
        return self.since_best >= self.patience

    def facts(self) -> dict[str, Any]:
        best = None if math.isinf(self.best) else self.best
        return {"step": self.step, "keptStep": self.kept_step, "skippedInARow": self.skipped_in_a_row, "best": best, "sinceBest": self.since_best}

    def take(self, facts: dict[str, Any]) -> None:
        self.step, self.kept_step, self.skipped_in_a_row = facts["step"], facts["keptStep"], facts["skippedInARow"]
        self.best, self.since_best = math.inf if facts["best"] is None else facts["best"], facts["sinceBest"]


class Ending:
    """Whether the job was told to end (SIGTERM, as Slurm sends it before it kills): it then keeps its state first."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, *_: object) -> None:
        self.asked = True


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be spread over the processes; all of them take part."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def spread_like(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """A whole tensor where the other one is, and spread as it."""
    if not hasattr(like, "full_tensor"):
        return tensor.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(like.device.type), like.device_mesh, like.placements)


class SavedState:
    """
    state.safetensors: what is trained, the optimizer's state, the random numbers of each process and the progress; complete or as it was.
    It is gone when the training is done.
    """

    def __init__(self, folder: Path, run: str, device: torch.device, rank: int, count: int) -> None:
        self.path, self.run, self.device, self.rank, self.count = folder / "state.safetensors", run, device, rank, count

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        tensors: dict[str, torch.Tensor] = {}
        numbers: dict[str, float] = {}
        for key, value in self._values(model, optimizer):
            if torch.is_tensor(value):
                found = whole(value.detach())
                if self.rank == 0:
                    tensors[key] = found.to("cpu", copy=True).contiguous()
            else:
                numbers[key] = value
        for process, random in enumerate(self._randoms()):
            tensors[f"random/{process}"] = random
        if self.rank == 0:
            facts = {"version": VERSION, "run": self.run, "processes": self.count, "numbers": numbers, **progress.facts()}
            partial = self.path.with_name(f".{self.path.name}.partial")
            save_file(tensors, partial, {"facts": json.dumps(facts, allow_nan=False)})
            partial.replace(self.path)
        if self.count > 1:
            dist.barrier()

    def take(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Raises SystemExit where the state is of another run, or of another version of this script."""
        with safe_open(self.path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            if facts.get("version") != VERSION or facts.get("run") != self.run:
                raise SystemExit(f"{self.path} is of another run or another version of this script: name another folder with --out, or begin anew with --fresh.")
            progress.take(facts)
            keys = set(file.keys())
            with torch.no_grad():
                for name, parameter in trained(model):
                    parameter.copy_(spread_like(parameter, file.get_tensor(f"parameter/{name}")))
                    prefix = f"optimizer/{name}/"
                    state = {key.removeprefix(prefix): value for key, value in facts["numbers"].items() if key.startswith(prefix)}
                    for key in keys:
                        if key.startswith(prefix):
                            state[key.removeprefix(prefix)] = self._placed(parameter, file.get_tensor(key))
                    if state:
                        optimizer.state[parameter] = state
            # Another number of processes draws other random numbers for dropout.
            if facts["processes"] == self.count:
                random = file.get_tensor(f"random/{self.rank}")
                length = torch.get_rng_state().numel()
                torch.set_rng_state(random[:length])
                if self.device.type == "cuda" and random.numel() > length:
                    torch.cuda.set_rng_state(random[length:], self.device)

    def remove(self) -> None:
        if self.rank == 0:
            self.path.unlink(missing_ok=True)

    def _values(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Any]]:
        for name, parameter in trained(model):
            yield f"parameter/{name}", parameter
            for key, value in optimizer.state.get(parameter, {}).items():
                if value is not None:
                    yield f"optimizer/{name}/{key}", value

    @staticmethod
    def _placed(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        if value.dim() == 0:
            return value  # Adam's count of steps stays in main memory.
        return spread_like(parameter, value) if value.shape == parameter.shape else value.to(parameter.device)

    def _randoms(self) -> list[torch.Tensor]:
        """The state of each process's random numbers, for the first process."""
        own = torch.get_rng_state()
        if self.device.type == "cuda":
            own = torch.cat([own, torch.cuda.get_rng_state(self.device)])
        if self.count == 1:
            return [own]
        parts = [torch.empty_like(own, device=self.device) for _ in range(self.count)]
        dist.all_gather(parts, own.to(self.device))
        return [part.cpu() for part in parts]


def trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def cut_curve(path: Path, step: int) -> None:
    """Leaves out of a curve what a job did after the state that it kept."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        try:
            if json.loads(line)["step"] > step:
                break
        except ValueError:
            break  # The line that was being written.
        lines.append(f"{line}\n")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(lines), "utf-8")
    partial.replace(path)
