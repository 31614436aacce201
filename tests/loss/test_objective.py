"""What would break: an objective that one reader of the table has and another lacks, a loss that needs more."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch

import otr.loss
from otr.config import Method
from otr.loss.objective import FORMULAS, NAMES, Objective, ObjectiveName

ROOT = Path(otr.loss.__file__).parent


def test_the_table_the_types_and_the_experiment_file_name_the_same_objectives() -> None:
    assert set(FORMULAS) == set(get_args(ObjectiveName)) == set(NAMES)
    for name in NAMES:
        assert Method(label="x", objective=name).objective == name


def test_every_formula_is_sampled_or_has_a_coefficient_and_says_where_it_comes_from() -> None:
    for name, formula in FORMULAS.items():
        assert formula.sampled == (formula.pull is None and formula.spread is None), name
        assert formula.equation.startswith("L = ") and formula.source, name


def test_kernel_refuses_what_it_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last branch once trained any new objective as another one, without a word."""
    pytest.importorskip("triton", reason="the kernel needs triton")
    from otr.loss import kernel

    assert all(kernel.holds(Objective(name)) for name in NAMES)
    monkeypatch.setitem(FORMULAS, "half", FORMULAS["otr"])
    labels = torch.tensor([0])
    with pytest.raises(ValueError, match="objective 'half': the kernel"):
        kernel.row_pass(torch.zeros(1, 4), labels, labels, Objective("half"))  # type: ignore[arg-type]


def test_loss_folder_works_alone_under_another_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "copied", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys, copied.objective; assert 'torch' not in sys.modules, 'the table imports torch'\n"
        "import torch, copied\n"
        "print(copied.otr_loss(torch.zeros(2, 4), torch.tensor([0, 1]), copied.Objective('sft')).item())\n"
        "assert not any(name.split('.')[0] in ('otr', 'pydantic', 'transformers') for name in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(1.3862944)
