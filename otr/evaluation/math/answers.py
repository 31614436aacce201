r"""The answer in a completion, and how it was found.

In:  what a model wrote.
Out: `Found(text, how)`; `how` says where the answer stood:

    boxed          in the last complete \boxed{}             ... so $x = \boxed{\frac{1}{2}}$.    \frac{1}{2}
    anchor         behind "The answer is", "Answer:", ####   The answer is 18 dollars a day.      18
    last-number    the last number of the text               She pays 12 + 6 = 18 for both.       18
    none           the text has no number either

Only what follows the last </think> counts: a thought is not an answer. Every search is linear in the length of the
text and cheap where the answer stands at the end, since runaway completions are long and full of unclosed brackets.
"""

import re
from dataclasses import dataclass

from otr.evaluation.math.notation import is_unit


@dataclass(frozen=True)
class Found:
    """The text of an answer, "" where there is none, and how it was found: boxed, anchor, last-number or none."""

    text: str
    how: str


def extract(completion: str) -> Found:
    """The answer that `completion` ends on."""
    text = completion.rpartition("</think>")[2]
    for how, search in (("boxed", last_box), ("anchor", _last_anchor), ("last-number", _last_number)):
        answer = search(text)
        if answer is not None:
            return Found(answer, how)
    return Found("", "none")


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is no bracket
_FILLED = re.compile(r"\S")
_BETWEEN_BOXES = re.compile(r"[\s$.,;\\()\[\]]*(?:,|;|\band\b|\bor\b|\\text\s*\{\s*(?:and|or)\s*\})[\s$,\\()\[\]]*")
_LONGEST_GAP = 40  # characters between two boxes of one answer


def last_box(text: str) -> str | None:
    r"""The contents of the last complete, filled \boxed{} in `text`, None without one.

    `\boxed{2} and \boxed{3}` is one answer, "2, 3"; boxes apart from each other are steps, and the last one counts.
    """
    start = text.rfind(r"\boxed")
    # The last box is nearly always whole and alone: then nothing before it needs to be read.
    found = _boxes(text, start) if start >= 0 and not _continues(text, start) else []
    found = found or _boxes(text, 0)
    if not found:
        return None
    answers = [found[-1]]
    for box in reversed(found[:-1]):
        gap = text[box[1] : answers[-1][0]]
        if len(gap) > _LONGEST_GAP or not _BETWEEN_BOXES.fullmatch(_without_command(gap)):
            break
        answers.append(box)
    return ", ".join(text[start:end].strip() for start, end in reversed(answers))


def boxes(text: str) -> list[tuple[int, str]]:
    r"""Every complete, filled \boxed{} of `text`: where its contents start, and they themselves."""
    return [(start, text[start:end]) for start, end in _boxes(text, 0)]


def _continues(text: str, start: int) -> bool:
    """Whether the box at `start` may continue an answer that a box before it began."""
    end = text.rfind("}", max(0, start - _LONGEST_GAP), start)
    return end >= 0 and _BETWEEN_BOXES.fullmatch(text, end + 1, start) is not None


def _without_command(gap: str) -> str:
    r"""What stands between two boxes: `}` of the first and `\boxed{` of the second left out."""
    return _BOX.sub("", gap.removeprefix("}"))


def _boxes(text: str, begin: int) -> list[tuple[int, int]]:
    """(start, end) of the contents of every complete, filled box behind `begin`, in the order of their starts."""
    starts = {match.end() for match in _BOX.finditer(text, begin)}
    if not starts:
        return []
    open_braces: list[int] = []
    boxes = []
    for match in _BRACE.finditer(text, min(starts) - 1):
        if match[0] == "{":
            open_braces.append(match.end())
        elif match[0] == "}" and open_braces:
            start = open_braces.pop()
            if start in starts and _FILLED.search(text, start, match.start()):
                boxes.append((start, match.start()))
    return sorted(boxes)


