r"""Whether an answer equals the gold one: a process that otr.evaluation.math.pool runs.

In:  one JSON line a question on stdin.  {"ask": "equal", "gold": {"answers": ["0.5"], ...}, "answer": "\\frac{3}{6}"}
Out: one JSON line an answer on stdout.  {"yes": true, "rule": "number", "memory": false}

    equal    whether the answer is right by the rules of `decide`, and the rule that decided ("" where it was
             math-verify's comparison of the two, both read whole)
    plain    what math-verify says by itself of the gold answer and `passage`; rule "part" where it read only a part
    whole    whether every gold answer can be read to its end

Equality of what both sides are is math-verify's. What is ours is that both are read to their end, what they are read as
(units, sets, times, several answers one by one), and arithmetic where both are exact numbers.

The kernel ends the process when a question takes too much CPU time (SIGPROF) or, on a machine that stands still, wall
time (SIGALRM), and refuses it memory beyond its limit, so neither a loop in C nor a parent that died leaves it running.
The pool puts a fresh one in its place. memory: it took more than half the limit.
"""

import argparse
import json
import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy
from latex2sympy2_extended import is_expr_of_only_symbols
from math_verify import parse, verify

from otr.evaluation.math.gold import Gold
from otr.evaluation.math.notation import key, normalise, split_answers, split_modulus, without_condition
from otr.evaluation.math.numbers import Based, Number, is_digits, read_based, read_number, spell_products, split_percent
from otr.evaluation.math.reading import plain_reads_whole, whole
from otr.evaluation.math.sets import is_set, read_set, same_set
from otr.evaluation.math.units import NO_UNIT, Unit, is_qualified, ratio, split_unit, unit
from otr.machine import memory

_ROUNDING = 6  # decimals at which math-verify compares floats
_SMALL = Fraction(1, 1000)  # below it, six decimals are too few to tell values apart


@dataclass(frozen=True)
class Decision:
    """Whether two answers are the same, and the rule that decided (otr.evaluation.math.verdicts.RULES)."""

    equal: bool
    rule: str = ""


_AND_FRACTION = re.compile(r"^([+-]?\d+) and (\d+/\d+)")  # 4 and 1/2


def decide(gold: Gold, answer: str) -> Decision:
    """Whether `answer`, as a model wrote it, gives the gold answers: all of them, no others, in any order."""
    text = normalise(answer)
    if len(gold.answers) == 1:
        text = _AND_FRACTION.sub(r"\1 \2", text)
    if (found := _as_sets(gold, text)) is not None:
        return found
    given = split_answers(text, thousands=len(gold.answers) == 1)
    if len(set(gold.answers)) == len(gold.answers):
        given = list({key(item): item for item in given}.values())
    if len(given) == len(gold.answers):
        paired = _paired(gold, given)
        if paired.equal or len(given) == 1:
            return paired
    else:
        paired = Decision(False, "count" if all(map(read_number, given)) else "")
    # math-verify's own reading of the whole: 1 \pm \sqrt{19}, sets, intervals, a tuple without its brackets.
    one, other = whole(", ".join(gold.answers)), whole(text.replace(";", ","))
    if one is not None and other is not None and _verify(one, other):
        return Decision(True, "several answers")
    return paired


def says_plain(gold: Gold, passage: str) -> Decision:
    """What math-verify, as it comes, says of the gold answer and the words that the model's answer stood in."""
    in_box = rf"\boxed{{{gold.raw}}}"
    equal = bool(
        verify(
            parse(in_box, parsing_timeout=None),
            parse(passage, parsing_timeout=None),
            timeout_seconds=None,
        )
    )
    if not equal:
        return Decision(False)
    is_box = passage.startswith(r"\boxed{")
    return Decision(True, "" if is_box and plain_reads_whole(in_box) and plain_reads_whole(passage) else "part")


def is_whole(gold: Gold) -> bool:
    """Whether every gold answer can be read to its end, as a number, words, a set or an expression."""
    return all(_is_readable(answer) for answer in gold.answers)


def _is_readable(answer: str) -> bool:
    answer = split_percent(answer)[0]
    if read_number(answer) or read_based(answer) or _clock(answer) or whole(answer) is not None:
        return True
    return bool(re.fullmatch(r"(?:\\text\w*\{[^{}]*\}|[A-Za-z ,.'()-])+", answer)) or read_set(answer) is not None


