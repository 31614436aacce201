"""The figures of a mathematics benchmark, from its verdicts.

In:  for every problem its k verdicts (otr.evaluation.math.verdicts), in the order of the samples, and their lengths in
     tokens.
Out: one JSON-able dict: the shares of right ones (otr.evaluation.shares) and

    mean_at_k_as_written  mean_at_k where powers of ten are not read as numbers (Verdict.scientific counts as wrong)
    maj_at_k              the share of problems whose most frequent answer is right: answers are the same when their
                          `notation.key` is, the first seen wins a tie, and completions without an answer or cut at
                          their limit have no vote
    truncated, no_answer  shares cut at the token limit, and without an answer
    undecided             the share that could not be decided within limits of time and memory (counted as wrong)
    bounds                mean_at_k with every undecided one wrong, and with every one right
    math_verify           the share that math-verify by itself accepts, truncated ones and those without an answer apart
    differences           {rule: {"accepted": n, "refused": n}}: completions whose verdict is not math-verify's own
    how                   shares by how the answer was found
    mean_tokens           tokens of a completion, a mean

Percentages of completions unless said otherwise.
"""

from collections import Counter
from collections.abc import Sequence

from otr.evaluation.math.notation import key
from otr.evaluation.math.verdicts import Verdict
from otr.evaluation.shares import Shares, check_lengths, percent, right_shares

_HOW = ("boxed", "anchor", "last-number", "none")


class Figures(Shares):
    mean_at_k_as_written: float
    maj_at_k: float
    truncated: float
    no_answer: float
    undecided: float
    bounds: list[float]
    math_verify: float
    differences: dict[str, dict[str, int]]
    how: dict[str, float]
    mean_tokens: float


def score(
    verdicts_by_problem: Sequence[Sequence[Verdict]], k: int, tokens_by_problem: Sequence[Sequence[int]]
) -> Figures:
    """The figures described at the top of this file, unrounded.

    ValueError when there is no problem, or one that does not have exactly k verdicts and k lengths.
    """
    check_lengths(verdicts_by_problem, k, "verdicts")
    check_lengths(tokens_by_problem, k, "lengths")
    if len(verdicts_by_problem) != len(tokens_by_problem):
        raise ValueError(f"{len(verdicts_by_problem)} problems have verdicts, {len(tokens_by_problem)} have lengths")
    every = [verdict for verdicts in verdicts_by_problem for verdict in verdicts]
    tokens = [length for lengths in tokens_by_problem for length in lengths]
    how = Counter(verdict.how for verdict in every)
    right = right_shares([[verdict.correct for verdict in verdicts] for verdicts in verdicts_by_problem])
    return {
        **right,
        "mean_at_k_as_written": percent(sum(v.correct and not v.scientific for v in every), len(every)),
        "maj_at_k": percent(sum(_majority_is_right(verdicts) for verdicts in verdicts_by_problem), right["problems"]),
        "truncated": percent(sum(v.reason == "truncated" for v in every), len(every)),
        "no_answer": percent(how["none"], len(every)),
        "undecided": percent(sum(v.undecided for v in every), len(every)),
        "bounds": [right["mean_at_k"], percent(sum(v.correct or v.undecided for v in every), len(every))],
        "math_verify": percent(sum(bool(v.math_verify) for v in every), len(every)),
        "differences": differences(every),
        "how": {name: percent(how[name], len(every)) for name in _HOW},
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


def _majority_is_right(verdicts: Sequence[Verdict]) -> bool:
    votes: dict[str, list[bool]] = {}
    for verdict in verdicts:
        if verdict.how != "none" and verdict.reason != "truncated":
            votes.setdefault(key(verdict.answer), []).append(verdict.correct)
    # The verdict on an answer is that on its first copy; max() keeps the first of equals.
    return bool(votes) and max(votes.values(), key=len)[0]
