"""How far two runs differ on the same problems, and how sure that is.

In: the percentage of right completions by problem, for each training of either run. Two problems, one training each,
four samples a problem:

    one   = [{"sums": {"0": 75.0, "1": 50.0}}]
    other = [{"sums": {"0": 25.0, "1": 50.0}}]
    compare(one, other)  →  Paired(difference=25.0, half=317.7, problems=2, gained=1, ...)

The difference d is the mean over benchmarks of the mean over problems of (one - other), means over trainings first. Its
variance is the sum of two parts, which crossed random effects have (problems are the same for all trainings):

    over problems   mean over B benchmarks of s_b² / n_b, divided by B; s_b² is the variance of the n_b problems'
                    differences. It holds the spread of samples too.
    over trainings  s² / S; s² is the variance of the S trainings' differences, the s-th of one run with the s-th of the
                    other, which read their data in the same order.

The 95 % interval is d ± t · sqrt(sum), with Student's t at the degrees of freedom of Satterthwaite (1946). What is
random in a problem and a training alone is counted in both parts, so the interval is rather too long. Simulated with 7
benchmarks of 60 problems, 3 trainings of 2 samples: it holds the true difference in 99 % without, 96 % with a small and
93 % with a dominant effect of the training. A bootstrap over problems alone: 96, 80 and 41 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otr.tables.accuracies import Training

Z = 1.959964
"""The normal distribution's 97.5 % quantile."""


@dataclass(frozen=True)
class Paired:
    """One run minus the other, in points."""

    difference: float
    half: float | None
    """Half of the 95 % interval; None for a single problem."""
    levels: tuple[float, float]
    """The averages of the two runs, percent."""
    problems: int
    trainings: int
    gained: tuple[tuple[str, str], ...]
    """(benchmark, problem) that the other run has wrong and this one right. A problem is right where at least half of
    its completions, of all trainings together, are."""
    lost: tuple[tuple[str, str], ...]
    """(benchmark, problem) that the other run has right and this one wrong."""

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.half is None else (self.difference - self.half, self.difference + self.half)

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.half is not None and abs(self.difference) > self.half


def compare(one: Sequence[Training], other: Sequence[Training]) -> Paired | None:
    """None where the two runs have not answered the same problems in equally many trainings.

    A base model has one "training"; against several of another run it counts for each.
    """
    count = max(len(one), len(other))
    one, other = (list(run) * count if len(run) == 1 else list(run) for run in (one, other))
    if not count or len(one) != len(other) or not _same_problems([*one, *other]):
        return None
    names = [(benchmark, problem) for benchmark, accuracies in one[0].items() for problem in sorted(accuracies)]
    mine, theirs = (np.array([[training[b][p] for b, p in names] for training in run]) for run in (one, other))
    sizes = [len(accuracies) for accuracies in one[0].values()]
    gained = [name for name, a, b in zip(names, mine.mean(0), theirs.mean(0), strict=True) if a >= 50 > b]
    lost = [name for name, a, b in zip(names, mine.mean(0), theirs.mean(0), strict=True) if b >= 50 > a]
    return Paired(
        _average(mine - theirs, sizes),
        _half(mine - theirs, sizes),
        (_average(mine, sizes), _average(theirs, sizes)),
        len(names),
        count,
        tuple(gained),
        tuple(lost),
    )


def _same_problems(trainings: Sequence[Training]) -> bool:
    first = {benchmark: accuracies.keys() for benchmark, accuracies in trainings[0].items()}
    return all(first.values()) and all(
        {benchmark: accuracies.keys() for benchmark, accuracies in training.items()} == first
        for training in trainings[1:]
    )


def _by_benchmark(values: NDArray[np.float64], sizes: Sequence[int]) -> list[NDArray[np.float64]]:
    """(trainings, problems of all benchmarks) → a part for each benchmark."""
    return np.split(values, np.cumsum(sizes)[:-1], axis=1)


def _average(values: NDArray[np.float64], sizes: Sequence[int]) -> float:
    """The mean over benchmarks of the means over problems and trainings."""
    return float(np.mean([part.mean() for part in _by_benchmark(values, sizes)]))


def _half(differences: NDArray[np.float64], sizes: Sequence[int]) -> float | None:
    """Half of the 95 % interval. differences: (trainings, problems), benchmark by benchmark."""
    from scipy import stats

    parts = _by_benchmark(differences, sizes)
    problems, trainings = sum(sizes), len(differences)
    if problems < 2 or min(sizes) < 2:
        return None
    over_problems = sum(part.mean(axis=0).var(ddof=1) / part.shape[1] for part in parts) / len(parts) ** 2
    over_trainings = 0.0
    if trainings > 1:
        over_trainings = float(np.mean([part.mean(axis=1) for part in parts], axis=0).var(ddof=1)) / trainings
    variance = float(over_problems) + over_trainings
    if variance < 1e-12:
        # Not one of n problems differs. Wilson's upper bound for a share of 0 of n is z² / (n + z²): so many could.
        return 100 * Z**2 / (problems + Z**2)
    freedom = variance**2 / (
        over_problems**2 / (problems - len(parts)) + (over_trainings**2 / (trainings - 1) if trainings > 1 else 0)
    )
    return float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
