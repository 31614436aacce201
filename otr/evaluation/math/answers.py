r"""The answer in a completion, and how it was found.

In:  what a model wrote.
Out: `Found(text, how, passage)`; `how` says where the answer stood:

    boxed          in the last complete \boxed{}             ... so $x = \boxed{\frac{1}{2}}$.    \frac{1}{2}
    anchor         behind "The answer is", "Answer:", ####   The answer is 18 dollars a day.      18
                   or in <answer></answer>
    last-number    the last number of the text               She pays 12 + 6 = 18 for both.       18
    none           the text has no number either

Only what follows the last </think> counts: a thought is not an answer. Every search is linear in the length of the
text and cheap where the answer stands at the end, since runaway completions are long and full of unclosed brackets.
"""

import re
from dataclasses import dataclass

from otr.evaluation.math.notation import is_blank
from otr.evaluation.math.units import is_unit
from otr.evaluation.turns import first_turn


@dataclass(frozen=True)
class Found:
    r"""The text of an answer, "" where there is none, and how it was found: boxed, anchor, last-number or none.

    Several answers are joined by "; ", which is never part of a number.
    passage: the words that the answer stood in, for a grader with its own way of finding it; "" where they are the
    answer itself.
    """

    text: str
    how: str
    passage: str = ""


def extract(completion: str) -> Found:
    """The answer that `completion` ends on."""
    text = _tagged(first_turn(completion).rpartition("</think>")[2])
    box = last_box(text)
    if box is not None:
        return Found(box, "boxed")
    return _last_anchor(text) or _last_number(text) or Found("", "none")


_TAG, _END_TAG = "<answer>", "</answer>"


def _tagged(text: str) -> str:
    """What the last filled <answer> says, as a sentence of the kind that `_last_anchor` reads; else `text`."""
    end = len(text)
    for _ in range(_ANCHORS_READ):
        start = text.rfind(_TAG, 0, end)
        if start < 0:
            return text
        content = text[start + len(_TAG) :].partition(_END_TAG)[0].strip()
        if content and not is_blank(content):
            return content if r"\boxed" in content or "answer" in content.lower() else f"Answer: {content}"
        end = start
    return text


# --- boxes

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*")
_BARE = re.compile(r"[+-]?\d+(?:\.\d+)?|(?<=\s)[A-Za-z](?![A-Za-z])")  # \boxed5, \boxed x
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is no bracket
_LONGEST_GAP = 80  # characters between two boxes of one answer
# What may stand between two boxes of one answer, piece by piece: "$ and $f(x)=" between \boxed{x} and \boxed{2-x}.
_JOINT = re.compile(
    r"(?P<joins>[,;、]|\n\s*(?:[-*•]|\(?\d\)|\d\.)(?=\s)|(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[或和及与]"
    r"|\\text\s*\{[\s,;]{0,4}(?:and|or|或|和|,|;)[\s,;]{0,4}\}|\\(?:lor|vee|land|wedge|q?quad)(?![A-Za-z]))"
    r"|[\s$.()\[\]&*]|\\[,;:!()\[\]\\ ]|\\text\s*\{\s{0,8}\}"
    r"|[A-Za-z](?:_\{?\w{1,4}\}?)?(?:\([A-Za-z]\))?\s*="
)
# A sign before the box belongs to its answer, unless it is a bullet or the sign of a difference (5 - \boxed{3}).
_SIGN = re.compile(
    r"(?:[=$(:,;&]|\\[(\[]|\b(?:is|are|be|or|and|to)\b|^)[ \t]*(?P<sign>[-−+±]|\\pm)\s*(?:\\[,;:!]|\$|\\\(|\{)*$"
)
_POWER_BEHIND = re.compile(r"\}\s*(?:\\times|\\cdot|×|·)\s*10\^(?:\{[+-]?\d{1,4}\}|\d)|\}\s*\\?%")


@dataclass(frozen=True)
class _Box:
    command: int
    start: int
    end: int
    behind: int


def last_box(text: str) -> str | None:
    r"""The contents of the last complete, filled \boxed{} in `text`, None without one.

    `\boxed{2} and \boxed{3}` is one answer, "2; 3"; boxes apart from each other are steps, and the last one counts.
    """
    start = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"), text.rfind(r"\framebox"))
    if start < 0:
        return None
    # The last box is nearly always whole and alone: then nothing before it needs to be read.
    found = _boxes(text, start) if not _may_continue(text, start) else []
    found = found or _boxes(text, 0)
    if not found:
        return None
    answers = [found[-1]]
    for box in reversed(found[:-1]):
        if box.behind > answers[-1].command or not _joins(text, box.behind, answers[-1].command):
            break
        answers.append(box)
    return "; ".join(dict.fromkeys(_content(text, box) for box in reversed(answers)))


