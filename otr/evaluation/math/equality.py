r"""Whether an answer equals the gold one, as math-verify sees it: a process that otr.evaluation.math.pool runs.

In:  one JSON line a question on stdin.  {"gold": {"answers": ["0.5"], ...}, "answer": "\\frac{3}{6}", "raw": false}
Out: one JSON line an answer on stdout.  {"correct": true, "memory": false}    memory: it took more than half the limit

Equality is math-verify's. What is ours is what it is handed: powers of ten, percent signs, units and digits in a base
written so that it reads them, numbers as SymPy numbers, several answers one by one. With "raw" it is handed both texts
as they stand.

The kernel ends the process when a question takes too long (SIGALRM, never caught) and refuses it memory beyond its
limit, so neither a loop in C nor a parent that died leaves it running. The pool puts a fresh one in its place.
"""

import argparse
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import NormalizationConfig
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from otr.evaluation.math.gold import Gold
from otr.evaluation.math.notation import (
    Number,
    key,
    normalise,
    read_based,
    read_number,
    spell_powers,
    spell_products,
    split_answers,
    split_percent,
    split_unit,
    unit_ratio,
)
from otr.machine import memory

# Units are ours to strip: math-verify's own rule takes the m of 6m for metres.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
)
_EXTRACTION = [
    LatexExtractionConfig(boxed_match_priority=0, normalization_config=_NORMALIZATION),
    ExprExtractionConfig(),
]
_ROUNDING = 6  # decimals at which math-verify compares floats
_SMALL = Fraction(1, 1000)  # below it, six decimals are too few to tell values apart


def is_correct(gold: Gold, answer: str) -> bool:
    """Whether `answer`, as a model wrote it, gives the gold answers: all of them, no others, in any order."""
    text = normalise(answer)
    given = split_answers(text, thousands=len(gold.answers) == 1)
    if len(set(gold.answers)) == len(gold.answers):
        given = list({key(item): item for item in given}.values())
    if len(given) == len(gold.answers) and _all_paired(gold, given):
        return True
    # math-verify's own reading of the whole: 1 \pm \sqrt{19}, sets, intervals, a tuple without its brackets.
    return (len(given) > 1 or len(gold.answers) > 1) and _equal(_spelt(", ".join(gold.answers)), _spelt(text))


def is_correct_raw(gold: Gold, answer: str) -> bool:
    """What math-verify says of the two texts as they stand."""
    return _equal(_parse(gold.raw), _parse(answer))


def _all_paired(gold: Gold, given: list[str]) -> bool:
    """Whether every gold answer equals a given one of its own."""
    free = list(given)
    for answer in gold.answers:
        equal = next((item for item in free if _same(gold, answer, item)), None)
        if equal is None:
            return False
        free.remove(equal)
    return True


def _same(gold: Gold, answer: str, given: str) -> bool:
    """Whether the single answer `given` equals the single gold answer `answer`, percent signs and units considered."""
    answer, gold_percent = split_percent(answer)
    number = read_number(answer)
    given, unit = split_unit(given, loose=number is not None)
    given, given_percent = split_percent(given)
    ratio = unit_ratio(unit, gold.unit) if gold.unit and unit else None
    if gold.tolerance is not None:
        return _within(answer, given, gold.tolerance)
    if gold_percent != given_percent and _same_proportion(answer, given, gold_percent):
        return True
    if given_percent and not gold_percent and number is not None and abs(number.value) < 1:
        return False  # 0.35% is not 0.35; but where 35 is asked for in percent, 35% is 35
    if ratio is not None and ratio != 1:
        return _in_units(answer, given, ratio)
    return _equal_texts(answer, given)


def _same_proportion(answer: str, given: str, gold_percent: bool) -> bool:
    """Whether the one with the percent sign is a hundredth of its number in the other."""
    if gold_percent:
        return _equal(_hundredth(_handed(answer)), _handed(given))
    return _equal(_handed(answer), _hundredth(_handed(given)))


def _hundredth(parsed: list[Any]) -> list[Any]:
    return [item / 100 for item in parsed if isinstance(item, sympy.Expr)]


