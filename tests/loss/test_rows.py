"""What would break: a wrong formula or gradient in a row, a sampler with another law than pi', a NaN that passes."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from otr.loss import reference
from otr.loss.draws import token_keys, uniforms
from otr.loss.objective import NAMES, Objective
from otr.loss.rows import RowStatistics, rollout, row_pass
from otr.loss.workspace import _idle, workspace

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 4e-3}
# Below one block, one block of cumulative sums, and many blocks with a padded tail.
VOCABULARIES = (7, 512, 5003)


def keys(count: int, step: int = 0) -> Tensor:
    return token_keys(0, step, torch.arange(count) // 4, torch.arange(count))


def rows(count: int, vocabulary: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits from nearly uniform to nearly certain, labels likely and unlikely."""
    generator = torch.Generator().manual_seed(vocabulary)
    logits = torch.randn(count, vocabulary, generator=generator) * torch.linspace(0.1, 6, count)[:, None]
    labels = torch.randint(vocabulary, (count,), generator=generator)
    logits[::2].scatter_(1, labels[::2, None], 9.0)
    return logits.to(dtype), labels


def reference_gradient(logits: Tensor, labels: Tensor, objective: Objective, drawn: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.double().clone().requires_grad_()
    losses = reference.row_losses(leaf, labels, objective, drawn, older(logits, labels))
    losses.sum().backward()
    assert leaf.grad is not None
    return losses.detach(), leaf.grad


def older(logits: Tensor, labels: Tensor) -> Tensor:
    """[n] log-probabilities of a policy between 40 % more and 40 % less sure of the label than this one."""
    log_p = logits.double().log_softmax(1).gather(1, labels[:, None])[:, 0]
    return (log_p + torch.linspace(-0.4, 0.4, len(labels), dtype=torch.float64)).clamp(min=-80)


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradient_match_float64_autograd_on_the_same_draws(
    name: str, vocabulary: int, dtype: torch.dtype
) -> None:
    objective = Objective(name, samples=100)
    logits, labels = rows(40, vocabulary, dtype)
    drawn = rollout(logits, labels, keys(40), objective)
    losses, gradient = reference_gradient(logits, labels, objective, drawn)
    slope = logits.clone()
    found = row_pass(slope, labels, keys(40), objective, old_log_p=older(logits, labels))
    assert relative(found.loss, losses) < min(TOLERANCE[dtype], 1e-5)
    assert relative(slope, gradient) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_gradient_sum_to_zero_and_weights_scale_them(name: str) -> None:
    logits, labels = rows(40, 5003)
    weights = torch.linspace(0.5, 2, 40)
    plain, weighted = logits.clone(), logits.clone()
    row_pass(plain, labels, keys(40), Objective(name), old_log_p=older(logits, labels))
    row_pass(weighted, labels, keys(40), Objective(name), weights, old_log_p=older(logits, labels))
    assert plain.sum(1).abs().max() < 2e-6
    assert relative(weighted, plain.double() * weights[:, None]) < 1e-5


def test_statistics_are_what_their_names_say() -> None:
    objective = Objective(samples=64)
    logits, labels = rows(40, 5003, torch.float64)
    drawn = rollout(logits, labels, keys(40), objective)
    found = row_pass(logits.clone(), labels, keys(40), objective)
    policy, sampling = logits.softmax(1), (logits / objective.kappa).softmax(1)
    missed = drawn != labels[:, None]
    push = torch.where(missed, -objective.beta, 1.0) * (1 - policy.gather(1, drawn))
    expected = {
        "nll": -policy.gather(1, labels[:, None])[:, 0].log(),
        "gt_probability": sampling.gather(1, labels[:, None])[:, 0],
        "gt_count": (~missed).sum(1).double(),
        "entropy": -(policy * policy.log()).sum(1),
        "beta_share": (push * missed).sum(1) / push.sum(1),
    }
    for name, wanted in expected.items():
        torch.testing.assert_close(getattr(found, name), wanted, rtol=1e-7, atol=1e-10, msg=name)


@pytest.mark.parametrize("name", ["sft", "dft", "expected-otr"])
def test_gt_count_is_sampled_for_analysis_without_touching_the_gradient(name: str) -> None:
    logits, labels = rows(40, 512)
    with_it, without = logits.clone(), logits.clone()
    analysed = row_pass(with_it, labels, keys(40), Objective(name))
    bare = row_pass(without, labels, keys(40), Objective(name), diagnostics=False)
    sampled = row_pass(logits.clone(), labels, keys(40), Objective("otr"))
    assert torch.equal(with_it, without) and torch.equal(analysed.loss, bare.loss)
    assert torch.equal(analysed.gt_count, sampled.gt_count)
    assert not bare.gt_count.any() and not bare.entropy.any()


def test_identities_of_the_paper() -> None:
    logits, labels = rows(40, 512, torch.float64)
    slopes: dict[str, Tensor] = {}

    def slope(label: str, objective: Objective) -> None:
        slopes[label] = logits.clone()
        row_pass(slopes[label], labels, keys(40), objective)

    slope("expected, kappa 1", Objective("expected-otr", kappa=1.0, beta=-0.3))
    slope("dft", Objective("dft"))
    torch.testing.assert_close(slopes["expected, kappa 1"], 1.3 * slopes["dft"], rtol=1e-10, atol=1e-14)

    slope("sft", Objective("sft"))
    slope("beta 0", Objective("otr", beta=0.0))
    count = row_pass(logits.clone(), labels, keys(40), Objective("otr")).gt_count
    torch.testing.assert_close(slopes["beta 0"], slopes["sft"] * count[:, None] / 256, rtol=1e-10, atol=1e-14)

    slope("expected", Objective("expected-otr"))
    slope("tempered", Objective("tempered-dft"))
    slope("beta only", Objective("beta-only"))
    torch.testing.assert_close(slopes["expected"], 1.1 * slopes["tempered"] + slopes["beta only"])


def test_eq_8_is_eq_9() -> None:
    logits, labels = rows(40, 512, torch.float64)
    drawn = rollout(logits, labels, keys(40), Objective())
    by_draw, by_count = (f(logits, labels, drawn, -0.1) for f in (reference.otr, reference.otr_by_count))
    torch.testing.assert_close(by_draw, by_count)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_mean_sampled_gradient_tends_to_expected_otr_with_slope_minus_one_half(vocabulary: int) -> None:
    """Relative error of the mean of S gradients against S, on log axes."""
    logits, labels = rows(8, vocabulary, torch.float64)
    objective = Objective(samples=16, beta=-0.5)
    exact = logits.clone()
    row_pass(exact, labels, keys(8), Objective("expected-otr", beta=-0.5))
    total, sizes, errors = torch.zeros_like(logits), [1, 4, 16, 64, 256, 1024], []
    for step in range(1, sizes[-1] + 1):
        slope = logits.clone()
        row_pass(slope, labels, keys(8, step), objective, diagnostics=False)
        total += slope
        if step in sizes:
            errors.append(relative(total / step, exact))
    x, y = (torch.tensor(values).double().log() for values in (sizes, errors))
    slope_found = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    assert slope_found == pytest.approx(-0.5, abs=0.1), errors
    assert errors[-1] < errors[0] / 20


def spread_of_gradients(objective: Objective, steps: int = 2000) -> tuple[Tensor, Tensor]:
    """Mean gradient over many draws of three tokens, flat to sure of its label, and each token's variance."""
    logits = torch.randn(1, 30, generator=torch.Generator().manual_seed(1)).double() * torch.tensor([[0.5], [2], [5]])
    labels = logits.argmax(1)
    slopes = logits.repeat(steps, 1)
    row_pass(slopes, labels.repeat(steps), token_keys(0, 0, labels.repeat(steps), torch.arange(3 * steps)), objective)
    slopes = slopes.view(steps, 3, 30)
    return slopes.mean(0), (slopes - slopes.mean(0)).square().sum(2).mean(0)


def test_variance_reduction_keeps_the_mean_gradient() -> None:
    """Also where kappa is not 1, which a plain leave-one-out baseline would bias."""
    for kappa, beta in ((1.3, -0.1), (1.0, -1.0), (2.0, 0.5)):
        exact, _ = spread_of_gradients(Objective("expected-otr", kappa, 16, beta), steps=1)
        _, variance = spread_of_gradients(Objective("otr", kappa, 16, beta))
        lowered, smaller = spread_of_gradients(Objective("otr-rao-blackwell", kappa, 16, beta))
        assert (smaller < variance).all(), "the Rao-Blackwell theorem"
        baseline, other = spread_of_gradients(Objective("otr-baseline", kappa, 16, beta))
        for mean, its_variance in ((lowered, smaller), (baseline, other)):
            assert ((mean - exact).square().sum(1) < 9 * its_variance / 2000).all()
        # Not promised: at beta = -0.1 the baseline more than doubles the variance (docs/loss.md).
        assert other[0] < 0.5 * variance[0] or beta != -1.0


def test_a_number_of_draws_that_is_no_power_of_two_does_not_drift() -> None:
    """1,000 additions of 1/1000 in float32 once made five times the true gradient of a sure label."""
    logits = torch.zeros(1, 512)
    logits[0, 3], logits[0, 4] = 20.0, 0.0
    labels = torch.tensor([3])
    for samples in (1000, 256):
        for name in ("otr", "otr-baseline", "otr-rao-blackwell", "sft", "dft"):
            objective = Objective(name, samples=samples)
            slope = logits.clone()
            row_pass(slope, labels, keys(1), objective)
            drawn = rollout(logits, labels, keys(1), objective)
            assert (drawn == 3).all()
            _, gradient = reference_gradient(logits, labels, objective, drawn)
            assert relative(slope, gradient) < 2e-6, name
    logits[0, 4] = 40.0  # sure of a wrong token, drawn every time: beta p - beta K / K cancels there
    slope = logits.clone()
    row_pass(slope, labels, keys(1), Objective(samples=1000, kappa=1.0))
    drawn = torch.full((1, 1000), 4)
    _, gradient = reference_gradient(logits, labels, Objective(samples=1000), drawn)
    assert float((slope - gradient).abs().max()) < 2e-8


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_draws_follow_the_sampling_policy(vocabulary: int) -> None:
    """Chi-squared over two million draws of one peaked row; no token without mass, none out of range."""
    objective = Objective(samples=500)
    logits, _ = rows(2, vocabulary)
    row = logits[1:2] / 3
    row[0, vocabulary // 2 :: 3] = -math.inf
    label = row[0].topk(2).indices[1]
    count = 4000
    counts = torch.zeros(vocabulary, dtype=torch.long)
    for step in range(4):
        one = slice(step * 1000, (step + 1) * 1000)
        drawn = rollout(row.expand(1000, -1), label.expand(1000), keys(count)[one], objective)
        assert drawn.min() >= 0 and drawn.max() < vocabulary
        counts += drawn.view(-1).bincount(minlength=vocabulary)
    expected = (row[0].double() / objective.kappa).softmax(0) * count * objective.samples
    assert not counts[expected == 0].any()
    assert chi_squared(counts, expected) < 5


def chi_squared(counts: Tensor, expected: Tensor) -> float:
    """Standard deviations above its mean of Pearson's statistic, cells under ten expected draws pooled."""
    small = expected < 10
    cells = torch.cat([expected[~small], expected[small].sum()[None]])
    found = torch.cat([counts[~small], counts[small].sum()[None]]).double()
    cells, found = cells[cells > 0], found[cells > 0]
    freedom = len(cells) - 1
    return float((((found - cells) ** 2 / cells).sum() - freedom) / (2 * freedom) ** 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_those_of_a_plain_search_bit_for_bit(dtype: torch.dtype) -> None:
    """One row and one draw at a time, with torch's own search; unlike and likely labels, tokens without mass."""
    logits, labels = rows(24, 512, dtype)
    logits[::3, :200] = -math.inf
    logits.scatter_(1, labels[:, None], 4.0)
    drawn = rollout(logits, labels, keys(24), Objective(samples=37))
    for row, label, numbers, found in zip(logits, labels, uniforms(keys(24), 37), drawn, strict=True):
        mass = (row - row.max()).mul(1 / 1.3).exp()
        alone = mass[label].clone()
        mass[label] = 0
        total = alone + mass.sum()
        sums, q = mass.cumsum(0), (alone / total).double()
        for number, token in zip(numbers, found, strict=True):
            if number < q:
                assert token == label
            else:
                value = ((number - q) * total.double()).to(dtype).clamp(torch.finfo(dtype).tiny, float(sums[-1]))
                assert token == torch.searchsorted(sums, value)


def test_a_token_missed_by_rounding_is_never_drawn() -> None:
    """All mass at the label, or on one other token among masked ones: every draw must land there."""
    for vocabulary in VOCABULARIES:
        logits = torch.full((2, vocabulary), -math.inf)
        logits[:, 2], logits[1, 5] = 0.0, 40.0
        labels = torch.tensor([2, 2])
        drawn = rollout(logits, labels, keys(2), Objective(kappa=0.05))
        assert (drawn[0] == 2).all() and (drawn[1] == 5).all()


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_stay_finite_and_right(name: str) -> None:
    vocabulary, label = 5003, 4
    logits = torch.zeros(6, vocabulary)
    logits[0] += 1e4
    logits[1] -= 1e4
    logits[2, ::2], logits[2, 1::2] = 1e4, -1e4
    logits[3, 1:] = -math.inf
    logits[3, label] = -3.0
    logits[4, label] = 1e4
    logits[5, 9] = 1e4
    labels = torch.full((6,), label)
    objective = Objective(name)
    losses, gradient = reference_gradient(logits, labels, objective, rollout(logits, labels, keys(6), objective))
    slope = logits.clone()
    found = row_pass(slope, labels, keys(6), objective, old_log_p=older(logits, labels))
    assert found.finite.all()
    assert all(column.isfinite().all() for column in vars(found).values()) and slope.isfinite().all()
    torch.testing.assert_close(found.loss.double(), losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(slope.double(), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_are_not_finite_are_flagged(name: str) -> None:
    logits = torch.zeros(6, 5003)
    logits[1, 700] = math.nan
    logits[2, 700] = math.inf
    logits[3] = -math.inf
    logits[4, 3] = -math.inf  # the label itself: its loss would be infinite
    logits[5, 4] = -math.inf  # a mask elsewhere is fine
    found: RowStatistics = row_pass(logits, torch.full((6,), 3), keys(6), Objective(name), old_log_p=torch.zeros(6))
    assert found.finite.tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    "field", [{"name": "ppo"}, {"beta": 1.0}, {"kappa": 0.0}, {"samples": 0}, {"samples": 1.5}, {"kappa": math.nan}]
)
def test_objective_rejects_what_is_out_of_range(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"objective {next(iter(field))}"):
        Objective(**field)  # type: ignore[arg-type]


def test_a_call_inside_a_call_or_beside_it_has_buffers_of_its_own() -> None:
    """And one made under inference_mode does not leave buffers that training cannot write to."""
    device = torch.device("cpu")
    with workspace(device) as outer, workspace(device) as inner:
        assert outer.take("exp", (3,), torch.float32).data_ptr() != inner.take("exp", (3,), torch.float32).data_ptr()
    logits, labels = rows(40, 611)
    wanted = row_pass(logits.clone(), labels, keys(40), Objective()).loss
    with torch.inference_mode(), ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: row_pass(logits.clone(), labels, keys(40), Objective()).loss, range(16)):
            assert torch.equal(found, wanted)
    _idle.clear()
    with torch.inference_mode():
        row_pass(logits.clone(), labels, keys(40), Objective())
    assert torch.equal(row_pass(logits.clone(), labels, keys(40), Objective()).loss, wanted)
