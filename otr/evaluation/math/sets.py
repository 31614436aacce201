r"""Sets of real numbers, in the notations that mathematicians use for one set.

    read_set(r"\{x \mid x > 2\}")             Interval.open(2, oo)
    read_set("x<-1 or x>1")                   Union(Interval.open(-oo, -1), Interval.open(1, oo))
    read_set(r"[-2, 3) \cup \{5\}")           Union(Interval.Ropen(-2, 3), {5})

A text is read to its end or not at all. `(1,2)` may be a point as well: `is_set` says whether a text can be nothing but
a set.
"""

import re

import sympy
from sympy import FiniteSet, Interval, S, Set

from otr.evaluation.math.notation import split_top
from otr.evaluation.math.reading import whole

# `x \in \mathbb{R}`, `[0,1)`, `x < 3`, but not `(1,2)`
_SURE = re.compile(
    r"\\(?:cup|cap|setminus|emptyset|lor|land|le|ge|ne|in|backslash|mathbb)(?![A-Za-z])|(?<![\\-])[<>]"
    r"|[\[\]]|\\infty|all real|\\\{[^{}]*[|:]"
)
# `\{x | x > 3\}`, `\{x \in \mathbb{R} : x > 3\}`, but not `\{1, 2\}`
_BUILDER = re.compile(
    r"(?:\\left)?\\\{ ?(?P<name>\\?[A-Za-z]+) ?(?P<domain>\\in ?[^|:]{1,40})?"
    r"(?:\||:|\\text\{ ?such that ?\}) ?(?P<body>.+?) ?(?:\\right)?\\\}"
)
# `x \in [0,1]`, `f(x) \in [0,1]`, but not `[0,1]`
_MEMBER = re.compile(r"(?P<name>\\?[A-Za-z](?:\([A-Za-z]\))?) ?\\in (?P<set>.+)")
_NAMED = {
    r"\mathbb{R}": S.Reals,
    r"\R": S.Reals,
    "allrealnumbers": S.Reals,
    "allreals": S.Reals,
    "R": S.Reals,
    r"\mathbb{Z}": S.Integers,
    r"\mathbb{N}": S.Naturals,
    r"\emptyset": S.EmptySet,
    r"\{\}": S.EmptySet,
}
# `x<1 or x>2`, `A \cup B`, but not `for x`
_OR = re.compile(
    r"\\(?:lor|cup)(?![A-Za-z])|\\text\s?\{\s?,?\s?or\s?\}|(?<![A-Za-z\\])or(?![A-Za-z])|或|\\text\s?\{\s?或\s?\}"
)
# `x>1 and x<2`, `A \cap B`, but not `sand`
_AND = re.compile(
    r"\\(?:land|cap)(?![A-Za-z])|\\text\s?\{\s?,?\s?(?:and|but)\s?\}|(?<![A-Za-z\\])(?:and|but)(?![A-Za-z])|且|&"
)
# `\mathbb{R} \setminus \{0\}`, but not `a - b`
_MINUS = re.compile(r"\\(?:setminus|backslash)(?![A-Za-z])")
# `x <= 3`, `x \ne 0`, but not `\left( x`
_RELATION = re.compile(r"\\(?:le|ge|ne|lt|gt)(?![A-Za-z])|<=|>=|!=|[<>=]")
# `[0, 1)`, `]0;1[`, but not `{0, 1}`
_INTERVAL = re.compile(r"(?P<left>[(\[\]]) ?(?P<low>[^,;]+)[,;](?P<high>[^,;]+?) ?(?P<right>[)\]\[])")
# `x`, `\alpha`, `x_{1}`, `f(x)`, but not `2x`
_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w\}?)?|[A-Za-z]\([A-Za-z]\)")
# `\left(`, but not `\leftarrow`
_SIZED = re.compile(r"\\(?:left|right)(?![A-Za-z])")
# `\text{all real numbers}`, but not `\text{or} x`
_WORDS = re.compile(r"^\\text\w*\s?\{\s?([^{}]*)\}$")
_LONGEST = 400  # characters


def is_set(text: str) -> bool:
    """Whether a normalised text is written as only sets are."""
    return len(text) <= _LONGEST and _SURE.search(text) is not None


def read_set(text: str) -> Set | None:
    """The set of real numbers that a normalised text describes; None where it is not understood."""
    if len(text) > _LONGEST:
        return None
    try:
        found = _read(_SIZED.sub("", text).strip())
        return found if isinstance(found, Set) else None
    except (TypeError, ValueError, NotImplementedError, RecursionError):
        return None


def same_set(one: Set, other: Set) -> bool | None:
    """Whether two sets are one; None where SymPy cannot tell."""
    if one == other:
        return True
    difference = one.symmetric_difference(other)
    return difference.is_empty if difference.is_empty is not None else None


