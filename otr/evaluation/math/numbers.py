r"""Numbers as they are written, and their exact values.

    read_number(r"4.5 \times 10^{33}")          Number(Fraction(45 * 10**32), decimal=True)
    read_number(r"0.\overline{36}")             Number(Fraction(4, 11), decimal=False)
    read_based("4C_{16}")                       Based(digits="4C", base=16)

Texts are normalised (otr.evaluation.math.notation). Everything here is linear in the length of the text.
"""

import re
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Number:
    """An exact value, and whether it was written with a decimal point or a power of ten (so may be rounded)."""

    value: Fraction
    decimal: bool


_DECIMAL = r"(?:\d++(?:\.\d*+)?|\.\d++)"  # never backtracks: a long run of digits costs its length
_POWER = r"(?:[eE]([+-]?\d+)|(?:\\times|\\cdot|\*|x)10\^(?:\{([+-]?\d+)\}|([+-]?\d+)))"
# `12.5`, `4.5\times10^{33}`, `10^{-3}`, but not `2^3`
_SCIENTIFIC = re.compile(rf"([+-]?)(?:({_DECIMAL}){_POWER}?|10\^(?:\{{([+-]?\d+)\}}|(\d+)))")
# `-\frac{1}{2}`, `3/4`, `(3/4)`, but not `x/4`
_FRACTION = re.compile(rf"([+-]?)(?:\\frac\{{(-?{_DECIMAL})\}}\{{(-?{_DECIMAL})\}}|\(?({_DECIMAL})/({_DECIMAL})\)?)")
# `1,080`, `12 345 678.9`, but not `1,08`
THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:(?:, ?|\s)\d{3})+(?:\.\d+)?")
# `2 1/3`, `2\frac{1}{3}`, but not `21/3`
_MIXED = re.compile(r"([+-]?) ?(\d+) ?(?: (\d+)/(\d+)|\\frac\{(\d+)\}\{(\d+)\})")
# 0.\overline{3}, 0.1\overline{36}, 0.\dot{3}, 0.\dot{1}42\dot{8}, 0.(3)
_REPEATING = re.compile(
    r"([+-]?)(\d*)\.(\d*)(?:\\(?:overline|bar)\{(\d+)\}|\\dot\{?(\d)\}?(?:(\d*)\\dot\{?(\d)\}?)?|\((\d+)\))"
    r"(?:\\ldots|\.{3})?"
)
_ELLIPSIS = re.compile(r"([+-]?)(\d*)\.(\d{3,60})(?:\\ldots|\.{3})")  # 0.333..., 0.1666..., 0.3636...
_LONGEST_NUMBER = 400  # characters, and powers of ten: beyond it a number is left to math-verify's memory limit


def read_number(text: str) -> Number | None:
    """The value of a normalised text that is one number: 1,080 · .5 · 3/4 · 2 1/3 · 4.5e33 · 10^{-8}; else None."""
    if not text or len(text) > _LONGEST_NUMBER:
        return None
    if match := _MIXED.fullmatch(text):
        minus, whole, *parts = match.groups()
        top, bottom = (int(part) for part in parts if part)
        return _divide((-1 if minus == "-" else 1) * (int(whole) * bottom + top), bottom, False)
    if THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    text = text.replace(" ", "")
    if match := _SCIENTIFIC.fullmatch(text):
        return _read_scientific(match)
    if match := _FRACTION.fullmatch(text):
        sign = -1 if match[1] == "-" else 1
        above, below = match[2] or match[4], match[3] or match[5]
        return _divide(sign * Fraction(above), Fraction(below), "." in text)
    if match := _REPEATING.fullmatch(text):
        minus, whole, fixed, *bars, bracket = match.groups()
        repeated = bars[0] or bracket or "".join(part or "" for part in bars[1:])
        return _read_repeating(minus, whole, fixed, repeated)
    if match := _ELLIPSIS.fullmatch(text):
        return _read_ellipsis(*match.groups())
    return None


def _read_scientific(match: re.Match[str]) -> Number | None:
    sign, digits, *powers = match.groups()
    power = int(next((power for power in powers if power), "0"))
    if abs(power) > _LONGEST_NUMBER:
        return None
    value = Fraction(digits or "1") * Fraction(10) ** power
    # A bare 10^6 is exact; 1e6 and 1.0 are how rounded values are written.
    return Number(-value if sign == "-" else value, decimal=bool(digits) and (any(powers) or "." in digits))


