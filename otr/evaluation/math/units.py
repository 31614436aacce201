r"""The unit behind a number, what it measures, and how many of another unit it is.

    split_unit(r"5\text{ cm}^{2}", loose=False)        ("5", Unit("cm^2"))
    ratio(unit("dm^2"), unit("cm^2"))                  100
    ratio(unit("feet"), unit("apples"))                None: nothing is known of an apple

Known units are products of powers of the ones in the table, so square feet and \mathrm{g\,cm^{-3}} need no lines of
their own. Names that are not in the table ("apples", 页) are units too, of which nothing is known.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from otr.evaluation.math.numbers import read_number

# name: (size, powers of the base quantities), SI prefixes apart
_BASE: dict[str, tuple[Fraction, dict[str, int]]] = {}
_PREFIXED: set[str] = set()


def _define(names: str, size: Fraction | int | str, prefixed: bool = False, **powers: int) -> None:
    for name in names.split():
        _BASE[name] = (Fraction(size), powers)
        if prefixed:
            _PREFIXED.add(name)


_define("m meter metre", 1, prefixed=True, length=1)
_define("inch in inche", "0.0254", length=1)
_define("foot feet ft", "0.3048", length=1)
_define("yard yd", "0.9144", length=1)
_define("mile mi", "1609.344", length=1)
_define("pc parsec", "3.0857e16", prefixed=True, length=1)
_define("au AU", "1.495978707e11", length=1)
_define("ly lightyear", "9.4607e15", length=1)
_define("angstrom Å AA", "1e-10", length=1)
_define("g gram gm", 1, prefixed=True, mass=1)
_define("lb pound", "453.59237", mass=1)
_define("oz ounce", "28.349523125", mass=1)
_define("ton tonne", 1000000, mass=1)
_define("s sec second", 1, prefixed=True, time=1)
_define("min minute", 60, time=1)
_define("h hr hour", 3600, time=1)
_define("day", 86400, time=1)
_define("week", 604800, time=1)
_define("month", 1, months=1)
_define("year yr", 12, months=1)
_define("K kelvin", 1, prefixed=True, temperature=1)
_define("mol mole", 1, prefixed=True, amount=1)
_define("A ampere amp", 1, prefixed=True, current=1)
_define("C coulomb", 1, prefixed=True, current=1, time=1)
_define("Hz hertz", 1, prefixed=True, time=-1)
_define("N newton", 1000, prefixed=True, mass=1, length=1, time=-2)
_define("dyn dyne", "0.01", mass=1, length=1, time=-2)
_define("Pa pascal", 1000, prefixed=True, mass=1, length=-1, time=-2)
_define("bar", 100000000, prefixed=True, mass=1, length=-1, time=-2)
_define("atm", 101325000, mass=1, length=-1, time=-2)
_define("J joule", 1000, prefixed=True, mass=1, length=2, time=-2)
_define("erg", "1e-4", mass=1, length=2, time=-2)
_define("eV", "1.602176634e-16", prefixed=True, mass=1, length=2, time=-2)
_define("cal calorie", 4184, prefixed=True, mass=1, length=2, time=-2)
_define("W watt", 1000, prefixed=True, mass=1, length=2, time=-3)
_define("V volt", 1000, prefixed=True, mass=1, length=2, time=-3, current=-1)
_define("Ω ohm Ohm", 1000, prefixed=True, mass=1, length=2, time=-3, current=-2)
_define("F farad", "0.001", prefixed=True, mass=-1, length=-2, time=4, current=2)
_define("T tesla", 1000, prefixed=True, mass=1, time=-2, current=-1)
_define("L l liter litre", "0.001", prefixed=True, length=3)
_define("gal gallon", "0.003785411784", length=3)
_define("quart", "0.000946352946", length=3)
_define("pint", "0.000473176473", length=3)
_define("hectare ha", 10000, length=2)
_define("acre", "4046.8564224", length=2)
_define("mph", "0.44704", length=1, time=-1)
_define("kmh kph kmph", Fraction(5, 18), length=1, time=-1)
_define("cent ¢", 1, money=1)
_define("dollar USD usd buck", 100, money=1)
_define("euro EUR", 1, euros=1)
_define("yuan RMB 元", 1, yuan=1)
_define("rupee Rs", 1, rupees=1)
_define("degree deg °", 1, angle=1)
_define("radian rad", 1, radians=1)  # with degrees: otr.evaluation.math.equality, since π is no Fraction
_define("celsius °C degC", 1, celsius=1)
_define("fahrenheit °F degF", 1, fahrenheit=1)

_PREFIXES = {
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "h": 2,
    "d": -1,
    "c": -2,
    "m": -3,
    "µ": -6,
    "μ": -6,
    "u": -6,
    "n": -9,
    "p": -12,
}
_LONG_PREFIXES = {"kilo": 3, "mega": 6, "giga": 9, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9}
_CHINESE = {"米": "m", "厘米": "cm", "千米": "km", "公里": "km", "分米": "dm", "毫米": "mm", "平方米": "m^2"}
_CHINESE |= {
    "平方厘米": "cm^2",
    "立方米": "m^3",
    "立方厘米": "cm^3",
    "克": "g",
    "千克": "kg",
    "公斤": "kg",
    "吨": "ton",
}
_CHINESE |= {
    "秒": "s",
    "分钟": "min",
    "小时": "h",
    "天": "day",
    "周": "week",
    "月": "month",
    "个月": "month",
    "年": "year",
}
_CHINESE |= {"度": "°", "升": "L", "毫升": "mL"}


@dataclass(frozen=True)
class Unit:
    """A unit by its name. size and powers are None where nothing is known of it."""

    name: str
    size: Fraction | None = None
    powers: tuple[tuple[str, int], ...] = ()

    @property
    def is_known(self) -> bool:
        return self.size is not None


NO_UNIT = Unit("")

_MARKUP = re.compile(
    r"\\(?:text|mathrm|operatorname|textrm|textnormal|textbf|mathbf|mbox|rm|unit|left|right)(?![A-Za-z])|[{}$]"
)
_SPACE = re.compile(r"\\[,;:! ]|~|\\q?quad(?![A-Za-z])|\s+")
_TOKEN = re.compile(
    r"\^?\s?\{?\(?(?P<power>(?<=\^)[+-]?\d|(?<=\^\{)[+-]?\d|(?<=\^\()[+-]?\d|(?<=[A-Za-z])[2-3](?![\w.]))\)?\}?"
    r"|(?P<name>°\s?[CF]?(?![A-Za-z])|[A-Za-zµμΩÅ¢]+|[\u4e00-\u9fff]+)|(?P<operator>/|\*|·|\\cdot|\\times|\()|(?P<space>[\s).]+)"
)


def unit(text: str) -> Unit:
    r"""The unit that `text` names, LaTeX or words: "square feet", "m/s^2", `\mathrm{~erg~s^{-1}}`."""
    return _unit(text[:200])


@lru_cache(maxsize=4096)
def _unit(text: str) -> Unit:
    plain = text.replace(r"\Omega", "Ω").replace(r"\mu", "µ").replace(r"^\circ", "°").replace("^{\\circ}", "°")
    plain = _SPACE.sub(" ", plain.replace(r"\degree", "°"))
    plain = _MARKUP.sub("", re.sub(r"\^\s?\{\s?([+-]?\d)\s?\}", r"^\1", plain)).strip(" .,")
    plain = _CHINESE.get(plain, plain)
    if not plain:
        return NO_UNIT
    found = _product(plain)
    if found is None:
        return Unit(" ".join(plain.casefold().split()))
    size, powers = found
    return Unit(plain, size, tuple(sorted((name, power) for name, power in powers.items() if power)))


def _product(text: str) -> tuple[Fraction, dict[str, int]] | None:
    """Size and powers of a product of known units; None where one of them is not known."""
    size, powers = Fraction(1), dict[str, int]()
    side = 1  # -1 for the unit behind a slash or "per"
    ahead = 1  # of the next unit: square, cubic
    last: tuple[Fraction, dict[str, int], int] | None = None
    position = 0

    def take(exponent: int) -> None:
        nonlocal size, last
        if last is None:
            return
        base, of_base, sign = last
        size *= base ** (exponent * sign)
        for name, power in of_base.items():
            powers[name] = powers.get(name, 0) + power * exponent * sign
        last = None

    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        position = max(match.end(), position + 1)
        if match["power"]:
            if last is None:
                return None
            take(int(match["power"]))
        elif match["operator"]:
            take(1)
            if match["operator"] == "/":
                side = -1
        elif match["name"]:
            word = match["name"]
            if word == "per":
                take(1)
                side = -1
            elif word in ("square", "sq", "cubic", "cu"):
                take(1)
                ahead = 2 if word.startswith("sq") else 3
            elif word in ("squared", "cubed"):
                take(2 if word == "squared" else 3)
            elif (known := _known(word)) is None:
                return None
            else:
                take(1)
                base, of_base = known
                last = (base**ahead, {name: power * ahead for name, power in of_base.items()}, side)
                ahead = 1
    take(1)
    return (size, powers) if powers and ahead == 1 else None


def _known(word: str) -> tuple[Fraction, dict[str, int]] | None:
    """One unit of the table, in any spelling: cm, centimeters, Centimeter, feet."""
    word = word.replace(" ", "")
    for name in (word, word.removesuffix("s"), word.casefold(), word.casefold().removesuffix("s")):
        if name in _BASE:
            return _BASE[name]
        for prefixes in (_LONG_PREFIXES, _PREFIXES):
            for prefix, power in prefixes.items():
                rest = name[len(prefix) :]
                # A long prefix goes with a long name: centimeter and cm, but neither cmeter nor centim.
                if name.startswith(prefix) and rest in _PREFIXED and (len(prefix) > 1) == (len(rest) > 3):
                    size, powers = _BASE[rest]
                    return size * Fraction(10) ** power, powers
    return None


def is_unit(word: str) -> bool:
    """Whether `word` is a known unit, in any spelling."""
    return _known(word) is not None


def ratio(unit: Unit, other: Unit) -> Fraction | None:
    """How many `other` are one `unit`: 60 for h in min. None where nothing is known of one of them; 0 where the two do
    not measure the same thing."""
    if unit.size is None or other.size is None:
        return None
    return unit.size / other.size if unit.powers == other.powers else Fraction(0)


# --- where a unit begins

_ROMAN = r"\\(?:text|mathrm|operatorname|textrm|textnormal|textbf|mbox|rm|unit)"
# `5\text{ m}`, `\mu\text{m}`, but not `\textstyle x`
_ROMAN_COMMAND = re.compile(rf"{_ROMAN}(?![A-Za-z])\s?\{{|\\mu(?=\s?{_ROMAN})")
_ROMAN_GROUP = re.compile(  # one group, or a fraction of two, with its power: \text{ m}^2, \frac{\text{m}}{\text{s}}
    rf"(?:{_ROMAN}\s?\{{(?P<words>[^{{}}]*(?:\{{[^{{}}]*\}}[^{{}}]*)*)\}}|\\Omega(?![A-Za-z])|\\mu(?![A-Za-z]))"
    r"(?:_(?:\{[^{}]{1,12}\}|\\?[A-Za-z]{1,8}))?\s?(?:\^\s?(?:-?\d|\{\s?-?\d\s?\}|\\circ))?\s?(?:[/*]|\\cdot(?![A-Za-z])|\\times(?![A-Za-z]))?\s?"
)
# `\frac{\text{m}}{\text{s}}`, but not `\frac12`
_ROMAN_FRACTION = re.compile(
    r"\\frac\{((?:[^{}]|\{[^{}]*\}(?:\^\{-?\d\}|\^\d)?)*)\}\{((?:[^{}]|\{[^{}]*\}(?:\^\{-?\d\}|\^\d)?)*)\}$"
)
_OHM = re.compile(r"\\Omega$")
_LONGEST_UNIT = 200  # characters
_NUMBER_HEAD = (
    r"[+-]?(?:(?:\d++ ?)?\\frac\{\d++\}\{\d++\}|\d[\d,. ]*+(?:/\d++)?(?:[eE][+-]?\d++"
    r"|\s?\\(?:times|cdot) ?10\^(?:\{[+-]?\d++\}|\d++))?|10\^(?:\{[+-]?\d++\}|\d++))"
)
# `1,250 m`, `3/4 cup`, `2 \times 10^{3} kg`, but not `x m`
_NUMBER_START = re.compile(_NUMBER_HEAD)
# `m/s^2`, `per hour`, `square cm`, but not `2 m`
_PLAIN_UNIT = re.compile(
    r"(?:(?:/|per ) ?)?[A-Za-z][A-Za-z .]*(?:\^(?:-?\d|\{-?\d\}))?"
    r"(?:\s?(?:/|\*|\\cdot|per)\s?[A-Za-z]+(?:\^(?:-?\d|\{-?\d\}))?)*"
)
# `5元`, `5 км/ч`, but not `5 km`
_FOREIGN = re.compile(r"(?=[\u0400-\U0010ffff])[^\W\d_](?:(?=[\u0400-\U0010ffff])[^\W\d_]|/){0,20}$")
# `90^\circ`, `20^\circ\text{C}`, but not `90^2`
_DEGREES = re.compile(r"\s?\^\\circ\s?(?:\\text\{ ?)?([CF]?)(?: ?\})?$")
# `5 square units`, `5 units`, but not `5 unit cells`
_TRAILING_WORD = re.compile(r"(?<=[\d}\)\w]) ?(?:(?:square |cubic |sq\.? )?units?)(?:\^\{?\d\}?)?$")
_TRAILING_UNIT = re.compile(  # 20\pi cm^2
    r" (?P<unit>(?:square |cubic |sq\.? )?[A-Za-z]{2,12}(?:\^(?:\d|\{-?\d\}))?"
    r"(?: ?/ ?[A-Za-z]{1,9}(?:\^(?:\d|\{-?\d\}))?)?)$"
)
# `2\pi`, `x^{2}`, `12`, but not `x`
_ENDS_EXPRESSION = re.compile(r"(?:[\d)}]|\\[A-Za-z]{1,20}) ?$")
# Words that say more of a number than what it counts.
_QUALIFIED = re.compile(
    r"(?<![A-Za-z])(?:or|than|least|most|not|no|is|isn't|are|was|were|wrong|incorrect|false|greater|smaller|lower|higher"
    r"|above|below|under|plus|minus|(?<!units )squared|(?<!units )cubed"
    r"|hundred|thousand|million|billion|trillion|dozen|percent"
    r"|half|quarter|remainder|mod|modulo|to|until|through|if|when|unless|undefined|error|maybe|except|but|only|without"
    r"|between|cannot|up|base|R|and|[ap]\.?m)(?![A-Za-z])",
    re.IGNORECASE,
)


def _is_unit(found: Unit, words: str) -> bool:
    return found.is_known or not is_qualified(words)


def is_qualified(words: str) -> bool:
    """Whether words behind a number say more than what it counts: "or more", "is wrong", "million"."""
    return _QUALIFIED.search(words) is not None


def split_unit(text: str, loose: bool) -> tuple[str, Unit]:
    r"""A normalised text without the unit behind it, and that unit, `NO_UNIT` where there is none.

    A unit is upright text behind an expression (`5\text{ cm}`), a degree sign, letters that are not Latin behind a
    number (9页) or the name of a known one behind a number (`5 cm`).
    `loose`: any words behind a number are a unit too (`18 eggs a day`), and so are the letters that stand for known
    ones (`5 m`). Only where a number is expected: `5 m` may as well be a product."""
    start = _upright_start(text)
    if start is None and loose and (match := _OHM.search(text[-12:])):
        start = len(text) - len(match[0])
    if start is not None:
        body = text[:start].rstrip()
        found = unit(text[start:])
        return (_without_times(body), found) if body and _is_unit(found, text[start:]) else (text, NO_UNIT)
    if match := _DEGREES.search(text[-30:]):
        body = text[: len(text) - len(match[0])].rstrip()
        return (body, unit("°" + match[1])) if body else (text, NO_UNIT)
    if match := _TRAILING_WORD.search(text[-40:]):
        return text[: len(text) - len(match[0])].rstrip(), Unit(match[0].strip())
    match = _TRAILING_UNIT.search(text[-60:]) if loose else None
    if match and _ENDS_EXPRESSION.search(text[: len(text) - len(match[0])]) and unit(match["unit"]).is_known:
        return text[: len(text) - len(match[0])].rstrip(), unit(match["unit"])
    match = _FOREIGN.search(text[-24:])
    if match and read_number(text[: -len(match[0])].rstrip()):
        return text[: -len(match[0])].rstrip(), unit(match[0])
    return _split_plain(text, loose)


def _split_plain(text: str, loose: bool) -> tuple[str, Unit]:
    head = _NUMBER_START.match(text) if len(text) < 400 else None
    if head is None:
        return text, NO_UNIT
    number = head[0].rstrip(" ,.")
    behind = text[len(number) :]
    words = behind.strip()
    if not words or not _PLAIN_UNIT.fullmatch(words) or read_number(number) is None or is_qualified(words):
        return text, NO_UNIT
    found, first = unit(words), words.split()[0].strip(".")
    # Letters right behind a number are a product as well, and one letter may be a name.
    known = found.is_known and (loose or len(words.strip()) > 1) or (is_unit(first) and len(first) > 2)
    if known or (loose and behind.startswith(" ") and any(len(word) > 2 for word in words.split())):
        return number, found
    return text, NO_UNIT


def _upright_start(text: str) -> int | None:
    """Where the upright text at the end of `text` begins; None without any."""
    if not text.endswith(("}", "a", "u")) and not text[-1:].isdigit():
        return None
    floor = max(0, len(text) - _LONGEST_UNIT)
    fraction = text.rfind(r"\frac", floor)
    if fraction > 0 and (match := _ROMAN_FRACTION.match(text, fraction)) and _ROMAN_COMMAND.match(match[1]):
        return fraction if _ROMAN_COMMAND.match(match[2]) else None
    starts = [match.start() for match in _ROMAN_COMMAND.finditer(text, floor)]
    for start in starts[:20]:
        if _is_upright(text, start):
            return start
    return None


def _is_upright(text: str, start: int) -> bool:
    """Whether text[start:] is nothing but upright groups."""
    while start < len(text):
        match = _ROMAN_GROUP.match(text, start)
        if match is None or (match["words"] is not None and not re.search(r"[^\W\d]|[°$%]", match["words"])):
            return False
        start = match.end()
    return True


def _without_times(body: str) -> str:
    r"""`5 \cdot` of `5 \cdot \text{m}` without its sign."""
    return re.sub(r"\s?(?:\\cdot|\\times|\*|/|\\)$", "", body).rstrip()
