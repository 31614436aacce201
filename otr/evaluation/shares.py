"""Figures that follow from which completions are right alone, whatever graded them.

2 problems, k = 2, verdicts right, wrong / right, right:

    {"problems": 2, "k": 2, "mean_at_k": 75.0, "mean_at_k_rounded": 75.0, "standard_error": 25.0, ...}

Figures are percentages of completions unless said otherwise; c_i of the k completions of problem i are right, p_i is
c_i / k, n the number of problems:

    mean_at_k             100 mean_i p_i, exact
    mean_at_k_rounded     the mean over samples j of the accuracy of sample j over all problems, each first rounded to
                          one decimal: how the paper's numbers were made; at most 0.05 from mean_at_k
    standard_error        100 sqrt(sum_i (p_i - mean)^2 / (n (n - 1))), clustered by problem: it holds the spread of the
                          problems and of their samples both; null for one problem
    sampling_error        100 sqrt(sum_i p_i (1 - p_i) / (k - 1)) / n: of the samples alone, on these very problems;
                          null for k = 1
    pass_at               {j: 100 mean_i (1 - C(k - c_i, j) / C(k, j))} for j = 1, 2, 4 ... and k, unbiased (Chen et al.
                          2021, equation 1)
    interval              95 % of mean_at_k, in percent: Wilson's, with as many completions as would have this
                          standard_error if they were independent (otr.evaluation.intervals), so none of n has one too
"""

import math
from collections.abc import Sequence
from typing import TypedDict

from otr.evaluation.intervals import clustered


class Shares(TypedDict):
    """As described at the top of this file; `correct` counts completions."""

    problems: int
    k: int
    correct: int
    mean_at_k: float
    mean_at_k_rounded: float
    standard_error: float | None
    interval: list[float]
    sampling_error: float | None
    pass_at: dict[str, float]


def right_shares(right: Sequence[Sequence[bool]]) -> Shares:
    """right: a row a problem, k values each.

    ValueError when there is no problem, or rows are not equally long.
    """
    k = len(right[0]) if right else 0
    check_lengths(right, k, "verdicts")
    counts = [sum(row) for row in right]
    error = _standard_error(counts, k)
    share = sum(counts) / (k * len(counts))
    return {
        "problems": len(counts),
        "k": k,
        "correct": sum(counts),
        "mean_at_k": percent(sum(counts), k * len(counts)),
        "mean_at_k_rounded": _rounded_mean(right, k),
        "standard_error": error,
        "interval": list(clustered(share, None if error is None else error / 100, len(counts), k * len(counts))),
        "sampling_error": _sampling_error(counts, k),
        "pass_at": {str(j): _pass_at(counts, k, j) for j in _sizes(k)},
    }


def check_lengths(by_problem: Sequence[Sequence[object]], k: int, name: str) -> None:
    if k < 1 or not by_problem:
        raise ValueError(f"a score needs a problem and k of at least 1, found {len(by_problem)} problems and k = {k}")
    for number, items in enumerate(by_problem):
        if len(items) != k:
            raise ValueError(f"problem {number} has {len(items)} {name}, k is {k}")


def percent(count: int, total: int) -> float:
    return 100 * count / total


def _rounded_mean(right: Sequence[Sequence[bool]], k: int) -> float:
    # round(x * 100, 1) of the share x in float, as the scripts that made the published numbers do it
    return sum(round(sum(row[j] for row in right) / len(right) * 100, 1) for j in range(k)) / k


def _standard_error(counts: list[int], k: int) -> float | None:
    n = len(counts)
    if n < 2:
        return None
    mean = sum(counts) / (n * k)
    return 100 * math.sqrt(sum((count / k - mean) ** 2 for count in counts) / (n * (n - 1)))


def _sampling_error(counts: list[int], k: int) -> float | None:
    if k < 2:
        return None
    return 100 * math.sqrt(sum(count / k * (1 - count / k) for count in counts) / (k - 1)) / len(counts)


def _sizes(k: int) -> list[int]:
    powers = [1 << exponent for exponent in range(k.bit_length())]
    return sorted({*powers, k})


def _pass_at(counts: list[int], k: int, j: int) -> float:
    draws = math.comb(k, j)
    return 100 * sum(1 - math.comb(k - count, j) / draws for count in counts) / len(counts)