_ANCHOR = re.compile(
    r"\**answers?\b\**(?:"
    r"[^.:=\n]{0,60}?(?:\bis\b|\bare\b|\bwas\b|\bbe\b|[:=])"  # answer (to the question) is, answer:
    r"|[ \t*]*\n"  # the heading "Final answer" on a line of its own
    r")[\s:*]*",
    re.IGNORECASE,
)
_ANCHORS_READ = 20  # from the end: a text of nothing but anchors must not cost more than a long one
_LONGEST_PHRASE = 400  # characters read behind an anchor
_EDGES = " \t*_\"'`"
_SPAN = re.compile(r"(?<!\\)\$\$?((?:[^$\\]|\\.)+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_LIST_GAP = re.compile(r"\s*(?:,|;|,?\s*and\b|,?\s*or\b)\s*")
_SENTENCE_END = re.compile(r"[.;!?](?=\s|$)|,?\s(?:because|since|so|which|where|as|when)\s", re.IGNORECASE)
_JUDGEMENT = re.compile(r"\b(?:in)?correct\b|\bwrong\b|\b(?:un)?clear\b|\breasonable\b", re.IGNORECASE)
_POWER = r"(?:[eE][+-]?\d+|\s?(?:\\times|\\cdot|[*x×·])\s?10(?:\^\{?[+-]?\d+\}?|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))"
_THOUSANDS = r"(?:,|\{,\}|,?\\[,!]|[ \u00a0\u2009\u202f])"  # what may stand between groups of three digits
_DIGITS = rf"(?:\d{{1,3}}(?:{_THOUSANDS}\d{{3}})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+)"
_NUMBER = re.compile(
    rf"(?<![\w.])[-−]?\s?(?:\\[dt]?frac\{{-?\d+\}}\{{\d+\}}"
    rf"|(?:\\\$|[$€£])?[-−]?{_DIGITS}{_POWER}?(?:/\d+)?)(?:\s?\\?%|\s?percent\b)?"
)
_UNIT_WORD = re.compile(r"\s?([A-Za-z]{1,12})\b")
# What turns a number at the start of a phrase into a longer expression: an operator, a bracket, a command, a list.
_GOES_ON = re.compile(
    r"\$?(?:\s*[-+*/^_=<>(){}\[\]\\×·√π±]|[A-Za-z]|\s*(?:,|,?\s?and|,?\s?or)\s*[-\d$(\\]|\s[A-Za-z](?![A-Za-z]))"
)


def _last_anchor(text: str) -> str | None:
    """The answer behind the last "answer is", "answer:" or "####" that has one."""
    lowered = text.lower()
    end = len(text)
    for _ in range(_ANCHORS_READ):
        word, hashes = lowered.rfind("answer", 0, end), lowered.rfind("####", 0, end)
        start = max(word, hashes)
        if start < 0:
            return None
        match = _ANCHOR.match(text, start) if word > hashes else None
        behind = match.end() if match else start + 4 if hashes > word else -1
        answer = _phrase_answer(text[behind : behind + _LONGEST_PHRASE]) if behind >= 0 else None
        if answer is not None:
            return answer
        end = start
    return None


def _phrase_answer(phrase: str) -> str | None:
    """The answer at the start of a phrase: mathematics between delimiters, a number with its unit, or its words."""
    lines = phrase.strip(_EDGES + "\n#:").split("\n")
    span = _SPAN.search(phrase)
    line = lines[0].strip(_EDGES)
    number = _NUMBER.match(line)
    if number and not _GOES_ON.match(line, number.end()):
        return _with_unit(line, number)
    if span and phrase.find("\n", len(phrase) - len(phrase.lstrip()), span.start()) < 0:
        return _spans(phrase, span)
    words = _SENTENCE_END.split(line, maxsplit=1)[0].strip(_EDGES + ".:")
    # A few words are an answer ("Evelyn", "odd"); a judgement is not, nor are many words without mathematics.
    is_answer = re.search(r"[\d\\=]", words) or (len(words.split()) <= 3 and not _JUDGEMENT.search(words))
    return words if words and is_answer else None


def _with_unit(line: str, number: re.Match[str]) -> str:
    """The number and, where the word behind it is a known unit, that word."""
    word = _UNIT_WORD.match(line, number.end())
    known = word is not None and is_unit(word[1])
    return line[: word.end()] if known and word else number[0]


def _spans(phrase: str, span: re.Match[str]) -> str:
    """The mathematics of `span`, and of the spans joined to it by commas, "and" or "or": "$x=2$ or $x=3$"."""
    answers = []
    following: re.Match[str] | None = span
    while following:
        answers.append(next(group for group in following.groups() if group).strip())
        joint = _LIST_GAP.match(phrase, following.end())
        following = _SPAN.match(phrase, joint.end()) if joint else None
    return ", ".join(answers)


_DIGIT = re.compile(r"\d")
_LONGEST_NUMBER = 200  # characters


def _last_number(text: str) -> str | None:
    """The last number, with its sign, thousands separators, power of ten and percent sign."""
    tail = len(text)
    step = 1000
    while tail > 0 and not _DIGIT.search(text, max(0, tail - step), tail):
        tail, step = max(0, tail - step), step * 2
    if tail <= 0:
        return None
    last = max(match.start() for match in _DIGIT.finditer(text, max(0, tail - step), tail))
    found = None
    for match in _NUMBER.finditer(text, max(0, last - _LONGEST_NUMBER), last + 20):
        found = match[0].strip()
    return found
