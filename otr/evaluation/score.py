"""The score of a sampled benchmark.

In:  for every problem its k verdicts (otr.evaluation.math.verdicts), in the order of the samples, and their lengths in
     tokens.
Out: one JSON-able dict.   2 problems, k = 2, verdicts right, wrong / right, right:

    {"problems": 2, "k": 2, "mean_at_k": 75.0, "mean_at_k_rounded": 75.0, "standard_error": 25.0, ...}

Figures are percentages of completions unless said otherwise; c_i of the k completions of problem i are right, p_i is
c_i / k, n the number of problems:

    mean_at_k             100 mean_i p_i, exact
    mean_at_k_rounded     the mean over samples j of the accuracy of sample j over all problems, each first rounded to
                          one decimal: how the paper's numbers were made; at most 0.05 from mean_at_k
    mean_at_k_as_written  mean_at_k where powers of ten are not read as numbers (Verdict.scientific counts as wrong)
    standard_error        100 sqrt(sum_i (p_i - mean)^2 / (n (n - 1))), clustered by problem: it holds the spread of the
                          problems and of their samples both; null for one problem
    sampling_error        100 sqrt(sum_i p_i (1 - p_i) / (k - 1)) / n: of the samples alone, on these very problems;
                          null for k = 1
    pass_at               {j: 100 mean_i (1 - C(k - c_i, j) / C(k, j))} for j = 1, 2, 4 ... and k, unbiased (Chen et al.
                          2021, equation 1)
    maj_at_k              the share of problems whose most frequent answer is right: answers are the same when their
                          `notation.key` is, the first seen wins a tie, and completions without an answer or cut at
                          their limit have no vote
    truncated, no_answer  shares cut at the token limit, and without an answer
    interval              95 % of mean_at_k, in percent: Wilson's, with as many completions as would have this
                          standard_error if they were independent (otr.evaluation.intervals), so none of n has one too
    undecided             the share that could not be decided within limits of time and memory (counted as wrong)
    bounds                mean_at_k with every undecided one wrong, and with every one right
    math_verify           the share that math-verify by itself accepts, truncated ones and those without an answer apart
    differences           {rule: {"accepted": n, "refused": n}}: completions whose verdict is not math-verify's own
    how                   shares by how the answer was found
    mean_tokens           tokens of a completion, a mean
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from otr.evaluation.intervals import clustered
from otr.evaluation.math.notation import key
from otr.evaluation.math.verdicts import Verdict

_HOW = ("boxed", "anchor", "last-number", "none")


def score(
    verdicts_by_problem: Sequence[Sequence[Verdict]], k: int, tokens_by_problem: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """The figures described at the top of this file, unrounded.

    ValueError when there is no problem, or one that does not have exactly k verdicts and k lengths.
    """
    _check(verdicts_by_problem, k, "verdicts")
    _check(tokens_by_problem, k, "lengths")
    if len(verdicts_by_problem) != len(tokens_by_problem):
        raise ValueError(f"{len(verdicts_by_problem)} problems have verdicts, {len(tokens_by_problem)} have lengths")
    every = [verdict for verdicts in verdicts_by_problem for verdict in verdicts]
    tokens = [length for lengths in tokens_by_problem for length in lengths]
    how = Counter(verdict.how for verdict in every)
    right = right_shares([[verdict.correct for verdict in verdicts] for verdicts in verdicts_by_problem])
    return {
        **right,
        "mean_at_k_as_written": _percent(sum(v.correct and not v.scientific for v in every), len(every)),
        "maj_at_k": _percent(sum(_majority_is_right(verdicts) for verdicts in verdicts_by_problem), right["problems"]),
        "truncated": _percent(sum(v.reason == "truncated" for v in every), len(every)),
        "no_answer": _percent(how["none"], len(every)),
        "undecided": _percent(sum(v.undecided for v in every), len(every)),
        "bounds": [right["mean_at_k"], _percent(sum(v.correct or v.undecided for v in every), len(every))],
        "math_verify": _percent(sum(bool(v.math_verify) for v in every), len(every)),
        "differences": differences(every),
        "how": {name: _percent(how[name], len(every)) for name in _HOW},
        "mean_tokens": sum(tokens) / len(tokens),
    }


def differences(verdicts: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """How many completions each rule accepted or refused against math-verify by itself."""
    found: dict[str, dict[str, int]] = {}
    for verdict in verdicts:
        if verdict.rule:
            counts = found.setdefault(verdict.rule, {"accepted": 0, "refused": 0})
            counts["accepted" if verdict.correct else "refused"] += 1
    return dict(sorted(found.items()))


def right_shares(right: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """The figures that follow from which completions are right alone, whatever judged them: problems, k, correct,
    mean_at_k, mean_at_k_rounded, standard_error, interval, sampling_error and pass_at.
    right: a row a problem, k values each.

    ValueError when there is no problem, or rows are not equally long.
    """
    k = len(right[0]) if right else 0
    _check(right, k, "verdicts")
    counts = [sum(row) for row in right]
    error = _standard_error(counts, k)
    share = sum(counts) / (k * len(counts))
    return {
        "problems": len(counts),
        "k": k,
        "correct": sum(counts),
        "mean_at_k": _percent(sum(counts), k * len(counts)),
        "mean_at_k_rounded": _rounded_mean(right, k),
        "standard_error": error,
        "interval": list(clustered(share, None if error is None else error / 100, len(counts), k * len(counts))),
        "sampling_error": _sampling_error(counts, k),
        "pass_at": {str(j): _pass_at(counts, k, j) for j in _sizes(k)},
    }


def _check(by_problem: Sequence[Sequence[Any]], k: int, name: str) -> None:
    if k < 1 or not by_problem:
        raise ValueError(f"a score needs a problem and k of at least 1, found {len(by_problem)} problems and k = {k}")
    for number, items in enumerate(by_problem):
        if len(items) != k:
            raise ValueError(f"problem {number} has {len(items)} {name}, k is {k}")


def _percent(count: int, total: int) -> float:
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


def _majority_is_right(verdicts: Sequence[Verdict]) -> bool:
    votes: dict[str, list[bool]] = {}
    for verdict in verdicts:
        if verdict.how != "none" and verdict.reason != "truncated":
            votes.setdefault(key(verdict.answer), []).append(verdict.correct)
    # The verdict on an answer is that on its first copy; max() keeps the first of equals.
    return bool(votes) and max(votes.values(), key=len)[0]
