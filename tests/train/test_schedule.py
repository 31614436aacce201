"""Order of the examples and learning rate, against values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otr.train.schedule import batch, learning_rate, steps_per_epoch


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_visits_an_example_at_most_once(examples: int, size: int, seed: int, epoch: int) -> None:
    steps = steps_per_epoch(examples, size)
    seen = [index for step in range(epoch * steps, (epoch + 1) * steps) for index in batch(step, examples, size, seed)]
    assert len(seen) == len(set(seen)) == steps * size
    assert set(seen) <= set(range(examples))
    assert examples - len(seen) < size


def test_epochs_and_seeds_have_their_own_order() -> None:
    def order(epoch: int, seed: int) -> list[int]:
        return [index for step in range(4) for index in batch(4 * epoch + step, 40, 10, seed)]

    assert sorted(order(0, 0)) == list(range(40))
    assert order(0, 0) != list(range(40))
    assert len({tuple(order(epoch, seed)) for epoch in range(3) for seed in range(3)}) == 9
    assert order(1, 2) == order(1, 2)


def test_the_papers_numbers() -> None:
    """5,000 examples in batches of 64 make 78 steps an epoch, the incomplete one dropped; 2 epochs 156."""
    assert steps_per_epoch(5000, 64) == 78
    rate = [learning_rate(step, 156, 5e-6, 1e-6, 0.03) for step in range(156)]
    assert rate[:5] == pytest.approx([5e-6 * n / 6 for n in (1, 2, 3, 4, 5)])  # ceil(0.03 x 156) = 5 rising steps
    assert rate[5] == 5e-6
    assert rate[80] == pytest.approx(3e-6)  # half way of the cosine from step 5 to 155
    assert rate[155] == pytest.approx(1e-6)
    assert all(after < before for before, after in zip(rate[5:], rate[6:], strict=False))


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "expected"),
    [(0, 1, 0.0, 1.0), (0, 1, 0.5, 0.5), (1, 2, 0.0, 0.1), (0, 4, 1.0, 0.2), (3, 4, 1.0, 0.8), (1, 3, 0.0, 0.55)],
)
def test_short_runs(step: int, steps: int, warmup: float, expected: float) -> None:
    assert learning_rate(step, steps, 1.0, 0.1, warmup) == pytest.approx(expected)
