"""Paired bootstrap intervals against what is known in closed form."""

import math
from pathlib import Path

import numpy as np
import pytest

from otr.config.tables import ColumnGroup, TableLayout
from otr.errors import UserError
from otr.files import write_jsonl
from otr.tables.bootstrap import Accuracies, paired_interval, read_accuracies


def drawn(count: int, seed: int) -> Accuracies:
    return {str(n): float(a) for n, a in enumerate(np.random.default_rng(seed).uniform(0, 100, count))}


def test_a_constant_gain_is_certain() -> None:
    """Problems differ widely, but the gain is the same on each: pairing leaves no uncertainty."""
    one = drawn(60, 1)
    low, high = paired_interval([({n: a + 3 for n, a in one.items()}, one)]) or (0.0, 0.0)
    assert low == pytest.approx(3) and high == pytest.approx(3)


def test_the_width_is_that_of_the_mean_difference() -> None:
    one, other = drawn(400, 1), drawn(400, 2)
    differences = np.array([one[n] - other[n] for n in one])
    low, high = paired_interval([(one, other)]) or (0.0, 0.0)
    expected = 2 * 1.96 * differences.std() / np.sqrt(400)
    assert high - low == pytest.approx(expected, rel=0.06)
    assert (low + high) / 2 == pytest.approx(differences.mean(), abs=0.1 * expected)


def test_an_average_of_two_benchmarks_is_narrower() -> None:
    pairs = [(drawn(200, seed), drawn(200, seed + 10)) for seed in (1, 2)]
    single = [high - low for low, high in filter(None, (paired_interval([pair]) for pair in pairs))]
    low, high = paired_interval(pairs) or (0.0, 0.0)
    assert high - low == pytest.approx(math.hypot(*single) / 2, rel=0.06)


def test_same_seed_same_interval() -> None:
    pairs = [(drawn(50, 1), drawn(50, 2))]
    assert paired_interval(pairs, seed=4) == paired_interval(pairs, seed=4) != paired_interval(pairs, seed=5)


def test_other_problems_cannot_be_paired() -> None:
    assert paired_interval([(drawn(50, 1), drawn(49, 1))]) is None


def test_accuracies_are_read_from_verdicts(tmp_path: Path) -> None:
    columns = (ColumnGroup(group="M", benchmarks=("sums", "products"), average="Average"),)
    layout = TableLayout(caption="c", models=("m",), rows=("otr",), columns=columns)
    path = tmp_path / "tiny" / "eval" / "m" / "otr" / "sums" / "verdicts.jsonl.gz"
    rows = [{"problem": p, "sample": s, "correct": c} for p, s, c in (("0", 0, True), ("0", 1, False), ("1", 0, True))]
    write_jsonl(path, rows)
    assert read_accuracies(tmp_path, "tiny", layout) == {("m", "otr", "sums"): {"0": 50.0, "1": 100.0}}
    write_jsonl(path, [*rows, {"problem": "1", "sample": 1, "correct": "yes"}])
    with pytest.raises(UserError, match="verdicts.jsonl.gz:4"):
        read_accuracies(tmp_path, "tiny", layout)
