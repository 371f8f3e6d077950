"""How far a training came, kept beside its result: the next job goes on from there after one that was killed."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

VERSION = 2


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


def is_spread(tensor: object) -> bool:
    """Whether each process has only some of its rows (FSDP)."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be spread over the processes; all of them take part."""
    return tensor.full_tensor() if is_spread(tensor) else tensor


def spread_like(like: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """A tensor whose rows of this process are given, spread as the other one; itself where that one is whole."""
    if not is_spread(like):
        return rows
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(rows, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride())


class SavedState:
    """
    state.safetensors: what is trained, the optimizer's state, the random numbers of each process and the progress; complete or as it was.
    Of weights that are spread over the processes each one writes its own rows into a folder that the file names, so that nobody ever holds
    the whole. Any number of processes goes on from it, with their weights spread or not. It is gone when the training is done.
    """

    def __init__(self, folder: Path, run: str, device: torch.device, rank: int, count: int) -> None:
        self.path, self.run, self.device, self.rank, self.count = folder / "state.safetensors", run, device, rank, count

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        tensors: dict[str, torch.Tensor] = {}
        rows: dict[str, torch.Tensor] = {}
        numbers: dict[str, float] = {}
        for key, value in self._values(model, optimizer):
            if is_spread(value):
                rows[key] = value.to_local().detach().to("cpu", copy=True).contiguous()
            elif not torch.is_tensor(value):
                numbers[key] = value
            elif self.rank == 0:
                tensors[key] = value.detach().to("cpu", copy=True).contiguous()
        for process, random in enumerate(self._randoms()):
            tensors[f"random/{process}"] = random
        parts = self.path.with_name(f"state-{progress.step}") if rows else None
        if parts:
            parts.mkdir(parents=True, exist_ok=True)
            save_file(rows, part_of(parts, self.rank))
            dist.barrier()
        if self.rank == 0:
            facts = {"version": VERSION, "run": self.run, "processes": self.count, "parts": parts and parts.name, "numbers": numbers, **progress.facts()}
            partial = self.path.with_name(f".{self.path.name}.partial")
            save_file(tensors, partial, {"facts": json.dumps(facts, allow_nan=False)})
            partial.replace(self.path)
            self._clear(parts)
        if self.count > 1:
            dist.barrier()

    def take(self, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Raises SystemExit where the state is of another run, or of another version of this script."""
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(safe_open(self.path, "pt"))
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            if facts.get("version") != VERSION or facts.get("run") != self.run:
                raise SystemExit(f"{self.path} is of another run or another version of this script: name another folder with --out, or begin anew with --fresh.")
            progress.take(facts)
            parts = self.path.with_name(facts["parts"]) if facts["parts"] else None
            files = [opened.enter_context(safe_open(part_of(parts, i), "pt")) for i in range(facts["processes"])] if parts else []
            stored = StoredTensors([file, *files])
            with torch.no_grad():
                for name, parameter in trained(model):
                    own = parameter.to_local() if is_spread(parameter) else parameter
                    begin, end = rows_here(len(parameter), self.rank, self.count) if is_spread(parameter) else (0, None)
                    own.copy_(stored.read(f"parameter/{name}", begin, end))
                    prefix = f"optimizer/{name}/"
                    state = {key.removeprefix(prefix): value for key, value in facts["numbers"].items() if key.startswith(prefix)}
                    for key in stored.starting_with(prefix):
                        shape = stored.shape(key)
                        if not shape:
                            found = stored.read(key)  # Adam's count of steps stays in main memory.
                        elif shape == list(parameter.shape):
                            found = spread_like(parameter, stored.read(key, begin, end).to(own.device))
                        else:
                            found = stored.read(key).to(own.device)
                        state[key.removeprefix(prefix)] = found
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
            self._clear(None)

    def _clear(self, kept: Path | None) -> None:
        """Removes rows of states that are no longer the last, or were never whole: of a job that was killed there."""
        for folder in self.path.parent.glob("state-[0-9]*"):
            if folder != kept and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)

    def _values(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Any]]:
        known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, parameter in trained(model):
            if id(parameter) not in known:
                raise RuntimeError(f"{name} is not the parameter that the optimizer has")
            yield f"parameter/{name}", parameter
            for key, value in optimizer.state.get(parameter, {}).items():
                if value is not None:
                    yield f"optimizer/{name}/{key}", value

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


class StoredTensors:
    """Tensors of which some lie whole in a file, and of others rows in each of several, in their order."""

    def __init__(self, files: list[Any]) -> None:
        self.files: dict[str, list[Any]] = {}
        for file in files:
            for key in file.keys():
                self.files.setdefault(key, []).append(file)

    def starting_with(self, prefix: str) -> list[str]:
        return [key for key in self.files if key.startswith(prefix)]

    def shape(self, key: str) -> list[int]:
        shapes = [file.get_slice(key).get_shape() for file in self.files[key]]
        return [sum(shape[0] for shape in shapes), *shapes[0][1:]] if shapes[0] else []

    def read(self, key: str, begin: int = 0, end: int | None = None) -> torch.Tensor:
        """Rows from `begin` to before `end`, or all."""
        found, at = [], 0
        for file in self.files[key]:
            part = file.get_slice(key)
            if not part.get_shape():
                return file.get_tensor(key)
            length = part.get_shape()[0]
            first, last = max(begin - at, 0), length if end is None else min(end - at, length)
            at += length
            found.append(part[min(first, length) : max(last, min(first, length))])
        return torch.cat(found) if len(found) > 1 else found[0]


def part_of(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.safetensors"


def rows_here(length: int, rank: int, count: int) -> tuple[int, int]:
    """The rows that a process has of a tensor which is spread as FSDP does it: as many in each, the last ones fewer or none."""
    most = -(-length // count)
    return min(length, rank * most), min(length, (rank + 1) * most)


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