def boxes(text: str) -> list[tuple[int, str]]:
    r"""Every complete, filled \boxed{} of `text`: where its contents start, and they themselves."""
    return [(box.start, text[box.start : box.end]) for box in _boxes(text, 0)]


def _content(text: str, box: _Box) -> str:
    """The contents of a box, with the sign before it and the power of ten behind it."""
    content = text[box.start : box.end].strip()
    content += " " if content.endswith("\\") else ""  # of the space command
    line = text.rfind("\n", max(0, box.command - 40), box.command) + 1
    before = text[max(line, box.command - 40) : box.command]
    sign = _SIGN.search(before)
    if sign and sign["sign"] != "+" and not re.match(r"\s*-\s", before) and content[:1] not in "+-":
        sum_inside = re.search(r"(?<=[\w)}\s])[+-]", content)
        content = f"{sign['sign'].replace('−', '-')} {f'({content})' if sum_inside else content}".replace("- ", "-")
    power = _POWER_BEHIND.match(text, box.end, box.end + 40) if text[box.end : box.end + 1] == "}" else None
    return content + (power[0][1:] if power else "")


def _may_continue(text: str, start: int) -> bool:
    """Whether the box at `start` may continue an answer that a box before it began."""
    return text.find("boxed", max(0, start - _LONGEST_GAP - 400), start) >= 0