def _read(text: str) -> Set | None:
    text = _unbracketed(_WORDS.sub(r"\1", text.strip(" ,.")))
    if (found := _NAMED.get(text.replace(" ", ""))) is not None:
        return found
    for pattern, join in ((_OR, sympy.Union), (_AND, sympy.Intersection)):
        pieces = _split(text, pattern)
        if len(pieces) > 1:
            sets = [_read(piece) for piece in pieces]
            return None if any(part is None for part in sets) else join(*sets)
    pieces = _split(text, _MINUS)
    if len(pieces) == 2:
        one, other = (_read(piece) for piece in pieces)
        return None if one is None or other is None else sympy.Complement(one, other)
    if match := _BUILDER.fullmatch(text):
        return _built(match)
    if match := _MEMBER.fullmatch(text):
        return _read(match["set"])
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return _finite(text[2:-2])
    if match := _INTERVAL.fullmatch(text):
        return _interval(match)
    return _relations(text)


def _unbracketed(text: str) -> str:
    """`text` without a pair of brackets around the whole, unless they are those of an interval."""
    while (
        text.startswith("(") and text.endswith(")") and _depth_is_kept(text[1:-1]) and len(split_top(text[1:-1])) == 1
    ):
        text = text[1:-1].strip()
    return text


def _depth_is_kept(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth < 0:
            return False
    return depth == 0


def _split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """`text` at the matches of `pattern` outside of set braces and brackets around more than an interval."""
    pieces, start = [], 0
    for match in pattern.finditer(text):
        before = text[start : match.start()]
        if before.count(r"\{") == before.count(r"\}") and before.strip():
            pieces.append(before)
            start = match.end()
    return [*pieces, text[start:]]


def _built(match: re.Match[str]) -> Set | None:
    body = _read(match["body"])
    if body is None or not match["domain"]:
        return body
    domain = _read(match["domain"].removeprefix(r"\in").strip())
    return None if domain is None else sympy.Intersection(body, domain)


def _every(pieces: list[str]) -> Set | None:
    """What all of several conditions hold for: `x > 0, x \\ne 1`."""
    sets = [_read(piece) for piece in pieces]
    return None if any(part is None for part in sets) else sympy.Intersection(*sets)


def _finite(text: str) -> Set | None:
    values = [_value(piece) for piece in split_top(text)]
    return None if any(value is None for value in values) else FiniteSet(*values)


def _interval(match: re.Match[str]) -> Set | None:
    low, high = _value(match["low"]), _value(match["high"])
    if low is None or high is None:
        return None
    return Interval(low, high, match["left"] != "[", match["right"] != "]")


def _relations(text: str) -> Set | None:
    """A chain of inequalities about one name: -2 < x \\le 3, x \\ne 1. Several with commas: all of them hold."""
    parts = split_top(text)
    if len(parts) > 1:
        if not all(_RELATION.search(part) for part in parts):
            return None
        every = _every(parts)
        # Conditions that exclude each other are meant as cases: x \\le 0, x \\ge 2.
        return sympy.Union(*map(_read, parts)) if every is S.EmptySet else every
    signs = _RELATION.findall(text)
    sides = [side.strip() for side in _RELATION.split(text)]
    names = [number for number, side in enumerate(sides) if _NAME.fullmatch(side) and _value(side) is None]
    if not signs or len(names) != 1 or len(signs) > 2 or (len(signs) == 2 and names != [1]):
        return None
    found: Set = S.Reals
    for number, sign in enumerate(signs):
        on_left = names[0] == number  # the name stands before the sign
        value = _value(sides[number + 1] if on_left else sides[number])
        if value is None:
            return None
        found = sympy.Intersection(found, _half(sign, value, on_left))
    return found


def _half(sign: str, value: sympy.Expr, on_left: bool) -> Set:
    if sign in ("=",):
        return FiniteSet(value)
    if sign in (r"\ne", "!="):
        return sympy.Complement(S.Reals, FiniteSet(value))
    below = (sign in ("<", r"\lt", r"\le", "<=")) == on_left
    is_open = sign in ("<", ">", r"\lt", r"\gt")
    return Interval(-sympy.oo, value, True, is_open) if below else Interval(value, sympy.oo, is_open, True)


def _value(text: str) -> sympy.Expr | None:
    """A real number, exact where it is written so; None for anything else."""
    found = whole(text.strip())
    if not isinstance(found, sympy.Expr) or found.free_symbols:
        return None
    found = sympy.nsimplify(found.doit(), rational=True) if found.has(sympy.Float) else found.doit()
    return found if found.is_extended_real else None
