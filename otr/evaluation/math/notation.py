r"""How an answer is written: one spelling for what mathematicians write in many.

In:  the text of an answer, a gold one or a model's.
Out: the same answer in plain LaTeX (`normalise`), its separate answers (`split_answers`), its value where it is a
     number (`read_number`), its unit and percent sign (`split_unit`, `split_percent`), a key for equality (`key`).

    normalise("$１,０８０$")                    "1,080"
    read_number(r"4.5 \times 10^{33}")          Number(Fraction(45 * 10**32), decimal=True)
    split_answers("x=2 or x=-2", True)          ["x=2", "x=-2"]

Everything here is linear in the length of the text: a model may write anything.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

# NFKC alone would read 10⁵ as 105 and 3½ as 31⁄2, so these are spelt out before it.
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
_SUPERSCRIPT_RUN = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUBSCRIPT_RUN = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_SYMBOLS = str.maketrans(
    {
        "½": r"\frac{1}{2}",
        "⅓": r"\frac{1}{3}",
        "⅔": r"\frac{2}{3}",
        "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}",
        "⅕": r"\frac{1}{5}",
        "⅛": r"\frac{1}{8}",
        "−": "-",
        "–": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": "/",
        "⁄": "/",
        "π": r"\pi ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "±": r"\pm ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "°": r"^\circ ",
        "€": "",
        "£": "",
    }
)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_CONTROLS = {code: None for code in [*range(9), 11, 12, *range(14, 32), 127]} | {9: " ", 10: " ", 13: " "}

# A line break of a matrix (\\) is matched first so that its second backslash never starts another command.
_LAYOUT = re.compile(
    r"\\\\"
    r"|\\[!]"
    r"|\\[,;: ]|~|\\q?quad(?![A-Za-z])"
    r"|\\(?:[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])"
    r"|\\[dtc]frac(?![A-Za-z])"
    r"|\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])"
    r"|\\\$|\$"
    r"|\{,\}"
    r"|(?<![A-Za-z])(?:np|numpy|math)\.(?=[a-z])"
    r"|\*\*"
    r"|(?<=\d)\.(?=\s*(?:/|\}|$))"
)
_REPLACED = {"\\\\": "\\\\", r"\!": "", "{,}": ",", "**": "^"}
_WORD = re.compile(r"(?<![A-Za-z\\])(?:pi|infinity|inf|oo)(?![A-Za-z])")
_PLAIN_ROOT = re.compile(r"(?<![A-Za-z])\\?sqrt\s*\(([^()]*)\)")
# m_{\max} and L_\odot: names that math-verify cannot read, as words that it can.
_NAMED_INDEX = re.compile(r"_\s?(?:\{\s?\\(max|min|odot|oplus)\s?\}|\\(max|min|odot|oplus)(?![A-Za-z]))")
_SPACES = re.compile(r"\s+")
_DELIMITERS = [(r"\(", r"\)"), (r"\[", r"\]"), ("`", "`"), ("**", "**")]


def normalise(text: str) -> str:
    r"""`text` in plain LaTeX: NFKC, Unicode signs as commands, no math delimiters, currency, degree signs or spacing
    commands, `\dfrac` as `\frac`, one space for any white space, no full stop at the end."""
    text = _unfold(text).translate(_CONTROLS).strip()
    for left, right in _DELIMITERS:
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            text = text[len(left) : -len(right)]
    text = _SPACES.sub(" ", _LAYOUT.sub(_lay_out, text))
    text = _WORD.sub(lambda match: r"\pi" if match[0] == "pi" else r"\infty", text)
    text = _PLAIN_ROOT.sub(r"\\sqrt{\1}", text)
    text = _NAMED_INDEX.sub(lambda match: f"_{{{match[1] or match[2]}}}", text)
    return text.strip().rstrip(".,;:").strip()


def _unfold(text: str) -> str:
    if text.isascii():
        return text
    text = _SUPERSCRIPT_RUN.sub(lambda match: f"^{{{''.join(_SUPERSCRIPTS[sign] for sign in match[0])}}}", text)
    text = _SUBSCRIPT_RUN.sub(lambda match: f"_{{{''.join(_SUBSCRIPTS[sign] for sign in match[0])}}}", text)
    text = _ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2] or ''}}}", text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS))
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")  # zero-width marks


def _lay_out(match: re.Match[str]) -> str:
    found = match[0]
    if found in _REPLACED:
        return _REPLACED[found]
    if found.endswith("frac"):
        return r"\frac"
    if found.endswith(".") and found[0] in "nm":
        return "\\"  # np.arcsin(x): \arcsin(x)
    return " " if found[0] in "~\\" and not found.endswith(("degree", "$", ".")) else ""


@dataclass(frozen=True)
class Number:
    """An exact value, and whether it was written with a decimal point or a power of ten (so may be rounded)."""

    value: Fraction
    decimal: bool


_DECIMAL = r"(?:\d++(?:\.\d*+)?|\.\d++)"  # never backtracks: a long run of digits costs its length
_POWER = r"(?:[eE]([+-]?\d+)|(?:\\times|\\cdot|\*|x)10\^(?:\{([+-]?\d+)\}|([+-]?\d+)))"
_SCIENTIFIC = re.compile(rf"([+-]?)(?:({_DECIMAL}){_POWER}?|10\^(?:\{{([+-]?\d+)\}}|(\d+)))")
_FRACTION = re.compile(rf"([+-]?)(?:\\frac\{{(-?{_DECIMAL})\}}\{{({_DECIMAL})\}}|({_DECIMAL})/({_DECIMAL}))")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:(?:, ?|\s)\d{3})+(?:\.\d+)?")
_MIXED = re.compile(r"(\d+) (\d+)/(\d+)")
_LONGEST_NUMBER = 400  # characters, and powers of ten: beyond it a number is left to math-verify's memory limit


def read_number(text: str) -> Number | None:
    """The value of a normalised text that is one number: 1,080 · .5 · 3/4 · 2 1/3 · 4.5e33 · 10^{-8}; else None."""
    if not text or len(text) > _LONGEST_NUMBER:
        return None
    if match := _MIXED.fullmatch(text):
        return _divide(int(match[1]) * int(match[3]) + int(match[2]), int(match[3]), False)
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    text = text.replace(" ", "")
    if match := _SCIENTIFIC.fullmatch(text):
        return _read_scientific(match)
    if match := _FRACTION.fullmatch(text):
        sign = -1 if match[1] == "-" else 1
        above, below = match[2] or match[4], match[3] or match[5]
        return _divide(sign * Fraction(above), Fraction(below), "." in text)
    return None


def _read_scientific(match: re.Match[str]) -> Number | None:
    sign, digits, *powers = match.groups()
    power = int(next((power for power in powers if power), "0"))
    if abs(power) > _LONGEST_NUMBER:
        return None
    value = Fraction(digits or "1") * Fraction(10) ** power
    # A bare 10^6 is exact; 1e6 and 1.0 are how rounded values are written.
    return Number(-value if sign == "-" else value, decimal=bool(digits) and (any(powers) or "." in digits))


def _divide(above: Fraction | int, below: Fraction | int, decimal: bool) -> Number | None:
    return Number(Fraction(above) / Fraction(below), decimal) if below else None


# 4.5e33, but neither 2e (the constant) nor 3e4x; and what follows must not continue the number.
_E_NOTATION = re.compile(rf"(?<![\w.\\])({_DECIMAL})[eE]([+-]?\d{{1,4}})(?![\w.^])")


def spell_powers(text: str) -> str:
    r"""E-notation as LaTeX, which math-verify reads: 4.5e33 becomes 4.5 \times 10^{33}."""
    return _E_NOTATION.sub(r"\1 \\times 10^{\2}", text)


_FACTOR = r"(?:\\left)?\(\s?[+-]?\d++\s?(?:\\right)?\)"
_PRODUCT = re.compile(rf"(?<![\w.^}}])(?:\d++|{_FACTOR})(?:\s?{_FACTOR})+")  # but not \log_2(8), \sin^2(3) or f(2)(3)
_FACTORS = re.compile(rf"{_FACTOR}|\d++")


def spell_products(text: str) -> str:
    r"""Products of whole numbers with their sign: 20(26) becomes 20 \cdot (26), which math-verify by itself adds up."""
    return _PRODUCT.sub(lambda match: r" \cdot ".join(_FACTORS.findall(match[0])), text)


_SCIENTIFIC_SIGN = re.compile(r"\d\.?[eE][+-]?\d|(?:\\times|\\cdot|[*×x·])\s?10\s?(?:\^|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻])")


def is_scientific(text: str) -> bool:
    r"""Whether `text` holds a number written with a power of ten: 4.5e33, 4.5 \times 10^{33}."""
    return _SCIENTIFIC_SIGN.search(text) is not None


_PERCENT = re.compile(r"\s*(?:\\?%|\\text\{\s*(?:%|\\%|percent)\s*\}|percent)$")


def split_percent(text: str) -> tuple[str, bool]:
    """A normalised text without its percent sign, and whether it had one."""
    body = _PERCENT.sub("", text) if text.endswith(("%", "percent", "}")) else text
    return (body, True) if body and body != text else (text, False)


_UNITS = {  # name: (dimension, size in the dimension's base unit)
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "day": ("time", Fraction(86400)),
    "week": ("time", Fraction(604800)),
    "mm": ("length", Fraction(1, 1000)),
    "cm": ("length", Fraction(1, 100)),
    "m": ("length", Fraction(1)),
    "km": ("length", Fraction(1000)),
    "g": ("mass", Fraction(1)),
    "kg": ("mass", Fraction(1000)),
    "cent": ("money", Fraction(1)),
    "dollar": ("money", Fraction(100)),
}
_SPELLINGS = {
    "second": "s",
    "sec": "s",
    "minute": "min",
    "hour": "h",
    "hr": "h",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "metre": "m",
    "kilometer": "km",
    "kilometre": "km",
    "gram": "g",
    "kilogram": "kg",
}
_UNIT = r"\\(?:text|mathrm|operatorname|textrm|mbox|rm)\s*\{[^{}]*[A-Za-z][^{}]*\}"
_POWERED = r"(?:\s*\^\s*(?:-?\d|\{\s*-?\d\s*\}))?"
_LATEX_UNIT = re.compile(rf"(?:\s*(?:[/*]|\\cdot|\\times)?\s*{_UNIT}{_POWERED})+$")
_NUMBER_HEAD = r"[+-]?(?:\\frac\{\d+\}\{\d+\}|\d[\d,. ]*(?:/\d+)?(?:[eE][+-]?\d+)?)"
_PLAIN_UNIT = re.compile(rf"({_NUMBER_HEAD})(?<![,. ])( ?)([A-Za-z][A-Za-z .]*)(?:\^\{{?\d\}}?)?")
_MARKUP = re.compile(r"\\[A-Za-z]+|[{}\s~]")


def split_unit(text: str, loose: bool) -> tuple[str, str]:
    r"""A normalised text without the unit behind it, and that unit's name, "" where there is none.

    A unit is upright text behind an expression (`5\text{ cm}`) or the name of a known one behind a number (`5 cm`).
    `loose`: any words behind a number are a unit too (`18 eggs a day`), and so are the letters that stand for known
    ones (`5 m`). Only where a number is expected: `5 m` may as well be a product."""
    if match := _LATEX_UNIT.search(text[-200:]):
        body = text[: len(text) - len(match[0])].rstrip()
        return (body, unit_name(match[0])) if body else (text, "")
    match = _PLAIN_UNIT.fullmatch(text) if len(text) < _LONGEST_NUMBER else None
    if match and read_number(match[1]):
        words = match[3].split()
        known = is_unit(words[0]) and (loose or len(words[0]) > 1)
        if known or (loose and match[2] and any(len(word) > 2 for word in words)):
            return match[1], unit_name(text[match.end(2) :])
    return text, ""


def unit_name(unit: str) -> str:
    r"""One name for the spellings of a unit: "min" for `\text{ minutes}`."""
    name = _MARKUP.sub("", unit).strip(".").lower()
    singular = name.removesuffix("s")
    return _SPELLINGS.get(name) or _SPELLINGS.get(singular) or (singular if singular in _UNITS else name)


def is_unit(word: str) -> bool:
    """Whether `word` is a unit of the table, in any spelling."""
    return unit_name(word) in _UNITS


def unit_ratio(unit: str, other: str) -> Fraction | None:
    """How many `other` are one `unit`: 60 for h in min. None for a unit that is not in the table; 0 where the two do
    not measure the same thing."""
    if unit not in _UNITS or other not in _UNITS:
        return None
    (dimension, size), (other_dimension, other_size) = _UNITS[unit], _UNITS[other]
    return size / other_size if dimension == other_dimension else Fraction(0)


_CONNECTIVE = re.compile(r"\\text\s*\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")
_CONDITION = re.compile(r",?\s*(?:\\text\s*\{\s*)?(?:where|such that|for all|for any)\b.*", re.DOTALL)
_SET = re.compile(r"(?:\\left)?\\\{((?:(?!(?:\\right)?\\\}).)*)(?:\\right)?\\\}", re.DOTALL)
_BRACKET_OR_COMMA = re.compile(r"[(\[{]|[)\]}]|,|;")


def split_answers(text: str, thousands: bool) -> list[str]:
    r"""The separate answers in a normalised text: at commas, semicolons, "and", "or" outside of every bracket, without
    the braces of a set. A trailing condition ("where b is an integer") is not an answer.
    `thousands`: 1,080 and 1, 080 are one number, not two."""
    text = _CONDITION.sub("", text) or text
    text = _CONNECTIVE.sub(",", text)
    if match := _SET.fullmatch(text):
        text = match[1]
    if thousands and _THOUSANDS.fullmatch(text.strip()):
        return [text.strip()]
    pieces, depth, start = [], 0, 0
    for match in _BRACKET_OR_COMMA.finditer(text):
        if match[0] in ",;":
            if depth == 0:
                pieces.append(text[start : match.start()])
                start = match.end()
        else:
            depth += 1 if match[0] in "([{" else -1
    pieces.append(text[start:])
    return [answer for piece in pieces if piece.strip() for answer in _both_signs(piece.strip())] or [text]


def _both_signs(text: str) -> list[str]:
    r"""`1 \pm \sqrt{2}` is two answers."""
    before, sign, behind = text.partition(r"\pm")
    return [f"{before}+{behind}", f"{before}-{behind}"] if sign and r"\pm" not in behind else [text]


_BASE = re.compile(r"(\d{1,60})_(?:\{(\d{1,2})\}|(\d))")


def read_based(text: str) -> int | None:
    """The value of digits with their base as a subscript: 52_8 is 42; None for anything else."""
    match = _BASE.fullmatch(text.replace(" ", ""))
    base = int(match[2] or match[3]) if match else 0
    if match is None or not 2 <= base <= 10 or any(int(digit) >= base for digit in match[1]):
        return None
    return int(match[1], base)


_WRAPPER = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|mbox)\s*\{([^{}]*)\}")
_SIZED_BRACKET = re.compile(r"\\(?:left|right)(?![A-Za-z])")
_SMALL_BRACES = re.compile(r"([\^_])\{(\w)\}")


def key(text: str) -> str:
    r"""A text that is the same for answers that differ in spelling alone: `\text{(C)}` and c; 0.5, 1/2 and 50/100."""
    text = normalise(text)
    number = read_number(text)
    if number is not None:
        return str(number.value)
    text = _SIZED_BRACKET.sub("", _SMALL_BRACES.sub(r"\1\2", _WRAPPER.sub(r"\1", text))).replace(" ", "")
    if len(text) == 3 and text[0] == "(" and text[2] == ")":
        text = text[1]
    return text.casefold() if text.isalpha() and len(text) != 1 else text
