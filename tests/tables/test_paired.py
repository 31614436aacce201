"""Differences of runs on the same problems: the number, its interval, the flips."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from otr.tables.paired import compare

ONE = {"sums": {"0": 100.0, "1": 50.0, "2": 0.0}, "products": {"0": 100.0, "1": 100.0}}
OTHER = {"sums": {"0": 50.0, "1": 0.0, "2": 25.0}, "products": {"0": 0.0, "1": 100.0}}


def test_the_difference_is_of_means_of_benchmarks() -> None:
    found = compare([ONE], [OTHER])
    assert found is not None
    assert found.levels == pytest.approx(((50 + 100) / 2, (25 + 50) / 2))
    assert found.difference == pytest.approx(37.5)
    assert (found.problems, found.trainings) == (5, 1)


def test_a_problem_is_right_where_half_of_its_completions_are() -> None:
    found = compare([ONE], [OTHER])
    assert found is not None
    assert found.gained == (("sums", "1"), ("products", "0")) and found.lost == ()
    back = compare([OTHER], [ONE])
    assert back is not None and back.lost == found.gained and back.difference == -found.difference


def test_one_training_of_one_benchmark_is_the_paired_t_test() -> None:
    one, other = {"a": dict(zip("01234", (100, 50, 0, 75, 25), strict=True))}, {"a": dict.fromkeys("01234", 25.0)}
    found = compare([one], [other])
    values = [value - 25 for value in one["a"].values()]
    half = stats.t.ppf(0.975, 4) * statistics.stdev(values) / math.sqrt(5)
    assert found is not None and found.half == pytest.approx(half)


def test_trainings_that_disagree_widen_the_interval() -> None:
    names = [str(number) for number in range(40)]
    base, noise = (dict(zip(names, row, strict=True)) for row in np.random.default_rng(1).uniform(0, 1, (2, 40)))

    def shifted(by: float) -> dict[str, dict[str, float]]:
        return {"a": {name: base[name] + noise[name] + by - 0.5 for name in names}}

    alike = compare([shifted(5)] * 3, [{"a": base}] * 3)
    spread = compare([shifted(1), shifted(5), shifted(9)], [{"a": base}] * 3)
    assert alike is not None and spread is not None and alike.half is not None and spread.half is not None
    assert alike.difference == pytest.approx(spread.difference)
    assert alike.is_told_apart
    # As good as three differences 1, 5 and 9 alone: t with two degrees of freedom.
    assert spread.half == pytest.approx(stats.t.ppf(0.975, 2) * 4 / math.sqrt(3), rel=1e-2)
    assert not spread.is_told_apart


def test_no_difference_at_all_is_not_known_to_the_last_digit() -> None:
    found = compare([{"a": dict.fromkeys("0123456789", 0.0)}], [{"a": dict.fromkeys("0123456789", 0.0)}])
    assert found is not None and found.difference == 0
    # Wilson's upper bound for 0 of 10.
    assert found.half == pytest.approx(100 * stats.binomtest(0, 10).proportion_ci(method="wilson").high)


def test_a_base_model_counts_for_each_training() -> None:
    found = compare([ONE, OTHER], [OTHER])
    assert found is not None and found.trainings == 2 and found.difference == pytest.approx(37.5 / 2)


def test_other_problems_or_trainings_are_no_pairs() -> None:
    assert compare([ONE], []) is None
    assert compare([ONE] * 3, [OTHER] * 2) is None
    assert compare([ONE], [{"sums": OTHER["sums"]}]) is None
    assert compare([ONE], [OTHER | {"sums": {"0": 50.0}}]) is None


def test_one_problem_has_no_interval() -> None:
    found = compare([{"a": {"0": 100.0}}], [{"a": {"0": 0.0}}])
    assert found is not None and found.difference == 100 and found.half is None and not found.is_told_apart