# --- sets


def _as_sets(gold: Gold, text: str) -> Decision | None:
    """Whether the two are the same set of reals, where at least one of them can be nothing but a set."""
    wanted = normalise(gold.raw) if gold.raw else ", ".join(gold.answers)
    if gold.tolerances or not (is_set(wanted) or is_set(text)):
        return None
    if key(wanted) == key(text):
        return Decision(True, "set")
    one, other = read_set(without_condition(wanted)), read_set(without_condition(text))
    if one is None or other is None:
        return None
    if isinstance(one, sympy.FiniteSet) and isinstance(other, sympy.FiniteSet):
        return None  # several answers: each by itself, with its rounding
    same = same_set(one, other)
    return None if same is None else Decision(same, "set")


# --- one answer with one


def _paired(gold: Gold, given: list[str]) -> Decision:
    """Whether every gold answer equals a given one of its own."""
    free = list(given)
    rules: list[str] = []
    for number, answer in enumerate(gold.answers):
        tolerance = gold.tolerance(number)
        decisions = [_same(answer, gold.unit(number), tolerance, item) for item in free]
        place = next((place for place, decision in enumerate(decisions) if decision.equal), None)
        if place is None:
            refused = {decision.rule for decision in decisions}
            return Decision(False, "" if "" in refused else decisions[0].rule)
        rules.append(decisions[place].rule)
        del free[place]
    return Decision(True, next(filter(None, rules), "several answers" if len(given) > 1 else ""))


def _same(answer: str, gold_unit: str, tolerance: float | None, given: str) -> Decision:
    """Whether the single answer `given` is the single gold answer `answer`: the first rule that knows decides."""
    if (found := _letters(answer, given)) is not None:
        return found
    given = _letter_and_value(given)[1]
    if (found := _clocks(answer, given)) is not None:
        return found
    if (found := _moduli(answer, gold_unit, tolerance, given)) is not None:
        return found
    return _quantities(answer, unit(gold_unit), tolerance, given)


# `\text{(B) } 12`, `C. 7`, but not `B 12`
_LETTER = re.compile(
    r"(?:\\text\w*|\\math\w*)?\{? ?(?:\((?P<round>[A-Z])\)|(?P<bare>[A-Z])(?=[.):]))[.):]? ?\}?[ :.)}]*(?P<value>.*)"
)


def _letter_and_value(text: str) -> tuple[str, str]:
    r"""The letter of a choice and the value behind it: ("C", "27") for `\textbf{(C)} 27`; ("", text) without one."""
    match = _LETTER.fullmatch(text)
    value = match["value"].strip() if match else ""
    signs = "*/^_=<>,;)]}" if text.startswith("\\") else "+-*/^_=<>,;)]}"  # \textbf{(A)} -12, but not (A) - 12
    if match is None or not value or value[0] in signs or value.startswith((r"\le", r"\ge", r"\cup")):
        return "", text
    return match["round"] or match["bare"], value


def _letters(answer: str, given: str) -> Decision | None:
    """A choice with its value is the letter where a letter is asked for, the value elsewhere."""
    letter, value = _letter_and_value(given)
    gold_letter, gold_value = _letter_and_value(answer)
    wanted = re.fullmatch(r"(?:\\text\w*\{|\\math\w*\{)? ?\(?([A-Z])\)? ?\}?", answer)
    if wanted and letter:
        return Decision(wanted[1] == letter, "letter")
    if gold_letter:
        bare = re.fullmatch(r"(?:\\text\w*\{|\\math\w*\{)? ?\(?([A-Z])\)?[.:]? ?\}?", given)
        if bare or letter:
            return Decision((bare[1] if bare else letter) == gold_letter, "letter")
        return replace(_same(gold_value, "", None, given), rule="letter")
    if letter:
        return replace(_same(answer, "", None, value), rule="letter")
    return None


