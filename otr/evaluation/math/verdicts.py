r"""Verdicts on completions of mathematical problems.

In:  a gold answer, a completion, and whether the completion was truncated at its token limit.
Out: a `Verdict`: right or wrong, the answer that was read, how it was found, why the verdict is what it is, and what
     math-verify by itself says of it.

    gold 1/2, "... so the probability is $\boxed{0.5}$."
    Verdict(correct=True, answer="0.5", how="boxed", reason="same", math_verify=True)

math-verify decides. An answer that it accepts is right unless one of `RULES` forbids it, and one that it refuses is
right only if one of them demands it; the verdict names the rule. An answer that is the gold one letter by letter or
number by number is right without asking; no answer is wrong without asking, and so is a completion truncated at its
limit, whatever it holds (a loop may well contain a box). What cannot be decided within limits of CPU time and memory is
`undecided`. Verdicts depend on gold answers and completions alone, so completions can be graded again without sampling
them again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from otr.evaluation.math.answers import Found, extract
from otr.evaluation.math.gold import Gold
from otr.evaluation.math.notation import key, normalise, split_answers
from otr.evaluation.math.numbers import is_scientific, read_number
from otr.evaluation.math.pool import MEMORY, SECONDS, Reply, compare

RULES = {
    "notation": "the same text once both are written in one way",
    "number": "both are numbers: exact ones are compared exactly, decimals at six decimals or more",
    "exact": "both are exact, and differ by less than floats tell",
    "scientific": "a power of ten is a number: 4.5e33 is 4.5 \\times 10^{33}",
    "percent": "35% is 35 where a percentage is asked for, and 0.35",
    "unit": "a unit is no part of a number, and another unit is converted or refused",
    "degrees": "degrees are degrees, inside of functions as well",
    "tolerance": "the row says how far from its number an answer may be",
    "base": "digits in a base",
    "ratio": "2:3 is a ratio, not the number 2",
    "time": "a time of day, with its half of the day",
    "modulus": "a residue with its modulus",
    "letter": "a choice with its value is both",
    "set": "both are sets of real numbers, in any notation",
    "several answers": "every answer has its own, in any order",
    "count": "not as many answers as there are gold ones",
    "curve": "the equation of a curve is no number",
    "names": "a letter is no unit: 6m is not 6",
    "product": "numbers in brackets are multiplied: 4(5) is 20, not 9",
    "words": "words that make another value of a number: or more, million, is wrong",
    "part": "a part of an answer is not the answer",
    "passage": "the sentence holds the number, but as something else than its answer",
}
"""Why a verdict may differ from math-verify's own, by name."""

_LONGEST_SHOWN = 500  # characters of an answer kept in its verdict
LONGEST_ANSWER = 4000  # characters; golds have at most some hundred, and a longer box is a loop


@dataclass(frozen=True)
class Verdict:
    r"""The grade of one completion.

    how: boxed, anchor, last-number, none (otr.evaluation.math.answers).
    reason: same (as the gold answer), equal or different (says math-verify, or the rule), no-answer, too-long (over
    4,000 characters), truncated, or what stopped the comparison: timeout, memory, crash.
    math_verify: whether math-verify by itself accepts the answer; None where it was not asked or did not end.
    rule: the one of RULES that decided where `correct` is not `math_verify`, "" where they agree.
    undecided: neither comparison ended; counted as wrong, and as a bound of the score.
    """

    correct: bool
    answer: str
    how: str
    reason: str
    math_verify: bool | None = None
    rule: str = ""
    undecided: bool = False

    @property
    def scientific(self) -> bool:
        r"""Right only because powers of ten are read as numbers, which math-verify and other graders don't do."""
        return self.rule == "scientific"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class _Item:
    gold: Gold
    found: Found
    reason: str  # known without asking: truncated, no-answer, same; "" where it is to be asked

    @property
    def passage(self) -> str:
        """What math-verify by itself is handed: the answer in a box, or the sentence it stood in."""
        return self.found.passage or ", ".join(rf"\boxed{{{part}}}" for part in self.found.text.split("; "))

    @property
    def questions(self) -> list[tuple[str, Gold, str]]:
        asked = [("equal", self.gold, self.found.text)] if not self.reason else []
        if self.reason in ("", "same") and _known_to_plain(self.gold, self.found) is None:
            asked.append(("plain", self.gold, self.passage))
        return asked


