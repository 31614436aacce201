r"""How an answer is written: one spelling for what mathematicians write in many.

In:  the text of an answer, a gold one or a model's.
Out: the same answer in plain LaTeX (`normalise`), its separate answers (`split_answers`), a key for equality (`key`).

    normalise("$１,０８０$")                    "1,080"
    normalise(r"\color{red}{\dfrac12}")         r"\frac{1}{2}"
    split_answers("x=2 or x=-2", True)          ["x=2", "x=-2"]

Everything here is linear in the length of the text: a model may write anything. It is by hand because math-verify by
itself refuses or misreads many of these spellings: how many, every score.json counts under `differences`.
"""

import re
import unicodedata

from otr.evaluation.math.numbers import THOUSANDS, read_number, spell_words

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
        "θ": r"\theta ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "⩽": r"\le ",
        "≥": r"\ge ",
        "⩾": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "±": r"\pm ",
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "∨": r"\lor ",
        "∧": r"\land ",
        "℃": r"^\circ C",
        "℉": r"^\circ F",
        "°": r"^\circ ",
        "、": ",",
        "。": ".",
        "€": "",
        "£": "",
        "¥": "",
        "￥": "",
    }
)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\w+))")
_CONTROLS = {code: None for code in [*range(9), 11, 12, *range(14, 32), 127]} | {9: " ", 10: " ", 13: " "}

# A command behind two backslashes: the text was escaped once too often. A row of a matrix ends in two as well, but
# what follows there is no command: `a \\b` stays, `\\frac{1}{2}` does not.
_TWICE = re.compile(
    r"\\\\(?=(?:[dtc]?frac|sqrt|begin|end|text|textbf|mathrm|mathbf|left|right|cdot|times|infty|le|leq|ge|geq|pi|pm|cup|cap"
    r"|theta|alpha|beta|lambda|circ|sin|cos|tan|log|ln|binom|overline|mathbb|boxed|quad)(?![A-Za-z]))"
)
_ROW_TWICE = re.compile(r"\\\\\\\\")

