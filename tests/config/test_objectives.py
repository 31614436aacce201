"""Methods whose objective is any of the table's, or one that a file beside the experiment registers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otr import config
from otr.errors import UserError
from otr.loss.objective import FORMULAS, Objective

MINE = """
import otr

otr.register("half", A=lambda token, objective: 0.5 * objective.scale, constants={"scale": 1.0})
"""


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = set(FORMULAS)
    yield
    for name in set(FORMULAS) - before:
        del FORMULAS[name]


def experiment(folder: Path, method: str, top: str = "") -> Path:
    """The micro experiment with one more method."""
    text = config.experiment_file("micro").read_text().replace("methods:\n", f"methods:\n  mine: {method}\n", 1) + top
    file = folder / "micro.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("method", "objective"),
    [
        ("{label: P, objective: power, constants: {alpha: 0.25}}", Objective("power", alpha=0.25)),
        ("{label: F, objective: focal, constants: {gamma: 1}}", Objective("focal", gamma=1.0)),
        ("{label: X, objective: proximal-sft, constants: {iteration: 4}}", Objective("proximal-sft", iteration=4)),
        ("{label: R, objective: otr-rao-blackwell, beta: -0.5}", Objective("otr-rao-blackwell", beta=-0.5)),
        ("{label: B, objective: otr-baseline, samples: 8}", Objective("otr-baseline", samples=8)),
        ("{label: K, objective: otr-top-k, constants: {k: 3}}", Objective("otr-top-k", k=3)),
        ("{label: T, objective: otr-threshold, constants: {threshold: 0.2, outside: -0.05}}",
         Objective("otr-threshold", threshold=0.2, outside=-0.05)),
    ],
)  # fmt: skip
def test_each_objective_is_one_block(method: str, objective: Objective, tmp_path: Path) -> None:
    assert config.load(experiment(tmp_path, method)).methods["mine"].loss() == objective


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("{label: P, objective: power, constants: {alfa: 1}}", "mine: objective power: no constant 'alfa'"),
        ("{label: P, objective: power, constants: {alpha: -1}}", "mine: objective alpha: a finite number from 0"),
        ("{label: S, objective: sft, beta: 0.5}", "mine: the objective 'sft' does not read beta; leave it out"),
        ("{label: X, objective: proximal-sft, constants: {iteration: 0}}", "iteration: a finite number from 1"),
        ("{label: X, objective: half}", "found \"half\": input should be 'sft', 'dft', 'otr'"),
    ],
)
def test_what_an_objective_does_not_take_is_one_line(method: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        config.load(experiment(tmp_path, method))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_file_beside_the_experiment_brings_objectives(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    file = experiment(tmp_path, "{label: H, objective: half, constants: {scale: 2.0}}", "objectives: mine.py\n")
    for _ in range(2):  # the second time it is known
        method = config.load(file).methods["mine"]
    assert method.loss().scale == 2.0
    # Its content decides the training, so it stands in what a rerun compares.
    assert len(method.settings()["code"]) == 64
    assert "code" not in config.load(file).methods["otr"].settings()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py", "", "objectives: found 'absent.py'; a Python file in this file's own folder is needed"),
        ("../mine.py", MINE, "own folder is needed"),
        (
            "mine.py",
            "import otr\n\notr.register('sft', A=None)",
            "mine.py:3: ValueError: register: the objective 'sft'",
        ),
        ("mine.py", "def broken(", "mine.py:1: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / "experiments"
    folder.mkdir()
    if text:
        (folder / name).write_text(text)
    with pytest.raises(UserError) as error:
        config.load(experiment(folder, "{label: S, objective: sft}", f"objectives: {name}\n"))
    assert message in str(error.value)


def test_settings_of_a_known_method_did_not_change() -> None:
    """Another key here would train every finished run again."""
    settings = config.load(config.experiment_file("micro")).methods["otr"].settings()
    assert settings == {"objective": "otr", "kappa": 1.3, "samples": 256, "beta": -0.1}
