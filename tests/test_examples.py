"""Every file of examples/ runs as it stands, is short, and does what it says."""

import runpy
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, **settings: int) -> Any:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](**settings)


def test_examples_are_short_and_all_tested_here() -> None:
    text = Path(__file__).read_text()
    for file in EXAMPLES.glob("*.py"):
        assert len(file.read_text().splitlines()) < 40, file.name
        assert f'run("{file.stem}"' in text, file.name


def test_own_objective() -> None:
    losses = run("own_objective")
    assert losses["entropy-weighted"] > 0 and set(losses) == {"entropy-weighted", "near"}


@pytest.mark.slow
def test_torch_loop() -> None:
    nll = run("torch_loop", pretraining=40, steps=20)
    assert nll[40] < nll[0] / 2 and nll[-1] < nll[40]


@pytest.mark.slow
def test_transformers_trainer() -> None:
    logs = run("transformers_trainer", steps=40)
    assert len(logs) == 2 and logs[1]["eval_loss"] < logs[0]["eval_loss"]


@pytest.mark.slow
def test_trl_sft() -> None:
    pytest.importorskip("trl", reason="trl is an optional dependency")
    logs = run("trl_sft", steps=20)
    assert len(logs) == 2 and logs[1]["gt_count"] > logs[0]["gt_count"]