# A line break of a matrix (\\) is matched first so that its second backslash never starts another command.
_LAYOUT = re.compile(
    r"\\\\"
    r"|\\[!]"
    r"|\\[,;: ]|~|\\q?quad(?![A-Za-z])"
    r"|\\(?:hspace|vspace|hskip|kern|phantom|hphantom|vphantom|tag|label)\*?\s?\{[^{}]{0,40}\}"
    r"|\\(?:[bB]igg?[lrm]?|middle|displaystyle|textstyle|limits|nolimits|left\.|right\.|mathstrut|notag|nonumber"
    r"|bf|rm|it|sf|large|Large|LARGE|huge|Huge|small|normalsize|boldmath)(?![A-Za-z])"
    r"|\\[dtc]frac(?![A-Za-z])"
    r"|\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degrees?(?![A-Za-z])"
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
_DELIMITERS = [(r"\(", r"\)"), (r"\[", r"\]"), ("`", "`"), ("**", "**"), ("__", "__"), ("*", "*")]
_SYNONYMS = {
    "leqslant": "le",
    "leq": "le",
    "geqslant": "ge",
    "geq": "ge",
    "neq": "ne",
    "varnothing": "emptyset",
    "vee": "lor",
    "wedge": "land",
    "lbrace": "{",
    "rbrace": "}",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "colon": ":",
    "ast": "*",
    "div": "/",
    "dots": "ldots",
    "cdots": "ldots",
    "dotsc": "ldots",
    "tg": "tan",
    "ctg": "cot",
    "arctg": "arctan",
    "simeq": "approx",
    "thickapprox": "approx",
}
_SYNONYM = re.compile(rf"\\(?:{'|'.join(_SYNONYMS)})(?![A-Za-z])\s?")
# Roman e, i and d are the constants and the differential: \mathrm{e}, \text{i}, not \mathrm{cm}.
_ROMAN_LETTER = re.compile(r"\\(?:mathrm|text|textrm|operatorname|mathit|rm)\s?\{([eid])\}")
_FUNCTION = re.compile(
    r"\\(?:operatorname|mathrm|text)\*?\s?\{(arc(?:sin|cos|tan)|sin|cos|tan|cot|sec|csc|log|ln|gcd|max|min)\}"
)
# \frac12, \frac1{2} and \frac{a}2, not \frac{1}{2}
_BARE_FRACTION = re.compile(r"\\frac ?(?:(\d) ?(\d)|(\d) ?(?=\{)|(\{[^{}]{0,60}\}) ?(\d))")
# \sqrt2 and \sqrt x, not \sqrt{2}
_BARE_SQRT = re.compile(r"\\sqrt ?(\d|[a-z](?![a-z]))")
# At the end alone: 3 \pmod{7} and 3 (mod 7), not 3 mod 7 + 1
_MODULUS = re.compile(
    r" ?(?:\\pmod ?(?:\{([^{}]{1,20})\}|(\d))|\(? ?(?:\\bmod|\\mod|\\text\{ ?mod ?\}|mod) ?(\{?[\w]{1,10}\}?) ?\)?)$"
)
_SWITCHED = re.compile(r"\{\s?\\(?:rm|text|mathrm)\s+(?=[A-Za-z])")  # {\rm cm}
_ELLIPSIS = re.compile(r"(?<=\d)\.{3,}")
# US$5, RMB 5, Rs. 5
_CURRENCY = re.compile(r"(?:US|USD|AU|CA|HK|Rs\.?|RMB|EUR|\\text\s?\{\s*(?:Rs\.?|USD|\\\$)\s*\})\s?(?:\\?\$)?(?=[\d.])")
# "no real solutions" and "there are no roots", not "no answer"
_NO_SOLUTION = re.compile(
    r"(?:\\text\s?\{)? ?(?:there (?:are|is) )?(?:no (?:real |integer |such )?(?:solutions?|roots?)"
    r"(?: exists?)?|(?:the )?empty set) ?\}?",
    re.IGNORECASE,
)
_LEADING = re.compile(r"(?:=|\\approx(?![A-Za-z])|\\sim(?![A-Za-z])|\\therefore|:) ?")


def normalise(text: str) -> str:
    r"""`text` in plain LaTeX: NFKC, Unicode signs as commands, no math delimiters, decoration, currency or spacing
    commands, `\dfrac` and `\frac12` as `\frac{1}{2}`, number words as numbers, degrees inside of trigonometric
    functions in radians, one space for any white space, no full stop at the end."""
    text = _ELLIPSIS.sub(r"\\ldots ", _unescaped(_unfold(text).translate(_CONTROLS).strip()))
    text = _CURRENCY.sub("", text[:-1].strip() if text.endswith("\\") and not text.endswith("\\\\") else text)
    for left, right in _DELIMITERS:
        if len(text) > len(left) + len(right) and text.startswith(left) and text.endswith(right):
            text = text[len(left) : -len(right)]
    text = _undecorated(_SWITCHED.sub(r"\\mathrm{", text))
    text = _SPACES.sub(" ", _LAYOUT.sub(_lay_out, text))
    text = _untexted(text.strip())
    if "\\" in text:
        text = _SYNONYM.sub(_synonym, text)
        text = _FUNCTION.sub(r"\\\1 ", _ROMAN_LETTER.sub(r"\1", text))
        text = _BARE_SQRT.sub(r"\\sqrt{\1}", _BARE_FRACTION.sub(_braced, text))
        text = _NAMED_INDEX.sub(lambda match: f"_{{{match[1] or match[2]}}}", text)
    text = _WORD.sub(lambda match: r"\pi" if match[0] == "pi" else r"\infty", text)
    text = spell_words(_PLAIN_ROOT.sub(r"\\sqrt{\1}", text))
    text = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
    text = _radians(text.strip().rstrip(".,;:").strip().removesuffix(" \\"))
    return r"\emptyset" if _NO_SOLUTION.fullmatch(text) else text


def is_blank(text: str, start: int = 0, end: int | None = None) -> bool:
    r"""Whether the contents of a box or the words behind an anchor are empty: `\,`, `\text{}`, ?, "your answer".

    They are text[start:end], of which no copy is made: boxes may be nested.
    """
    end = len(text) if end is None else end
    first = _PRINTED.search(text, start, end)
    if first is None:
        return True
    longest = first.start() + _LONGEST_BLANK
    if _PRINTED.search(text, longest, end):
        return False
    content = text[first.start() : min(longest, end)].strip()
    return _BLANK.fullmatch(content) is not None and content.replace(" ", "") != r"\{\}"


_PRINTED = re.compile(r"\S")
_LONGEST_BLANK = 79  # characters
_BLANK = re.compile(
    r"(?:\s|\\[,;:! ]|~|\\q?quad|\\[hv]?phantom\s?\{[^{}]*\}"
    r"|\\text\s?\{\s*\}|\\(?:l|c|v)?dots|\\square|\\Box|\\_|[.?_$*\\(){}-]"
    r"|\\(?:boxed|fbox)\s?\{|(?:\\text\s?\{\s*)?(?:your|the|final|answer|here|\s)*answer(?:\s|here)*\}?)*",
    re.IGNORECASE,
)


def _unescaped(text: str) -> str:
    r"""LaTeX that was escaped twice: `\\frac{1}{2}` as `\frac{1}{2}`."""
    if "\\\\" not in text or not _TWICE.search(text):
        return text
    if _ROW_TWICE.search(text):
        return text.replace("\\\\", "\\")
    # A row end in front of a command has three backslashes.
    return re.sub(r"(?<!\\)" + _TWICE.pattern, r"\\", text)


# \boldsymbol{42} and \color{red}{42}: what they do to the look of an answer is nothing to its value.
_DECORATION = re.compile(
    r"\\(?:boldsymbol|bm|pmb|mathbf|mathit|mathsf|mathtt|mathbin|mathord|underline|uline|emph|ensuremath|boxed|fbox|framebox"
    r"|(?:textcolor|color|colorbox|style|class|cssId)(?![A-Za-z])\s?(?:\[[^\[\]{}]{0,40}\])?\s?(?:\{[^{}$]{0,40}\})?"
    r"|fcolorbox\s?\{[^{}]{0,40}\}\s?\{[^{}]{0,40}\}|bbox\s?\[[^\[\]]{0,40}\]|large|Large|LARGE|huge|Huge)(?![A-Za-z])\s?"
    r"|\\.|[{}]",
    re.DOTALL,
)


def _undecorated(text: str) -> str:
    """`text` without the commands of `_DECORATION` and their braces, and without braces around the whole."""
    if "\\" in text and ("{" in text or "color" in text):
        kept: list[str] = []
        open_braces: list[bool] = []  # whether the brace goes with a decoration
        position, behind = 0, -1  # behind: where the last decoration ended, -1 where something followed it
        for match in _DECORATION.finditer(text):
            found = match[0]
            if match.start() < position:
                continue
            kept.append(text[position : match.start()])
            position = match.end()
            if found == "{":
                drops = position - 1 == behind and not "".join(kept[-2:]).rstrip().endswith(("^", "_"))
                open_braces.append(drops)
                kept.append("" if drops else "{")
            elif found == "}":
                drops = open_braces.pop() if open_braces else False
                kept.append("" if drops else "}")
            elif len(found) > 2 and found[1].isalpha():
                behind = position
                kept.append(" " if kept and kept[-1][-1:].isalnum() and text[position : position + 1].isalnum() else "")
                continue
            else:
                kept.append(found)
            behind = -1
        text = "".join(kept) + text[position:]
    while text.startswith("{") and text.endswith("}") and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int:
    """Where the brace that `text` begins with closes; -1 if nowhere."""
    depth = 0
    for match in _BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mbox)\s?\{([^{}]*)\}")