# `\text{noon}`, `\mathrm{pm}`, but not `\mathbb{R}`
_UPRIGHT = re.compile(r"\\(?:text\w*|mathrm|mbox)\s?\{([^{}]*)\}")
# `3:45p.m.`, `2:3`, `11am`, but not `345`
_CLOCK = re.compile(
    r"(?P<parts>\d+(?:\.\d+)?(?::\d+(?:\.\d+)?)+)(?P<half>[ap]\.?m\.?)?|(?P<hour>\d{1,2})(?P<half_of_hour>[ap]\.?m\.?)"
)
_TO = re.compile(r"(?<=\d)to(?=\d)")  # 3 to 4
# `3:45`, `12:30:05`, but not `2:3`
_TIME = re.compile(r"\d{1,2}:[0-5]\d(?::[0-5]\d)?")


def _clock(text: str) -> tuple[str, str] | None:
    """("3:45", "p") for 3:45 p.m., ("2:3", "") for a ratio; None for anything else."""
    plain = _TO.sub(":", _UPRIGHT.sub(r"\1", text).replace(" ", "").casefold())
    match = _CLOCK.fullmatch(plain)
    if match is None:
        return None
    half = match["half"] or match["half_of_hour"] or ""
    return match["parts"] or f"{match['hour']}:00", half[:1]


def _clocks(answer: str, given: str) -> Decision | None:
    """Times of day and ratios: 3:45 p.m. is 15:45, 2:3 is 4:6, and neither is its first number."""
    one, other = _clock(answer), _clock(given)
    if one is None and other is None:
        return None
    if one is None or other is None:
        terms = (one or other or ("", ""))[0].split(":")
        number = read_number(given if other is None else answer)
        if number is None or len(terms) != 2 or not Fraction(terms[1]):
            return None if number is None else Decision(False, "ratio")
        return Decision(number.value == Fraction(terms[0]) / Fraction(terms[1]), "ratio")
    (parts, half), (given_parts, given_half) = one, other
    if half or given_half:
        return Decision(_minutes(parts, half, given_half) == _minutes(given_parts, given_half, half), "time")
    values, given_values = ([Fraction(part) for part in found.split(":")] for found in (parts, given_parts))
    if values == given_values:
        return Decision(True, "ratio")
    if len(values) != len(given_values) or (_TIME.fullmatch(parts) and _TIME.fullmatch(given_parts)):
        return Decision(False, "ratio")
    proportional = all(
        one * given_values[0] == other * values[0] for one, other in zip(values, given_values, strict=True)
    )
    return Decision(proportional, "ratio")


def _minutes(parts: str, half: str, other_half: str) -> Fraction:
    """Minutes since midnight; a time that does not say which half of the day is taken to be in the other's."""
    hour, *rest = (Fraction(part) for part in parts.split(":"))
    if (half or (other_half if hour <= 12 else "")) and hour <= 12:
        hour = hour % 12 + (12 if (half or other_half) == "p" else 0)
    return hour * 60 + sum((value / 60**power for power, value in enumerate(rest)), Fraction(0))


def _moduli(answer: str, gold_unit: str, tolerance: float | None, given: str) -> Decision | None:
    """`12 \\pmod{17}` is 12 where no modulus is asked for, and 29 \\pmod{17} where one is."""
    body, modulus = split_modulus(given)
    gold_body, gold_modulus = split_modulus(answer)
    if not modulus and not gold_modulus:
        return None
    body, gold_body = (text.rpartition(r"\equiv")[2].strip() for text in (body, gold_body))
    if modulus and gold_modulus:
        if modulus != gold_modulus:
            return Decision(False, "modulus")
        values = [read_number(text) for text in (body, gold_body)]
        if values[0] and values[1] and modulus.isdigit() and int(modulus):
            return Decision((values[0].value - values[1].value) % int(modulus) == 0, "modulus")
    return replace(_same(gold_body, gold_unit, tolerance, body), rule="modulus")


_PER_RADIAN = sympy.Integer(180) / sympy.pi


