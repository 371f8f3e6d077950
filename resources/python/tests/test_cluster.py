"""What a job on a cluster leaves in its folder, and what the next one makes of it."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
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