def grade(
    pairs: Iterable[tuple[Gold, str, bool]], workers: int = 1, seconds: float = SECONDS, memory: int = MEMORY
) -> list[Verdict]:
    """Grade (gold answer, completion, was it truncated), in order, in up to `workers` processes.

    An answer takes at most `seconds` of CPU time (twice as many at the second try) and `memory` bytes of address space;
    equal questions are asked once. No process is started where nothing needs math-verify.
    """
    items = [_item(*pair) for pair in pairs]
    questions = list(dict.fromkeys(question for item in items for question in item.questions))
    asked = [{"ask": ask, "gold": gold.to_dict(), "answer": answer} for ask, gold, answer in questions]
    replies = dict(zip(questions, compare(asked, workers, seconds, memory), strict=True))
    return [_verdict(item, replies) for item in items]


def unread_golds(golds: Iterable[Gold], workers: int = 1) -> list[int]:
    """The places of the gold answers that cannot be read to their end: only their own text is accepted for them."""
    doubtful = [(n, gold) for n, gold in enumerate(golds) if not all(map(read_number, gold.answers))]
    asked = [{"ask": "whole", "gold": gold.to_dict(), "answer": ""} for _, gold in doubtful]
    return [n for (n, _), reply in zip(doubtful, compare(asked, workers), strict=True) if not reply.yes]


def _item(gold: Gold, completion: str, truncated: bool) -> _Item:
    found = extract(completion)
    if truncated:
        return _Item(gold, found, "truncated")
    if found.how == "none":
        return _Item(gold, found, "no-answer")
    if len(found.text) > LONGEST_ANSWER:
        return _Item(gold, found, "too-long")
    return _Item(gold, found, "same" if _is_same(gold, found.text) else "")


def _is_same(gold: Gold, answer: str) -> bool:
    """Whether the answer is the gold one letter by letter, or number by number, after normalisation."""
    if answer == gold.raw:
        return True
    given = split_answers(normalise(answer), thousands=len(gold.answers) == 1)
    return len(given) == len(gold.answers) and Counter(map(key, given)) == Counter(map(key, gold.answers))


_WHOLE_NUMBER = re.compile(r"-?[1-9]\d{0,14}|0")


def _known_to_plain(gold: Gold, found: Found) -> bool | None:
    """What math-verify says of two whole numbers, as it need not be asked; None for anything else."""
    if found.passage or not _WHOLE_NUMBER.fullmatch(found.text) or not _WHOLE_NUMBER.fullmatch(gold.raw):
        return None
    return found.text == gold.raw


def _verdict(item: _Item, replies: Mapping[tuple[str, Gold, str], Reply]) -> Verdict:
    shown, how = item.found.text[:_LONGEST_SHOWN], item.found.how
    if item.reason in ("truncated", "no-answer", "too-long"):
        return Verdict(False, shown, how, item.reason)
    ours = Reply(True, "notation") if item.reason else replies["equal", item.gold, item.found.text]
    known = _known_to_plain(item.gold, item.found)
    plain = replies["plain", item.gold, item.passage] if known is None else Reply(known)
    says_plain = None if plain.failed else plain.yes
    correct, rule = _decide(item, ours, plain)
    undecided = bool(ours.failed) and not correct
    reason = item.reason or (ours.failed if undecided else "equal" if correct else "different")
    return Verdict(correct, shown, how, reason, says_plain, rule, undecided)


def _decide(item: _Item, ours: Reply, plain: Reply) -> tuple[bool, str]:
    """Whether an answer is right, and the rule that decided where math-verify by itself says otherwise."""
    accepted = plain.yes and not plain.failed
    if ours.failed:
        return (accepted and plain.rule != "part"), ""
    if ours.yes == accepted:
        return accepted, ""
    if ours.yes:
        scientific = is_scientific(item.gold.raw) or is_scientific(item.found.text)
        return True, "scientific" if scientific else ours.rule or "notation"
    if ours.rule:
        return False, ours.rule
    if plain.rule == "part":
        return False, "passage" if item.found.passage else "part"
    return True, ""  # no rule forbids what math-verify accepts