def _quantities(answer: str, gold_unit: Unit, tolerance: float | None, given: str) -> Decision:
    """Numbers with their units and percent signs; what is left without them goes to `_values`."""
    answer, gold_percent = split_percent(answer)
    is_number = read_number(answer) is not None
    body, given_unit = split_unit(given, loose=is_number or not _has_names(answer))
    body, given_percent = split_percent(body)
    factor = ratio(given_unit, gold_unit)
    if factor is not None and factor != 1:
        radians = _in_degrees(answer, gold_unit, body, given_unit)
        if radians is not None or not factor:
            return Decision(bool(radians), "unit")
        return replace(_in_units(answer, tolerance, body, factor), rule="unit")
    if tolerance is not None:
        return Decision(_within(answer, body, tolerance), "tolerance")
    if gold_percent != given_percent:
        if _same_proportion(answer, body, gold_percent):
            return Decision(True, "percent")
        number = read_number(answer)
        if given_percent and number is not None and abs(number.value) < 1:
            return Decision(False, "percent")  # 0.35% is not 0.35; but where 35 is asked for in percent, 35% is 35
    if gold_unit == NO_UNIT != given_unit or gold_unit != NO_UNIT == given_unit:
        in_degrees = _in_degrees(answer, gold_unit, body, given_unit)
        if in_degrees:
            return Decision(True, "degrees")
    decision = _values(answer, body)
    told = "unit" if given_unit != NO_UNIT else "percent" if given_percent or gold_percent else ""
    return Decision(decision.equal, told or decision.rule) if decision.equal else decision


def _has_names(text: str) -> bool:
    """Whether a text has letters that are neither commands nor words: the m of 6m."""
    return re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+|\{[A-Za-z ]+\}", "", text)) is not None


def _in_degrees(answer: str, gold_unit: Unit, given: str, given_unit: Unit) -> bool | None:
    """An angle in degrees against one in radians; None where it is not that."""
    degrees = unit("°").powers
    gold_in, given_in = gold_unit.powers == degrees, given_unit.powers == degrees
    other = answer if given_in else given
    if gold_in == given_in or not (r"\pi" in other or "radians" in dict((given_unit if gold_in else gold_unit).powers)):
        return None
    one, two = whole(answer), whole(given)
    if not isinstance(one, sympy.Expr) or not isinstance(two, sympy.Expr):
        return None
    return _verify(one, two * _PER_RADIAN) if gold_in else _verify(one * _PER_RADIAN, two)


def _same_proportion(answer: str, given: str, gold_percent: bool) -> bool:
    """Whether the one with the percent sign is a hundredth of its number in the other."""
    one, other = read_number(answer), read_number(given)
    if one and other:
        hundredth = replace(one, value=one.value / 100) if gold_percent else replace(other, value=other.value / 100)
        return _same_numbers(hundredth, other) if gold_percent else _same_numbers(one, hundredth)
    left, right = whole(answer), whole(given)
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return False
    return _verify(left / 100, right) if gold_percent else _verify(left, right / 100)


def _in_units(answer: str, tolerance: float | None, given: str, factor: Fraction) -> Decision:
    """0.75 hours against 45 minutes (factor 60)."""
    one, other = read_number(answer), read_number(given)
    if one and other and tolerance is None:
        return Decision(_same_numbers(one, replace(other, value=other.value * factor)))
    left, right = whole(answer), whole(given)
    if not isinstance(left, sympy.Expr) or not isinstance(right, sympy.Expr):
        return Decision(False)
    scaled = right * sympy.Rational(factor.numerator, factor.denominator)
    if tolerance is not None:
        value, other_value = _real(left), _real(scaled)
        return Decision(value is not None and other_value is not None and _are_near(value, other_value, tolerance))
    return Decision(_verify(left, scaled))


# --- values

# `x \to 3`, `a => b`, `a -> b`, but not `a >= b`
_ARROW = re.compile(r"\\(?:to|rightarrow|longrightarrow|Rightarrow|implies|Longrightarrow|mapsto)(?![A-Za-z])|[-=]>|→")
# `x = 3`, `x \approx 3`, but not `x <= 3`, `x => 3`
_EQUALS = re.compile(r"(?<![<>!:\\])=(?!=|>)|\\approx(?![A-Za-z])|\\equiv(?![A-Za-z])")
# `\text{ and }`, but not `\frac{1}{2}`
_BAR = re.compile(r"\\(?:text\w*|mathrm)\s?\{([^{}]*)\}")