def _joins(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] joins two boxes: connectives, layout, and the left-hand side of an equation."""
    if end - start > _LONGEST_GAP:
        return False
    joined = False
    while start < end:
        match = _JOINT.match(text, start, end)
        if match is None:
            sign = re.compile(r"[-−±]|\\pm").match(text, start, end)
            if sign is None or not joined:
                return False
            match = sign
        joined = joined or bool(match.groupdict().get("joins"))
        start = match.end()
    return joined


def _boxes(text: str, begin: int) -> list[_Box]:
    """Every complete, filled box behind `begin`, in the order of their starts."""
    starts: dict[int, int] = {}
    found = []
    for match in _BOX.finditer(text, begin):
        if text.startswith("{", match.end()):
            starts[match.end() + 1] = match.start()
        elif bare := _BARE.match(text, match.end()):
            found.append(_Box(match.start(), bare.start(), bare.end(), bare.end()))
    if starts:
        open_braces: list[int] = []
        for match in _BRACE.finditer(text, min(starts) - 1):
            if match[0] == "{":
                open_braces.append(match.end())
            elif match[0] == "}" and open_braces:
                start = open_braces.pop()
                if start in starts and not is_blank(text, start, match.start()):
                    found.append(_Box(starts[start], start, match.start(), match.end()))
    return sorted(found, key=lambda box: box.start)


# --- phrases

_ANCHOR = re.compile(
    r"\**answers?\b[*_]*(?:"
    r"(?:(?!\bnot\b)[^.:=\n?!]){0,80}?\b(?:is|are|was|were|be|equals)\b"  # answer (to the question) is
    # answer (in cm): and answer to part b:, but not "the answer in the form a + b:"
    r"|(?:[ \t]*\([^()\n]{0,40}\)|[ \t](?:to|for|of|in|with)[ \t](?!the form)[^.:=\n]{0,60}?)?[ \t*_]{0,4}[:=]"
    r"|[ \t]+(?=\$?[A-Za-z](?:_\w)?\s{0,2}=)"  # answer x = 5
    r"|[ \t*_]{0,8}\n"  # the heading "Final answer" on a line of its own
    r")[ \t:*_=]*",
    re.IGNORECASE,
)
# 答案是 12 and 答案为：12, not 回答 12
_CHINESE_ANCHOR = re.compile(r"答案(?:[^。:：=\n]{0,12}?(?:是|为|等于|[:：=]))[ \t:：*]*")
_ANCHORS_READ = 20  # from the end: a text of nothing but anchors must not cost more than a long one
_LONGEST_PHRASE = 400  # characters read behind an anchor
_EDGES = " \t*_\"'`"
# A pair of dollars closes as Pandoc has it: no space inside its ends and no digit behind, so "$5 and $3" is money.
_SPAN = re.compile(
    r"(?<!\\)\$\$((?:[^$\\]|\\.)+)\$\$|(?<!\\)\$(?=[^\s$])((?:[^$\\]|\\.)+)(?<!\s)\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]",
    re.DOTALL,
)
# What stands between the members of a list: "1, 2", "1, and 2", "1 or 2".
_LIST_GAP = re.compile(r"\s*(?:,|;|,?\s*and\b|,?\s*or\b|[、或和])\s*")
# The full stop of "12. Then" and the 。 of 12。, not the point of 3.5 or of e.g
_SENTENCE_END = re.compile(
    r"[.!?](?=\s|$|[*_]{1,2}(?:\s|$))|[。！？；]|;(?=\s+[A-Za-z]{2})|，(?=[\u4e00-\u9fff])"
    r"|,?\s(?:because|since|so|which|where|as|when)\s",
    re.IGNORECASE,
)
_JUDGEMENT = re.compile(r"\b(?:in)?correct\b|\bwrong\b|\b(?:un)?clear\b|\breasonable\b", re.IGNORECASE)
_NEGATION = re.compile(r"not\b(?!.*\bbut\b)", re.IGNORECASE)
_POWER = r"(?:[eE][+-]?\d+|\s?(?:\\times|\\cdot|[*x×·])\s?10(?:\^\{?[+-]?\d+\}?|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))"
_THOUSANDS = r"(?:,|\{,\}|,?\\[,!]|[ \u00a0\u2009\u202f])"  # what may stand between groups of three digits
_DIGITS = rf"(?:\d{{1,3}}(?:{_THOUSANDS}\d{{3}})++(?:\.\d+)?(?!\d)|\d++(?:\.\d++)?|\.\d++)"
_CLOCK = r"\d++(?:\.\d++)?(?:\s?:\s?\d++(?:\.\d++)?)++(?:\s?[aApP]\.?[mM]\b\.?)?"  # 2:3, 10:30 p.m.
# 12, -3.5, 1 1/2, 4.5 \times 10^{33}, not the 12 of x12
_NUMBER = re.compile(
    rf"(?<![\w.])[-−]?\s?(?:{_CLOCK}|\d{{1,4}}\s\d{{1,3}}/\d{{1,3}}(?!\d)|\\[dt]?frac\{{-?\d+\}}\{{\d+\}}"
    rf"|(?:\\\$|[$€£¥])?[-−]?{_DIGITS}{_POWER}?(?:/\d+)?)(?:\s?\\?%|\s?percent\b)?"
)
_UNIT_WORD = re.compile(r"\s?([A-Za-z]{1,12})\b")
_FOREIGN_UNIT = re.compile(r"\s?(?:(?=[\u0400-\U0010ffff])[^\W\d_]){1,8}(?=[\s。，；、,.;!?）)]|$)")
# What turns a number at the start of a phrase into a longer expression: an operator, a bracket, a command, a list.
_GOES_ON = re.compile(
    r"(?!\s\([A-Za-z]{2})\$?(?:\s*[-+*/^_=<>(){}\[\]\\×·√π±!]|[A-Za-z]|\s*(?:[,;、]|,?\s?and|,?\s?or|[或和])\s*[-\d$(\\]|\s[A-Za-z](?![A-Za-z]))"
)
# Words that make another value of the number before them: 5 million, 5 minus 3, 5 or more, 5 remainder 2.
_CONTINUED = re.compile(
    r"\s?(?:(?:hundred|thousand|million|billion|trillion|dozen|squared|cubed|factorial|remainder|mod|modulo|choose|pi)\b|\ssqrt|\s?π"
    r"|(?:half|halves|thirds?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|hundredths?|thousandths?)\b"
    r"|,?\s?(?:with\s+)?(?:a\s+)?remainder\b|plus\s+or\s+minus\b|greater\s+than\b"
    r"|(?:minus|plus|times|divided by|multiplied by|over|out of|to|through|or|r)\s+(?:the\s+)?[-$\\]?[\d(]"
    r"|and\s+(?:a|an|one|two|three)\s+(?:half|third|quarter|fourth|fifth|sixth|eighth|tenth)s?\b|and\s+\d+/\d"
    r"|or\s+(?:more|less|fewer|greater|higher|lower|above|below|so)\b|more than\b|less than\b|fewer than\b"
    r"|to the power\b|[万亿千百])",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:about|exactly|simply|just|therefore|thus|hence|then|so|approximately|approx\.?|roughly|around|nearly|almost"
    r"|indeed|clearly|obviously|actually|precisely|only|now|again|still|also|always|probably|likely|apparently"
    r"|equal\s+to|equals|equivalent\s+to|found\s+to\s+be|given\s+by|given\s+as|determined\s+to\s+be|calculated\s+to\s+be"
    r"|computed\s+to\s+be|known\s+to\s+be|estimated\s+to\s+be|obtained\s+as|the\s+(?:number|value|fraction|integer"
    r"|expression|quantity|set|ratio|pair|time|price|total)|a\s+total\s+of|that|as\s+follows|of\s+course|believed\s+to\s+be"
    r"|not\b.{0,60}\bbut|约|大约|是|为|等于|≈|\\approx|=|:|,)(?![A-Za-z])[\s,:]*",
    re.IGNORECASE,
)
# "at least" right before a number makes a bound of it; "the least" does not
_BOUND = re.compile(r"\b(?:at least|at most|than|under|over|between|not|up to|below|above)\s*$", re.IGNORECASE)
_COPULA = re.compile(r"(?:\b(?:is|are|was|equals?|be|becomes|gives|yields|makes)\b|[:=：])(?!=)\s*", re.IGNORECASE)
_BULLET = re.compile(r"[ \t]*(?:[-*•–]|\(?\d{1,2}[.)])[ \t]+(?=\S)")


def _last_anchor(text: str) -> Found | None:
    """The answer behind the last "answer is", "answer:", 答案 or "####" that has one."""
    end = len(text)
    for _ in range(_ANCHORS_READ):
        start = max(text.rfind(word, 0, end) for word in ("answer", "Answer", "ANSWER", "####", "答案"))
        if start < 0:
            return None
        behind = _behind_anchor(text, start)
        phrase = text[behind : behind + _LONGEST_PHRASE] if behind >= 0 else ""
        answer = _phrase_answer(phrase)
        if answer is not None and not is_blank(answer):
            return Found(answer, "anchor", _passage(phrase, answer))
        end = start
    return None


def _behind_anchor(text: str, start: int) -> int:
    """Where the phrase behind the anchor at `start` begins; -1 where it is none."""
    if text.startswith("####", start):
        return start + 4
    match = (_CHINESE_ANCHOR if text.startswith("答案", start) else _ANCHOR).match(text, start)
    if match is None:
        return -1
    return match.end() - (text[match.end() - 1] == "\n")  # the line break tells a bullet from a minus


def _passage(phrase: str, answer: str) -> str:
    """The line behind an anchor, "" where it is the answer itself."""
    line = phrase.strip().partition("\n")[0].strip()
    return "" if line.strip(_EDGES + "#:.$") == answer.strip("$") else f"The answer is {line}"


def _phrase_answer(phrase: str) -> str | None:
    """The answer at the start of a phrase: mathematics between delimiters, a number with its unit, or its words."""
    whole = phrase.strip("#")
    if items := _items(whole):
        return items
    stripped = whole.strip(_EDGES + "\n#:=")
    lines = stripped.split("\n")
    line = lines[0].strip(_EDGES)
    if line.startswith(("$$", "\\[", "\\(", "$")) and (span := _SPAN.match(stripped.lstrip(_EDGES))):
        return _from_span(stripped.lstrip(_EDGES), span)
    return _line_answer(line)


def _items(phrase: str) -> str | None:
    """The answers of a list below an anchor, a bullet each; None where no list begins there."""
    head, newline, rest = phrase.partition("\n")
    if head.strip(_EDGES + ":") or not newline:
        return None
    answers: list[str] = []
    for line in rest.split("\n"):
        bullet = _BULLET.match(line)
        if bullet:
            answer = _line_answer(line[bullet.end() :].strip(_EDGES))
            if answer is None:
                return None
            answers.append(answer)
        elif line.strip() or answers:
            break
    return "; ".join(dict.fromkeys(answers)) or None


def _line_answer(line: str, depth: int = 0) -> str | None:
    """The answer in one line: at its start, behind fillers ("about"), or behind its last "is"."""
    if _NEGATION.match(line):
        return None
    filler = _FILLER.match(line)
    while filler and filler.end() < len(line):
        line = line[filler.end() :].strip(_EDGES)
        filler = _FILLER.match(line)
    number = _NUMBER.match(line)
    if number and not line.startswith("$") and _CONTINUED.match(line, number.end()):
        return _first_sentence(line)
    span = _SPAN.match(line)
    if span:
        return _from_span(line, span)
    if number and _CONTINUED.match(line, number.end()):
        return _first_sentence(line)
    if number and not _GOES_ON.match(line, number.end()):
        return _with_unit(line, number)
    if not number and depth < 3 and (found := _behind_copula(line, depth)):
        return found
    if not number and (span := _SPAN.search(line)):
        return _spans(line, span)
    words = _first_sentence(line)
    if not number and not re.search(r"[\\=^_]", words):
        numbers = list(_NUMBER.finditer(words))
        if len(numbers) == 1 and _BOUND.search(words[: numbers[0].start()]):
            return words
        if len(numbers) == 1 and len(words.split()) > 2 and not _CONTINUED.match(words, numbers[0].end()):
            return _with_unit(words, numbers[0])
    # A few words are an answer ("Evelyn", "odd"); a judgement is not, nor are many words without mathematics.
    is_answer = re.search(r"[\d\\=]", words) or (len(words.split()) <= 3 and not _JUDGEMENT.search(words))
    return words if words and is_answer else None


def _first_sentence(line: str) -> str:
    return _SENTENCE_END.split(line, maxsplit=1)[0].strip(_EDGES + ".:")


def _behind_copula(line: str, depth: int) -> str | None:
    """The value behind the last "is" of the first sentence: "The largest $n$ is 34"."""
    sentence = _first_sentence(line)
    if re.match(r"[\\(\[{|]|[A-Za-z](?:_\w|\(\w\))?\s*=", sentence):
        return None  # mathematics by itself
    for match in list(_COPULA.finditer(sentence))[:-4:-1]:
        rest = line[match.end() :]
        if _NUMBER.match(rest) or _SPAN.match(rest) or _FILLER.match(rest) or rest.startswith("\\"):
            return _line_answer(rest.strip(_EDGES), depth + 1)
    return None


def _with_unit(line: str, number: re.Match[str]) -> str:
    """The number and, where the word behind it is a known unit, that word."""
    word = _UNIT_WORD.match(line, number.end())
    if word is not None and is_unit(word[1]):
        power = re.compile(r"\^\{?\d\}?|[²³]").match(line, word.end())
        return line[number.start() : power.end() if power else word.end()].strip()
    foreign = _FOREIGN_UNIT.match(line, number.end())
    return line[number.start() : foreign.end()].strip() if foreign else number[0]


def _from_span(phrase: str, span: re.Match[str]) -> str | None:
    """The answer of a phrase that begins with mathematics: `$5$ million`, `$n$ is 34`, `$x=2$ or $x=3$`."""
    behind = phrase[span.end() : span.end() + 40]
    named = re.match(r"\s+(?:is|equals|are)\s+", behind)
    if named:
        answer = _line_answer(phrase[span.end() + named.end() :].partition("\n")[0].strip(_EDGES), 2)
        if answer is not None:
            return answer
    content = next(group for group in span.groups() if group).strip()
    number = _NUMBER.fullmatch(content)
    if number and _CONTINUED.match(behind):
        return _first_sentence(content + phrase[span.end() :].partition("\n")[0])
    word = _UNIT_WORD.match(behind)
    if number and word and is_unit(word[1]) and len(word[1]) > 1:
        return f"{content} {word[1]}"
    return _spans(phrase, span)


def _spans(phrase: str, span: re.Match[str]) -> str:
    """The mathematics of `span`, and of the spans joined to it by commas, "and" or "or": "$x=2$ or $x=3$"."""
    answers = []
    following: re.Match[str] | None = span
    while following:
        answers.append(next(group for group in following.groups() if group).strip())
        joint = _LIST_GAP.match(phrase, following.end())
        following = _SPAN.match(phrase, joint.end()) if joint else None
    return "; ".join(answers)


# --- the last number

_DIGIT = re.compile(r"\d")
_LONGEST_NUMBER = 200  # characters


def _last_number(text: str) -> Found | None:
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
        found = match
    if found is None:
        return None
    continued = _CONTINUED.match(text, found.end())
    number = found[0] + (continued[0] if continued and not _DIGIT.search(continued[0]) else "")
    return Found(number.strip(), "last-number")
