"""What would fail is said before any GPU is asked for."""

from pathlib import Path
from typing import Any

import pytest

from otr import config
from otr.data.sources import Folders
from otr.files import read_json, write_json, write_jsonl, write_record
from otr.machine.hardware import Hardware
from otr.plan.jobs import Plan
from otr.plan.ready import disk, main

TEXT = config.load(config.experiment_file("paper")).model_dump(mode="json", exclude_unset=True)


def experiment(folder: Path, **changes: Any) -> Path:
    """The paper's experiment with one benchmark and one model, whose tokenizer the tests' tiny checkpoint has."""
    columns = [{"group": "g", "benchmarks": ["bbeh"], "average": "a"}]
    table = {"caption": "c", "models": ["qwen3-4b"], "rows": ["sft"], "columns": columns}
    content = TEXT | {"tables": {"table1": table}, "figure2": None} | changes
    write_json(folder / "paper.yaml", content)
    return folder / "paper.yaml"


def arguments(file: Path, checkpoint: Path, folder: Path) -> list[str]:
    options = {
        "experiment": file, "model": "qwen3-4b", "base": checkpoint, "problems": folder / "problems",
        "results": folder, "out": folder / "ready.json",
    }  # fmt: skip
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


@pytest.fixture
def problems(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    rows = [{"id": str(n), "problem": "word " * (20 + 220 * (n == 3)), "gold": "x"} for n in range(5)]
    write_jsonl(tmp_path / "problems" / "bbeh" / "problems.jsonl", rows)
    write_jsonl(tmp_path / "problems" / "bbeh" / "demonstrations.jsonl", [])
    base = tmp_path / "paper" / "train" / "qwen3-4b" / "base"
    base.mkdir(parents=True)
    (base / "checkpoint").symlink_to(tiny_checkpoint)  # a plan for a model that any disk has room for
    return tmp_path


def summary(folder: Path, **changes: str) -> Path:
    """A subset's summary; returns where its rows would be."""
    write_record(folder / "summary.json", {"response_tokens": {"edges": [0, 8, 16], "histogram": [3, 2]}} | changes)
    return folder / "train.parquet"


def limited(tokens: int) -> dict[str, Any]:
    return {name: protocol | {"max_tokens": tokens} for name, protocol in TEXT["protocols"].items()}


def test_every_prompt_is_counted_in_both_protocols(problems: Path, tiny_checkpoint: Path) -> None:
    file = experiment(problems, context=1024, protocols=limited(16))
    main([*arguments(file, tiny_checkpoint, problems), "--subset", str(summary(problems))])
    found = read_json(problems / "ready.json")
    assert found["examples"] == {"edges": [0, 8, 16], "histogram": [3, 2]}
    assert found["positions"] == 1024
    assert set(found["longest_prompts"]) == {"base", "tuned"}
    assert all(300 < lengths["bbeh"] <= 1024 - 16 for lengths in found["longest_prompts"].values())
    assert 0 < found["disk_gb"]["needed"] < 1 < found["disk_gb"]["free"]


def test_room_is_for_what_is_not_done_and_two_resumable_checkpoints(tmp_path: Path) -> None:
    plan = Plan(
        config.load(config.experiment_file("paper")), Hardware.named("h100"), tmp_path,
        Folders(tmp_path, tmp_path), tmp_path,
    )  # fmt: skip
    found, failing = disk(plan, "qwen3-8b", tmp_path)
    # Two trainings: bfloat16 checkpoints, and 2 x 12 bytes a parameter while one runs.
    assert found["needed"] == pytest.approx(8.19 * (2 * 2 + 24), rel=0.03)
    assert found["of_it_resumable_checkpoints"] == pytest.approx(8.19 * 24, rel=0.01)
    assert bool(failing) == (found["needed"] > found["free"])
    for run in ("sft", "otr"):
        write_json(tmp_path / "paper" / "train" / "qwen3-8b" / run / "run.json", {})
    after = Plan(plan.experiment, plan.hardware, tmp_path, Folders(tmp_path, tmp_path), tmp_path)
    assert disk(after, "qwen3-8b", tmp_path)[0]["of_it_resumable_checkpoints"] == 0


def test_all_that_would_fail_is_listed(
    problems: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = experiment(problems, context=2048, protocols=limited(1500))
    train = summary(problems, lacking="paper.yaml: datasets.openr1: too few examples")
    with pytest.raises(SystemExit) as caught:
        main([*arguments(file, tiny_checkpoint, problems), "--subset", str(train)])
    assert caught.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("would fail: ")]
    assert len(lines) == 4
    assert lines.pop() == "would fail: train qwen3-4b: paper.yaml: datasets.openr1: too few examples"
    assert "context: 2048 is more than the 1024 positions" in lines[0]
    for line, protocol in zip(lines[1:], ("base", "tuned"), strict=True):
        assert f"sample qwen3-4b, {protocol} protocol, general: benchmarks.bbeh: 1 prompts, the longest of" in line
        assert "do not fit with max_tokens 1500: raise context from 2048 to" in line
    assert not (problems / "ready.json").exists()