def _values(answer: str, given: str) -> Decision:
    if (found := _based(answer, given)) is not None:
        return found
    one, other = read_number(answer), read_number(given)
    if one and other:
        return Decision(_same_numbers(one, other), "number")
    if key(answer) == key(given):
        return Decision(True, "notation")
    if _ARROW.search(given) and not _ARROW.search(answer):
        return Decision(False, "part")
    sides, gold_sides = _EQUALS.split(given), _EQUALS.split(answer)
    if len(gold_sides) == 1 and len(sides) > 1 and not is_set(answer):
        return _right_side(answer, sides)
    if len(gold_sides) == 2 and len(sides) == 1 and _is_named(gold_sides[0]):
        return _values(gold_sides[1].strip(), given)
    if is_qualified(" ".join(_BAR.findall(given)) or (given if one else "")) and not _BAR.search(answer):
        return Decision(False, "words")
    return _expressions(answer, given)


def _based(answer: str, given: str) -> Decision | None:
    """52_8 against 52_8, 52 (the base is the question's) and 42; not against 52_9."""
    one, other = read_based(answer), read_based(given)
    if one and other:
        return Decision(one.value == other.value and one.base == other.base, "base")
    if one is None:
        return None
    digits = _UPRIGHT.sub(r"\1", given).replace(" ", "").strip("()")
    return Decision(is_digits(digits, one.base) and Based(digits.upper(), one.base) == one, "base")


def _same_numbers(one: Number, other: Number) -> bool:
    """Exact values exactly; where one is a decimal, at math-verify's six decimals and as many more as a small number
    has zeros, so that 1e-8 and 2e-8 do not both round to 0."""
    if not one.decimal and not other.decimal:
        return one.value == other.value
    decimals = _rounding([one, other])
    return round(one.value, decimals) == round(other.value, decimals)


