"""What a job on a cluster leaves in its folder, and what the next one makes of it."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
import going_on  # noqa: E402
import train  # noqa: E402


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, False),
        (json.dumps({"endReason": "stop_requested"}), False),
        (json.dumps({"endReason": "all_steps"}), True),
        (json.dumps({"endReason": "early_stopped"}), True),
        ("{", True),
        ("{}", True),
        ("[]", True),
    ],
)
def test_only_a_training_that_went_to_its_end_is_done(tmp_path: Path, text: str | None, expected: bool) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text, "utf-8")
    assert train.is_done(tmp_path) is expected


def test_what_a_killed_job_left_aside_keeps_nobody_from_saving(tmp_path: Path) -> None:
    def save_pretrained(folder: Path, state_dict: dict[str, int]) -> None:
        (folder / "weights").write_text(str(state_dict["step"]), "utf-8")

    former = tmp_path / ".model.former"
    (former / "deeper").mkdir(parents=True)
    (former / "deeper" / "file").write_text("old", "utf-8")
    for step in (1, 2):
        trainer = SimpleNamespace(
            state=lambda step=step: {"step": step},
            processes=SimpleNamespace(rank=0, count=1),
            model=SimpleNamespace(save_pretrained=save_pretrained),
        )
        train.Trainer.save(trainer, tmp_path / "model")
        assert (tmp_path / "model" / "weights").read_text("utf-8") == str(step)
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("length", [1, 2, 5, 9, 64])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_rows_of_a_process_are_those_that_fsdp_gives_it(length: int, count: int) -> None:
    chunks = torch.arange(length).chunk(count)
    for rank in range(count):
        expected = chunks[rank].tolist() if rank < len(chunks) else []
        assert list(range(*going_on.rows_here(length, rank, count))) == expected


def test_rows_of_several_files_are_read_as_one_tensor(tmp_path: Path) -> None:
    whole = torch.arange(14.0).reshape(7, 2)
    # The last process has none.
    parts = [whole[:4], whole[4:], whole[7:]]
    files = []
    for i, part in enumerate(parts):
        path = going_on.part_of(tmp_path, i)
        save_file({"spread": part.contiguous(), **({"step": torch.tensor(3.0)} if i == 0 else {})}, path)
        files.append(safe_open(path, "pt"))
    stored = going_on.StoredTensors(files)
    assert stored.shape("spread") == [7, 2]
    for begin in range(8):
        for end in range(begin, 8):
            assert torch.equal(stored.read("spread", begin, end), whole[begin:end]), (begin, end)
    assert torch.equal(stored.read("spread"), whole)
    assert stored.shape("step") == [] and stored.read("step").item() == 3


def test_a_state_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    config = {"earlyStoppingPatience": None, "keepBest": False}

    def begin(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, going_on.Progress]:
        torch.manual_seed(seed)
        model = torch.nn.Linear(3, 5)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1), going_on.Progress(config)

    def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.rand(2, 3)).square().sum().backward()
            optimizer.step()

    model, optimizer, progress = begin(1)
    steps(model, optimizer, 3)
    progress.step = 3
    state = going_on.SavedState(tmp_path, "run", torch.device("cpu"), 0, 1)
    (tmp_path / "state-2").mkdir()  # Of a job that was killed there.
    state.save(model, optimizer, progress)
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.safetensors"]
    steps(model, optimizer, 2)
    other, other_optimizer, other_progress = begin(2)
    state.take(other, other_optimizer, other_progress)
    assert other_progress.step == 3
    steps(other, other_optimizer, 2)
    for expected, found in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(expected, found)
    with pytest.raises(SystemExit, match="of another run"):
        going_on.SavedState(tmp_path, "another", torch.device("cpu"), 0, 1).take(other, other_optimizer, other_progress)
    foreign = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(RuntimeError, match="not the parameter that the optimizer has"):
        state.save(model, foreign, progress)
    state.remove()
    assert list(tmp_path.iterdir()) == []
