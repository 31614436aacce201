"""The short form of the paper's rehearsal: paper.yaml through Snakemake, from a hub on loopback to all tables."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT
from rehearsal.run import PAPER, SHORT, SIZES, changed

from otr import config

pytestmark = pytest.mark.slow


def test_the_paper_s_experiment_runs_from_hub_to_tables(tmp_path: Path) -> None:
    command = [sys.executable, "tests/rehearsal/run.py", "--engine", "transformers", "--out", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2400)
    assert run.returncode == 0, f"{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    # Five tables of one model: 24 + 21 + 16 + 14 + 16 cells, every one beside its published value.
    assert "91 cells of ours, 91 beside published ones" in run.stdout
    assert "files are the same offline" in run.stdout


def test_nothing_but_sizes_is_changed(tmp_path: Path) -> None:
    """What the rehearsal changes are numbers and, in the short form, which of the tables' models and rows are shown."""
    shipped = config.load(ROOT / PAPER).model_dump(mode="json")
    file = tmp_path / "paper.yaml"
    file.write_text(changed(ROOT / PAPER, SIZES))
    full = config.load(file).model_dump(mode="json")

    def differences(one: object, other: object, place: str = "") -> list[str]:
        if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
            return [found for key in one for found in differences(one[key], other[key], f"{place}.{key}".strip("."))]
        return [] if one == other else [place]

    found = differences(shipped, full)
    assert found and set(found) <= set(SIZES)
    assert all(isinstance(SIZES[place], int) for place in found)
    assert set(SHORT) == {key for key in SHORT if key.startswith(("tables.", "figure2."))}