def _rounding(numbers: list[Number]) -> int:
    smallest = min((abs(number.value) for number in numbers if number.value), default=Fraction(1))
    zeros = len(str(smallest.denominator // smallest.numerator)) - 1 if smallest < _SMALL else 0
    return _ROUNDING + zeros


def _right_side(answer: str, sides: list[str]) -> Decision:
    """`x = 5` and `m + n = 256 + 37 = 293` give their last side; the equation of a curve gives none."""
    left, right = sides[0].strip(), sides[-1].strip()
    expression = whole(left)
    if expression is not None and _is_curve(expression, whole(right)):
        return Decision(False, "curve")
    body, _ = split_unit(right, loose=read_number(answer) is not None or not _has_names(answer))
    body, _ = split_percent(body)
    return _values(answer, body)


def _is_curve(left: Any, right: Any) -> bool:
    """Whether an equation is one of x, y and z that is not solved for one of them: x^2+y^2=25, 2x+3y=6, y^2=4x."""
    if not isinstance(left, sympy.Basic) or is_expr_of_only_symbols(left):
        return False
    names = {str(symbol) for side in (left, right) if isinstance(side, sympy.Basic) for symbol in side.free_symbols}
    return len(names & {"x", "y", "z"}) >= 2 or {"r", "theta"} <= names


def _is_named(side: str) -> bool:
    """Whether the left side of a gold equation is but the name of its value: x, f(x), m_{max}, S_n, \\angle A."""
    return re.fullmatch(r"(?:\\?[A-Za-z]+|[ ()]|_\{?\w+\}?|\\text\w*\{[^{}]*\})+", side.strip()) is not None


def _expressions(answer: str, given: str) -> Decision:
    """Both read to their end and compared by math-verify."""
    one, other = whole(answer), whole(given)
    if one is None or other is None:
        return Decision(False, "part")
    if not isinstance(one, sympy.Equality) and isinstance(other, sympy.Equality) and _is_curve(other.lhs, other.rhs):
        return Decision(False, "curve")
    numbers = [number for number in (read_number(answer), read_number(given)) if number]
    if not _verify(one, other, _rounding(numbers)):
        return Decision(False, _difference(answer, given, one, other))
    both = isinstance(one, sympy.Equality) and isinstance(other, sympy.Equality)
    if not both and _differ_exactly(_side(one), _side(other)):
        return Decision(False, "exact")
    return Decision(True)


def _difference(answer: str, given: str, one: Any, other: Any) -> str:
    """The rule that tells two expressions apart which math-verify by itself may take for one."""
    if any(r"\frac{\pi}{180}" in text for text in (answer, given)):
        return "degrees"
    if any(spell_products(text) != text for text in (answer, given)):
        return "product"
    has_names = [bool(getattr(item, "free_symbols", None)) for item in (_side(one), _side(other))]
    return "names" if has_names[0] != has_names[1] else ""


def _side(item: Any) -> Any:
    return item.rhs if isinstance(item, sympy.Equality) else item


_DIGITS = 30  # of a difference, before two exact numbers are called different


def _differ_exactly(one: Any, other: Any) -> bool:
    """Whether two exact real numbers differ, which floats of 15 digits cannot always tell: 2 - 2^{-2023}."""
    if not isinstance(one, sympy.Expr) or not isinstance(other, sympy.Expr):
        return False
    if one.free_symbols or other.free_symbols or one.has(sympy.Float) or other.has(sympy.Float):
        return False
    try:
        difference = (one - other).doit()
        if difference.is_Rational:
            return bool(difference != 0)
        if difference.is_zero is not None:
            return not difference.is_zero
        # evalf raises its working precision until it has _DIGITS digits that hold, or gives up at maxn.
        value = difference.evalf(_DIGITS, maxn=5000)
        return bool(value.is_number and value.is_comparable and abs(value) > sympy.Float(10) ** -4000 and value != 0)
    except (TypeError, ValueError, AttributeError, ZeroDivisionError):
        return False


def _within(answer: str, given: str, tolerance: float) -> bool:
    """Whether two numbers are at most `tolerance` apart (and a rounding error)."""
    value, other = (_real(_side(whole(text))) for text in (answer, given))
    return value is not None and other is not None and _are_near(value, other, tolerance)


def _are_near(value: float, other: float, tolerance: float) -> bool:
    return abs(value - other) <= tolerance * (1 + 1e-9)


def _real(item: Any) -> float | None:
    value = sympy.N(item.doit()) if isinstance(item, sympy.Expr) else None
    return float(value) if value is not None and value.is_number and value.is_real else None


def _verify(gold: Any, given: Any, rounding: int = _ROUNDING) -> bool:
    return bool(verify([gold], [given], float_rounding=rounding, allow_set_relation_comp=True, timeout_seconds=None))


# --- the process


def reply(line: bytes) -> Decision:
    """The answer to one question. What math-verify and SymPy raise on texts that are no mathematics is a "no"."""
    question = json.loads(line)
    gold = Gold.from_dict(question["gold"])
    try:
        return _ASKED[question["ask"]](gold, question["answer"])
    except Exception:
        return Decision(False)


_ASKED: dict[str, Callable[[Gold, str], Decision]] = {
    "equal": decide,
    "plain": says_plain,
    "whole": lambda gold, _: Decision(is_whole(gold)),
}


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m otr.evaluation.math.equality")
    options.add_argument("--seconds", type=float, required=True, help="CPU time of a question")
    options.add_argument("--wall-seconds", type=float, required=True, help="wall time of a question")
    options.add_argument("--memory", type=int, required=True, help="address space, in bytes")
    limits = options.parse_args(arguments)
    # A limit below what is held already ends nothing by itself: the kernel refuses the next page only.
    if _is_large(limits.memory):
        options.error(f"--memory={limits.memory} bytes: {memory.peak()} are held before a question; give thrice those")
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    says_plain(Gold((r"\frac{1}{2}",), raw=r"\frac{1}{2}"), "x+1")  # builds tables before a question's clock runs
    _verify(whole(r"\frac{1}{2}"), whole("x+1"))
    # Replies go to a descriptor of their own: nothing that a library prints can be taken for one.
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    replies.write(b"{}\n")
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, limits.seconds)
        signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
        decision = reply(line)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # A process that has grown large ends here, or its next questions would find no memory left.
        large = _is_large(limits.memory)
        found = {"yes": decision.equal, "rule": decision.rule, "memory": large}
        replies.write(json.dumps(found).encode() + b"\n")
        if large:
            return


def _is_large(limit: int) -> bool:
    return memory.peak() > limit // 2


if __name__ == "__main__":
    main()