_STARTS_NUMBER = re.compile(r"\s?[-+(\[]?\s?[.\d]")


def _untexted(text: str) -> str:
    r"""Numbers out of upright text: `\text{42 cm}` is 42 cm, `\textbf{(C) }27` is (C) 27."""
    if "\\" not in text:
        return text
    whole = _TEXT.fullmatch(text)
    if whole and (re.search(r"[\d=]", whole[1])):
        return whole[1].strip()
    return _TEXT.sub(lambda match: match[1] if _STARTS_NUMBER.match(match[1]) else match[0], text)


def _synonym(match: re.Match[str]) -> str:
    name = _SYNONYMS[match[0].strip()[1:]]
    return name if name in "|:*/" else f"\\{name}" if name in "{}" else f"\\{name} "


def _braced(match: re.Match[str]) -> str:
    if match[1]:
        return rf"\frac{{{match[1]}}}{{{match[2]}}}"
    return rf"\frac{{{match[3]}}}" if match[3] else rf"\frac{match[4]}{{{match[5]}}}"


_TRIGONOMETRY = re.compile(r"(?<!arc)(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
# 30^\circ and (x+1)^\circ
_DEGREES = re.compile(r"(\\frac\{[^{}]{1,40}\}\{[^{}]{1,40}\}|\d+(?:\.\d+)?|\([^()]{1,60}\)|[A-Za-z]) ?\^\\circ")


def _radians(text: str) -> str:
    r"""`\sin 30^\circ` as the sine of 30 π / 180; degrees of a bare angle stay."""
    if r"\circ" not in text or not _TRIGONOMETRY.search(text):
        return text
    return _DEGREES.sub(r"(\1\\cdot \\frac{\\pi}{180})", text)


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
    if found.startswith("^") or found.startswith(r"\degree"):
        return r"^\circ "
    if found.endswith(".") and found[0] in "nm":
        return "\\"  # np.arcsin(x): \arcsin(x)
    return " " if found[0] in "~\\" and not found.endswith(("$", ".")) else ""


# --- several answers

_CONNECTIVE = re.compile(
    r"\\text(?:rm|bf)?\s?\{\s?,?\s?(?:and|or|或|和|,|;)\s?,?\s?\}|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|\\lor(?![A-Za-z])|[或和及]"
)
_CONDITION = re.compile(
    r",?\s?(?:\\(?:text|quad)\s?\{?\s?)?(?:where|such that|for all|for any|for every|for some|\\forall)(?![A-Za-z]).*",
    re.DOTALL,
)
# ", x \in \mathbb{R}" behind something that x is no answer of
_DOMAIN = re.compile(
    r"(?<=.)[,;(] ?(?:\\text\{ ?(?:for|where|with) ?\} ?)?\(?[A-Za-z](?:, ?[A-Za-z])* ?\\in ?\\?[A-Za-z].{0,40}$"
)
_LONGEST_DOMAIN = 120  # characters
_BOUND = re.compile(r" ?\(?(\\?[A-Za-z]+) ?(?:\\(?:le|ge|ne)(?![A-Za-z])|[<>])[^,;=]*")  # f(x) = 3x, x > 0
# \{1, 2\} and \left\{1\right\}, not the group {1}
_SET = re.compile(r"(?:\\left)?\\\{((?:(?!(?:\\right)?\\\}).)*)(?:\\right)?\\\}", re.DOTALL)
_TOP_LEVEL = re.compile(rf"\\[{{}}]|\\(?:left|right)(?![A-Za-z])|{_CONNECTIVE.pattern}|[(\[{{]|[)\]}}]|,|;")


def split_answers(text: str, thousands: bool) -> list[str]:
    r"""The separate answers in a normalised text: at commas, semicolons, "and", "or" outside of every bracket, without
    the braces of a set. A trailing condition ("where b is an integer") is not an answer.
    `thousands`: 1,080 and 1, 080 are one number, not two."""
    text = without_condition(text)
    if match := _SET.fullmatch(text):
        text = match[1]
    if thousands and THOUSANDS.fullmatch(text.strip()):
        return [text.strip()]
    pieces = [normal for piece in split_top(text) for normal in (piece.strip().rstrip(".").strip(),) if normal]
    answers = [answer for piece in pieces for answer in _both_signs(piece)]
    return answers or [text]


def split_top(text: str) -> list[str]:
    """`text` in pieces: at commas, semicolons and connectives outside of every bracket."""
    pieces, depth, start = [], 0, 0
    for match in _TOP_LEVEL.finditer(text):
        found = match[0]
        if found in ("(", "[", "{", r"\{"):
            depth += 1
        elif found in (")", "]", "}", r"\}"):
            depth = max(0, depth - 1)
        elif depth == 0 and not found.startswith((r"\left", r"\right")):
            pieces.append(text[start : match.start()])
            start = match.end()
    return [*pieces, text[start:]]


def without_condition(text: str) -> str:
    """`text` without a trailing condition or the domain of its variable."""
    text = _CONDITION.sub("", text).strip() or text
    start = max(0, len(text) - _LONGEST_DOMAIN)
    text = (text[:start] + _DOMAIN.sub("", text[start:])).strip() or text
    head, _, bound = text.rpartition(",")
    match = _BOUND.fullmatch(bound)
    return head.strip() if match and "=" in head and match[1] in head and not _BOUND.search(head) else text


def split_modulus(text: str) -> tuple[str, str]:
    r"""A normalised text without the modulus behind it, and that modulus: `12 \pmod{17}`."""
    match = _MODULUS.search(text[-60:])
    body = text[: len(text) - len(match[0])].strip() if match else ""
    return (body, next(group for group in match.groups() if group).strip("{}")) if match and body else (text, "")


def _both_signs(text: str) -> list[str]:
    r"""`1 \pm \sqrt{2}` is two answers."""
    parts = _PLUS_MINUS.split(text)
    return ["+".join(parts).removeprefix("+").strip(), "-".join(parts)] if len(parts) == 2 else [text]


_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")


_WRAPPER = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|textrm|textnormal|mbox)\s?\{([^{}]*)\}")
_SIZED_BRACKET = re.compile(r"\\(?:left|right)(?![A-Za-z])")
_SMALL_BRACES = re.compile(r"([\^_])\{(\w)\}")


def key(text: str) -> str:
    r"""A text that is the same for answers that differ in spelling alone: `\text{(C)}` and c; 0.5, 1/2 and 50/100."""
    text = normalise(text).removesuffix(r"^\circ").rstrip()
    number = read_number(text)
    if number is not None:
        return str(number.value)
    text = _SIZED_BRACKET.sub("", _SMALL_BRACES.sub(r"\1\2", _WRAPPER.sub(r"\1", text))).replace(" ", "")
    if len(text) == 3 and text[0] == "(" and text[2] == ")":
        text = text[1]
    return text.casefold() if text.isalpha() and len(text) != 1 else text