def _in_units(answer: str, given: str, ratio: Fraction) -> bool:
    """0.75 hours against 45 minutes (ratio 60); a ratio of 0 is a length against a time, equal to nothing."""
    factor = sympy.Rational(ratio.numerator, ratio.denominator) if ratio else sympy.Dummy("other_unit")
    return _equal(_handed(answer), [item * factor for item in _handed(given) if isinstance(item, sympy.Expr)])


def _equal_texts(answer: str, given: str) -> bool:
    in_base, given_in_base = read_based(answer), read_based(given)
    if in_base is not None and given_in_base is not None:  # math-verify drops the base: 52_8 would equal 52_9
        return _equal([sympy.Integer(in_base)], [sympy.Integer(given_in_base)])
    numbers = [number for number in (read_number(answer), read_number(given)) if number]
    return _equal(_handed(answer), _handed(given), _rounding(numbers))


def _rounding(numbers: list[Number]) -> int:
    """Decimals to compare at: math-verify's six, and as many more as a small number has zeros, so that 1e-8 and 2e-8
    do not both round to 0."""
    smallest = min((abs(number.value) for number in numbers if number.value), default=Fraction(1))
    zeros = len(str(smallest.denominator // smallest.numerator)) - 1 if smallest < _SMALL else 0
    return _ROUNDING + zeros


def _within(answer: str, given: str, tolerance: float) -> bool:
    """Whether two numbers are at most `tolerance` apart (and a rounding error)."""
    value, other = _value(_handed(answer)), _value(_handed(given))
    return value is not None and other is not None and abs(value - other) <= tolerance * (1 + 1e-9)


def _value(parsed: list[Any]) -> float | None:
    """The real value of an expression, or of the right-hand side of `x = ...`."""
    item = parsed[0] if parsed else None
    item = item.rhs if isinstance(item, sympy.Eq) else item
    value = sympy.N(item.doit()) if isinstance(item, sympy.Expr) else None
    return float(value) if value is not None and value.is_number and value.is_real else None


def _handed(text: str) -> list[Any]:
    """A single answer as math-verify's `verify` takes it."""
    number = read_number(text)
    return _spelt(text) if number is None else [_sympy_number(text, number)]


def _spelt(text: str) -> list[Any]:
    """math-verify's reading of `text`, its powers of ten and products written so that it reads them."""
    return _parse(spell_products(spell_powers(text)))


def _sympy_number(text: str, number: Number) -> sympy.Number:
    if number.decimal and number.value.denominator != 1:
        digits = str(number.value.denominator // abs(number.value.numerator or 1))
        value = sympy.Rational(number.value.numerator, number.value.denominator)
        return sympy.Float(value, max(15, len(text), len(digits)))
    return sympy.Rational(number.value.numerator, number.value.denominator)


@lru_cache(maxsize=4096)
def _parse(text: str) -> list[Any]:
    r"""math-verify's reading of `text`. The box makes it read all of it: bare LaTeX loses every tenth MATH-500 gold."""
    parsed: list[Any] = parse(rf"\boxed{{{text}}}", _EXTRACTION, parsing_timeout=None, raise_on_error=True)
    return parsed


def _equal(gold: list[Any], given: list[Any], rounding: int = _ROUNDING) -> bool:
    return bool(verify(gold, given, float_rounding=rounding, allow_set_relation_comp=True, timeout_seconds=None))


def reply(line: bytes) -> bool:
    """The answer to one question. What math-verify and SymPy raise on texts that are no mathematics is a "no"."""
    question = json.loads(line)
    decide: Callable[[Gold, str], bool] = is_correct_raw if question["raw"] else is_correct
    try:
        return decide(Gold.from_dict(question["gold"]), question["answer"])
    except Exception:
        return False


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m otr.evaluation.math.equality")
    options.add_argument("--seconds", type=float, required=True, help="wall time of a question")
    options.add_argument("--memory", type=int, required=True, help="address space, in bytes")
    limits = options.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    _equal(_parse(r"\frac{1}{2}"), _parse("x+1"))  # builds math-verify's tables before the clock of a question runs
    # Replies go to a descriptor of their own: nothing that a library prints can be taken for one.
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    replies.write(b"{}\n")
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        correct = reply(line)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # A process that has grown large ends here, or its next questions would find no memory left.
        large = memory.peak() > limits.memory // 2
        replies.write(json.dumps({"correct": correct, "memory": large}).encode() + b"\n")
        if large:
            return


if __name__ == "__main__":
    main()