def _read_repeating(sign: str, whole: str, fixed: str, repeated: str) -> Number:
    """0.1(36) is 1/10 + 36/990."""
    value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed))
    value += Fraction(int(repeated), 10 ** len(fixed) * (10 ** len(repeated) - 1))
    return Number(-value if sign == "-" else value, decimal=False)


def _read_ellipsis(sign: str, whole: str, digits: str) -> Number | None:
    """0.333... is 1/3 and 0.3636... is 4/11: digits that end on a block seen twice, one digit on three, go on so."""
    for length in range(1, len(digits) // 2 + 1):
        block, times = digits[-length:], 3 if length == 1 else 2
        if digits.endswith(block * times):
            return _read_repeating(sign, whole, digits[:-length], block)
    return None


def _divide(above: Fraction | int, below: Fraction | int, decimal: bool) -> Number | None:
    return Number(Fraction(above) / Fraction(below), decimal) if below else None


# 4.5e33, but neither 2e (the constant) nor 3e4x; and what follows must not continue the number.
# `4.5e33`, `2E-5`, but not `x2e5`
_E_NOTATION = re.compile(rf"(?<![\w.\\])({_DECIMAL})[eE]([+-]?\d{{1,4}})(?![\w.^])")


def spell_powers(text: str) -> str:
    r"""E-notation as LaTeX, which math-verify reads: 4.5e33 becomes 4.5 \times 10^{33}."""
    return _E_NOTATION.sub(r"\1 \\times 10^{\2}", text)


_FACTOR = r"(?:\\left)?\(\s?[+-]?\d++\s?(?:\\right)?\)"
# `20(26)`, but not `f(2)(3)`
_PRODUCT = re.compile(rf"(?<![\w.^}}])(?:\d++|{_FACTOR})(?:\s?{_FACTOR})+")  # but not \log_2(8), \sin^2(3) or f(2)(3)
_FACTORS = re.compile(rf"{_FACTOR}|\d++")


def spell_products(text: str) -> str:
    r"""Products of whole numbers with their sign: 20(26) becomes 20 \cdot (26), which math-verify by itself adds up."""
    return _PRODUCT.sub(lambda match: r" \cdot ".join(_FACTORS.findall(match[0])), text)


# `4.5e33`, `2 \times 10^3`, but not `2 + 10^3`
_SCIENTIFIC_SIGN = re.compile(r"\d\.?[eE][+-]?\d|(?:\\times|\\cdot|[*×x·])\s?10\s?(?:\^|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻])")


def is_scientific(text: str) -> bool:
    r"""Whether `text` holds a number written with a power of ten: 4.5e33, 4.5 \times 10^{33}."""
    return _SCIENTIFIC_SIGN.search(text) is not None


# `25\%`, `25 percent`, `25\text{ percent}`, but not `percent of 25`
_PERCENT = re.compile(r"(?:\\?%|\\text\{ ?(?:%|\\%|percent) ?\}|percent|per cent|percentage points?)$")


def split_percent(text: str) -> tuple[str, bool]:
    """A normalised text without its percent sign, and whether it had one."""
    match = _PERCENT.search(text[-40:])
    body = text[: len(text) - len(match[0])].rstrip() if match else ""
    return (body, True) if body else (text, False)


# --- words that make another value of the number before them

_WORD = re.compile(
    r" ?(?P<open>\\text(?:rm)?\{ ?)?"
    r"(?P<word>hundred|thousand|million|billion|trillion|dozens?|squared|cubed|factorial|[万亿]"
    r"|(?:half|halve|third|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?)(?![A-Za-z])"
    r"(?: (?P<more>thousand|million|billion)(?![A-Za-z]))?"
)
# `about 1,250`, `3/4`, but not `x2`
_NUMBER_BEFORE = re.compile(r"(?<![\w.}])[+-]?(?:\d[\d,. ]*\d|\d)(?:/\d+)?$")
_LONGEST_BEFORE = 40  # characters of a number before its word
_VALUES = {
    "hundred": r" \times 10^{2}",
    "thousand": r" \times 10^{3}",
    "million": r" \times 10^{6}",
    "billion": r" \times 10^{9}",
    "trillion": r" \times 10^{12}",
    "万": r" \times 10^{4}",
    "亿": r" \times 10^{8}",
    "squared": "^{2}",
    "cubed": "^{3}",
    "factorial": "!",
}
_FRACTIONS = {"half": 2, "halve": 2, "third": 3, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8}
_FRACTIONS |= {"ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000}
_OPERATORS = {
    "plus": "+",
    "minus": "-",
    "times": r"\times",
    "multiplied by": r"\times",
    "divided by": "/",
    "over": "/",
    "out of": "/",
}
_OPERATOR = re.compile(rf"(?<=\d) (?P<word>{'|'.join(_OPERATORS)}) (?=-?\d)")
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
# `3 and a half`, `2 and three quarters`, but not `3 and 4`
_AND_PART = re.compile(rf"(?<=\d) and (?P<count>an?|one|two|three) (?P<part>{'|'.join(_PARTS)})s?(?![A-Za-z])")
_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}


def spell_words(text: str) -> str:
    r"""Number words as LaTeX: 1.5 million becomes 1.5 \times 10^{6}, 5 minus 3 becomes 5 - 3."""
    if text.isascii() and not any(word in text for word in _TELLING):
        return text
    text = _AND_PART.sub(lambda match: f" {_COUNTS[match['count']]}/{_PARTS[match['part']]}", text)
    text = _OPERATOR.sub(lambda match: f" {_OPERATORS[match['word']]} ", text)
    spelt, start = [], 0
    for match in _WORD.finditer(text):
        before = text[start : match.start()]
        number = _NUMBER_BEFORE.search(before[-_LONGEST_BEFORE:])
        if number:
            spelt += [before[: len(before) - len(number[0])], _spell_word(number[0], match)]
            start = match.end()
    return ("".join(spelt) + text[start:]).replace(r"\text{}", "").replace(r"\text{ }", "")


_TELLING = (
    *_OPERATORS,
    "hundred",
    "thousand",
    "illion",
    "dozen",
    "squared",
    "cubed",
    "factorial",
    " and ",
    "hal",
    "third",
    "fth",
    "sixth",
)
_TELLING += ("seventh", "eighth", "ninth", "tenth", "dth")


def _spell_word(number: str, match: re.Match[str]) -> str:
    opened = r"\text{" if match["open"] else ""
    if match["word"].startswith("dozen"):
        read = read_number(number)
        return f"{read.value * 12 if read else number}{opened}"
    word = match["word"].removesuffix("s")
    if word in _FRACTIONS:
        return f"{number}/{_FRACTIONS[word]}{opened}"
    return f"{number}{_VALUES[word]}{_VALUES.get(match['more'] or '', '')}{opened}"


@dataclass(frozen=True)
class Based:
    """Digits in a base: 52_8, 4C_{16}."""

    digits: str
    base: int

    @property
    def value(self) -> int:
        return int(self.digits, self.base)


# `52_8`, `4C_{16}`, `\text{52}_{8}`, but not `x_1`
_BASE = re.compile(r"(?:\\text\{|\()?([0-9A-Fa-f]{1,60})[})]?_(?:\{(?:\\text\{)?(\d{1,2}|[a-z]{3,9})\}?\}|(\d))")
# `52 in base 8`, `52 (base eight)`, but not `base 8`
_BASE_WORD = re.compile(r"([0-9A-F]{1,60}) ?(?:\\text\{ ?)?(?:in|\() ?base ?(\d{1,2}|[a-z]{3,9}) ?[})]?")
_BASE_NAMES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_BASE_NAMES |= {"twelve": 12, "sixteen": 16}


def read_based(text: str) -> Based | None:
    """Digits with their base as a subscript or in words; None for anything else."""
    match = _BASE.fullmatch(text.replace(" ", ""))
    digits, base = (match[1], match[2] or match[3]) if match else ("", "")
    if not match and (match := _BASE_WORD.fullmatch(text)):
        digits, base = match[1], match[2]
    number = _BASE_NAMES.get(base) or (int(base) if base.isdigit() else 0)
    if not digits[:1].isdigit() and number <= 10:
        return None  # C_2 is a name
    return Based(digits.upper(), number) if digits and is_digits(digits, number) else None


def is_digits(text: str, base: int) -> bool:
    """Whether `text` is a whole number written in `base`."""
    return 2 <= base <= 16 and 0 < len(text) <= 60 and all(digit in "0123456789ABCDEF"[:base] for digit in text.upper())
