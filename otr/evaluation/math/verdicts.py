r"""Verdicts on completions of mathematical problems.

In:  a gold answer, a completion, and whether the completion was cut at its token limit.
Out: a `Verdict`: right or wrong, the answer that was read, how it was found, and why the verdict is what it is.

    gold 1/2, "... so the probability is $\boxed{0.5}$."
    Verdict(correct=True, answer="0.5", how="boxed", reason="same", scientific=False)

math-verify decides. An answer that is the gold one letter by letter or number by number is right without asking it;
no answer is wrong without asking it, except where there is none to ask about: nothing found, or a completion cut at its
limit, which counts as wrong whatever it holds (a loop may well contain a box). Verdicts depend on gold answers and
completions alone, so completions can be graded again without sampling them again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otr.evaluation.math.answers import Found, extract
from otr.evaluation.math.gold import Gold
from otr.evaluation.math.notation import is_scientific, key, normalise, split_answers
from otr.evaluation.math.pool import MEMORY, SECONDS, Reply, judge

_LONGEST_SHOWN = 500  # characters of an answer kept in its verdict


@dataclass(frozen=True)
class Verdict:
    r"""The grade of one completion.

    how: boxed, anchor, last-number, none (otr.evaluation.math.answers).
    reason: same (as the gold answer), equal or different (says math-verify), no-answer, truncated, or what stopped
    math-verify: timeout, memory, crash.
    scientific: right only because powers of ten are read as numbers (4.5e33 is 4.5 \times 10^{33}), which math-verify
    by itself and other graders don't do.
    """

    correct: bool
    answer: str
    how: str
    reason: str
    scientific: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Item:
    gold: Gold
    found: Found
    reason: str  # known without math-verify: truncated, no-answer, same; "" where it is to be asked

    @property
    def questions(self) -> list[tuple[Gold, str, bool]]:
        """What to ask math-verify: (gold, answer, whether about both texts as they stand)."""
        gold, answer = self.gold, self.found.text
        asked = [(gold, answer, False)] if not self.reason else []
        rewritten = gold.raw != answer and (is_scientific(gold.raw) or is_scientific(answer))
        if rewritten and self.reason in ("", "same"):
            asked.append((gold, answer, True))
        return asked


def grade(
    pairs: Iterable[tuple[Gold, str, bool]], workers: int = 1, seconds: float = SECONDS, memory: int = MEMORY
) -> list[Verdict]:
    """Grade (gold answer, completion, was it truncated), in order, in up to `workers` processes.

    An answer takes at most `seconds` of wall time and `memory` bytes of address space; equal questions are asked once.
    No process is started where nothing needs math-verify.
    """
    items = [_item(*pair) for pair in pairs]
    questions = list(dict.fromkeys(question for item in items for question in item.questions))
    asked = [{"gold": gold.to_dict(), "answer": answer, "raw": raw} for gold, answer, raw in questions]
    replies = dict(zip(questions, judge(asked, workers, seconds, memory), strict=True))
    return [_verdict(item, replies) for item in items]


def _item(gold: Gold, completion: str, truncated: bool) -> _Item:
    found = extract(completion)
    if truncated:
        return _Item(gold, found, "truncated")
    if found.how == "none":
        return _Item(gold, found, "no-answer")
    return _Item(gold, found, "same" if _is_same(gold, found.text) else "")


def _is_same(gold: Gold, answer: str) -> bool:
    """Whether the answer is the gold one letter by letter, or number by number, after normalisation."""
    given = split_answers(normalise(answer), thousands=len(gold.answers) == 1)
    return Counter(map(key, given)) == Counter(map(key, gold.answers))


def _verdict(item: _Item, replies: Mapping[tuple[Gold, str, bool], Reply]) -> Verdict:
    reply = replies.get((item.gold, item.found.text, False), Reply(correct=item.reason == "same"))
    as_it_stands = replies.get((item.gold, item.found.text, True), reply)
    return Verdict(
        correct=reply.correct,
        answer=item.found.text[:_LONGEST_SHOWN],
        how=item.found.how,
        reason=item.reason or reply.failed or ("equal" if reply.correct else "different"),
        scientific=reply.correct and not as_it_stands.correct,
    )
