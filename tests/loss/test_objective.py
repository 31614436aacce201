"""What would break: an objective that one reader of the table has and another lacks, a loss that needs more."""

import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import otr.loss
from otr.config import Method
from otr.loss.draws import token_keys
from otr.loss.objective import FORMULAS, NAMES, Candidates, Objective, ObjectiveName, TokenStatistics, register
from otr.loss.rows import rollout, row_pass

ROOT = Path(otr.loss.__file__).parent


def test_the_table_the_types_and_the_experiment_file_name_the_same_objectives() -> None:
    assert set(FORMULAS) == set(get_args(ObjectiveName)) == set(NAMES)
    for name in NAMES:
        if "old_log_p" not in FORMULAS[name].needs:  # which the training loop does not keep
            assert Method(label="x", objective=name).objective == name


def test_every_formula_is_sampled_or_has_a_coefficient_and_says_where_it_comes_from() -> None:
    for name, formula in FORMULAS.items():
        assert formula.sampled == (formula.A is None and formula.B is None), name
        assert formula.equation and formula.source and formula.reference, name


def test_kernel_refuses_what_it_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last branch once trained any new objective as another one, without a word."""
    pytest.importorskip("triton", reason="the kernel needs triton")
    from otr.loss import kernel

    assert all(kernel.holds(Objective(name)) for name in NAMES if not FORMULAS[name].sampled or name == "otr")
    monkeypatch.setattr("otr.loss.objective.FORMULAS", dict(FORMULAS))
    half = register("half", reward=lambda drawn, objective: 0.5)
    labels = torch.tensor([0])
    with pytest.raises(ValueError, match="objective 'half': the kernel"):
        kernel.row_pass(torch.zeros(1, 4), labels, labels, Objective(half))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr("otr.loss.objective.FORMULAS", dict(FORMULAS))


def case(count: int = 12, vocabulary: int = 90) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(count, vocabulary, generator=generator) * torch.linspace(0.3, 4, count)[:, None]
    labels = torch.randint(vocabulary, (count,), generator=generator)
    return logits, labels, token_keys(0, 0, labels, torch.arange(count))


@pytest.mark.usefixtures("table")
def test_a_closed_form_from_outside_gets_the_gradient_of_its_loss() -> None:
    """Entropy-weighted cross-entropy plus a pull to pi', against autograd over the whole row."""

    def weight(token: TokenStatistics, objective: Objective) -> torch.Tensor:
        return objective.scale * token.entropy + token.q + token.p

    mine = register(
        "mine", A=weight, B=lambda token, objective: token.q, needs=("entropy", "q"), constants={"scale": 1}
    )
    logits, labels, keys = case()
    objective = Objective(mine, kappa=2.0, scale=0.25)
    leaf = logits.double().requires_grad_()
    log_p, mass = leaf.log_softmax(1), (leaf.detach() / 2).softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1).detach()
    log_p_x, q = log_p.gather(1, labels[:, None])[:, 0], mass.gather(1, labels[:, None])[:, 0]
    losses = -(0.25 * entropy + q + log_p_x.exp().detach()) * log_p_x - q * (mass * log_p).sum(1)
    (wanted,) = torch.autograd.grad(losses.sum(), leaf)
    for diagnostics in (True, False):
        slope = logits.clone()
        found = row_pass(slope, labels, keys, objective, diagnostics=diagnostics)
        torch.testing.assert_close(slope.double(), wanted, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.loss.double(), losses.detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="no constant 'scael'; it has kappa, samples, beta, scale"):
        Objective(mine, scael=2.0)


@pytest.mark.usefixtures("table")
def test_rewards_from_outside_as_a_function_and_as_a_table() -> None:
    """Near tokens are half right: both ways, and Eq. 8 written out on the same draws."""

    def near(drawn: Candidates, objective: Objective) -> torch.Tensor:
        return torch.where((drawn.token - drawn.label).abs() < 5, drawn.p.sqrt(), objective.beta * drawn.label_p)

    matrix = torch.rand(90, 90, generator=torch.Generator().manual_seed(0)) - 0.5
    formulas = register("near", reward=near), register("matrix", reward=matrix)
    logits, labels, keys = case()
    for formula in formulas:
        objective = Objective(formula, samples=50)
        drawn = rollout(logits, labels, keys, objective)
        leaf = logits.double().requires_grad_()
        log_p = leaf.log_softmax(1)
        p, x = log_p.exp().detach(), labels[:, None]
        if formula.name == "near":
            rewards = torch.where((drawn - x).abs() < 5, p.gather(1, drawn).sqrt(), -0.1 * p.gather(1, x))
        else:
            rewards = matrix.double()[x, drawn]
        rewards = torch.where(drawn == x, 1.0, rewards)
        losses = -(rewards * log_p.gather(1, drawn)).mean(1)
        (wanted,) = torch.autograd.grad(losses.sum(), leaf)
        slope = logits.clone()
        found = row_pass(slope, labels, keys, objective)
        torch.testing.assert_close(slope.double(), wanted, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.loss.double(), losses.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("'sft' exists", {"name": "sft", "A": lambda token, objective: 1.0}),
        ("small letters", {"name": "My Loss", "A": lambda token, objective: 1.0}),
        ("A or B .a closed form", {"name": "mine"}),
        ("A or B .a closed form", {"name": "mine", "A": lambda t, o: 1.0, "reward": lambda d, o: 1.0}),
        ("a baseline needs one", {"name": "mine", "A": lambda t, o: 1.0, "baseline": True}),
        ("found kl", {"name": "mine", "A": lambda t, o: 1.0, "needs": ("kl",)}),
        (r"\[V, V\]", {"name": "mine", "reward": torch.zeros(3, 4)}),
    ],
)
def test_what_cannot_be_registered_is_refused(message: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        register(**arguments)


@pytest.mark.usefixtures("table")
def test_reading_what_was_not_named_in_needs_says_so() -> None:
    mine = register("mine", A=lambda token, objective: token.q)
    logits, labels, keys = case()
    with pytest.raises(AttributeError, match="reads 'q' of a token; name it in `needs`"):
        row_pass(logits, labels, keys, Objective(mine))


def test_power_holds_sft_and_dft() -> None:
    logits, labels, keys = case()

    def slope(objective: Objective) -> torch.Tensor:
        found = logits.double()
        row_pass(found, labels, keys, objective)
        return found

    torch.testing.assert_close(slope(Objective("power", alpha=0.0)), slope(Objective("sft")))
    torch.testing.assert_close(slope(Objective("power", alpha=1e-9)), slope(Objective("sft")))
    torch.testing.assert_close(slope(Objective("power", alpha=1.0)), slope(Objective("dft")))
    torch.testing.assert_close(slope(Objective("focal", gamma=0.0)), slope(Objective("sft")))


def test_objectives_compare_print_and_pickle() -> None:
    objective = Objective("power", alpha=0.25)
    assert pickle.loads(pickle.dumps(objective)) == objective != Objective("power")
    assert objective.alpha == 0.25 and "'alpha': 0.25" in repr(objective) and hash(objective) is not None
    assert replace(objective, kappa=2.0) == Objective("power", kappa=2.0, alpha=0.25)
    with pytest.raises(AttributeError, match="no constant 'gamma'; it has kappa, samples, beta, alpha"):
        objective.gamma  # noqa: B018
    for constant in ({"alpha": -1.0}, {"alpha": float("nan")}, {"alpha": "1"}, {"beta": True}):
        with pytest.raises(ValueError, match=f"objective {next(iter(constant))}: a "):
            Objective("power", **constant)  # type: ignore[arg-type]


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
