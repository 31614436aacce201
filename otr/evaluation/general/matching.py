r"""What the task files beside this one refer to: how a completion's answer is read and when it counts.

    read_letter("So it is (B). The answer is (C).", options=4)     # Answer("C", "anchor")
    read_letter(r"Hence \boxed{\text{D}}.", options=4)             # Answer("D", "boxed")
    read_answer("The final answer is: Yes, No.")                   # Answer("yes,no", "anchor")
    same_answer("(a)", "A")                                        # True

Read is what comes last, after any </think>: a \boxed{} or a sentence "answer is ...". Nothing is guessed: a completion
without either has no answer and counts as wrong, while the scripts of the field draw a random letter.
"""

import re
from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from otr.evaluation.math.answers import boxes
from otr.evaluation.turns import first_turn
from otr.files import Row, read_jsonl

NO_ANSWER = "[invalid]"
"""lm-eval's own word for an answer that could not be read."""
_ADJECTIVES = (
    r"(?:most\s+)?(?:correct|right|best|closest|nearest|only|final|appropriate|likely|suitable|accurate|reasonable"
    r"|matching|true)"
)
# "The answer is", "the correct option would be", "Answer:", 答案：; not "another option is".
_ANCHOR = re.compile(
    r"(?:\banswer(?:\s+(?:choice|option|letter|key))?|\b"
    + _ADJECTIVES
    + r"\s+(?:option|choice|letter|response|statement)"
    r"|\bI\s+(?:would\s+)?(?:choose|select|pick)(?=\s)|答案)"
    r"(?:\s+(?:here|(?:to|for)\s[^.:\n]{0,40}?))?[\s*_]{0,4}"
    r"(?:\s(?:is|would\s+be|should\s+be|must\s+be|will\s+be|has\s+to\s+be)\b|[:=：]|(?<=choose)|(?<=select)|(?<=pick)|[是为选])"
    r"[\s*_:：]{0,6}"
    r"(?:(?:therefore|thus|hence|clearly|then|indeed|definitely|probably|likely|simply|just|most\s+likely)[\s,]{1,3})?"
    r"(?:the\s+)?(?:" + _ADJECTIVES + r"\s+)?(?:(?:option|choice|letter|answer|选项)\s*:?\s*)?",
    re.IGNORECASE,
)
# "Option (B) is correct", "(B) is the correct answer"
_LETTER_FIRST = re.compile(
    r"(?:\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+\*{0,2}\(?(?P<named>[A-Z])\)?|\((?P<round>[A-Z])\))\*{0,2}\s+is\s+"
    r"(?:therefore\s+|thus\s+)?(?:the\s+)?(?:correct|right|best)\b"
)
_MARKUP = (
    r"(?:\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathsf|boldsymbol|operatorname|boxed)\s*\{\s*"
    r"|\\\(\s?|\$|\*\*|[`\"'])"
)
_LETTER = re.compile(
    r"\s{0,4}" + _MARKUP + r"{0,4}\s?(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|The answer is)\s*:?\s*)?" + _MARKUP + r"{0,3}"
    r"(?:[(\[]\s*(?P<round>[A-Z])\s*(?:[)\].:]|\s(?![,A-Z]))"
    # A bare letter may be a word ("the answer is A dog") or a name ("A = 5"): what follows has to end it.
    r"|(?P<bare>[A-Z])(?=\s*(?:[)!。，.,;:*}\]$`\"'\n]|\\\)|\\\]|\\text|\\quad|\\\s|$"
    r"|(?:because|since|as|which|where|so|with|rather)\b)|\s+[-–—(]\s?(?:[A-Za-z]{2}|[a-z]\s)))"
    # "(A) or (B)", "A, B and E" name no single option.
    r"(?!(?:[\s).\]}$*]|\\\)){0,4}(?:[,;/&]|,?\s?\bor\b|,?\s?\band\b|\\text\s?\{\s?(?:or|and)\b)[\s}]{0,3}(?:or\s|and\s)?[(\[$*]{0,3}[A-Z](?![A-Za-z]))"
)
_BOXED_LETTER_END = re.compile(r"[\s)\]}.$*]*(?:$|[.:)\]][\s}]|\\text|\\textbf|\\quad|\\ |\\;|\\,|\s+[-–—]\s)")
# BBEH's own script knows "The answer is" and "The final answer is"; sentences with small letters count where it is not.
_BBEH_ANCHOR = re.compile(r"\bThe (?:final )?answer is:?")
_BBEH_OTHER_ANCHOR = re.compile(r"\banswer is:?", re.IGNORECASE)
_WRAPPED = re.compile(r"\\(?:boxed|text|texttt|textbf|mathrm)\{(.*)\}", re.DOTALL)
_WRAPPERS = 8  # one in the other: more are a loop
_LONGEST_ANSWER = 2000  # characters


class Answer(NamedTuple):
    text: str
    how: str
    """boxed, anchor (a sentence that names the answer) or none."""


NONE = Answer(NO_ANSWER, "none")


def dataset(rows: str, **_: Any) -> dict[str, Any]:
    """lm-eval's custom_dataset: the rows of a JSONL file as its test split."""
    from datasets import Dataset

    return {"test": Dataset.from_list(list(read_jsonl(rows)))}


def last_letters(responses: Iterable[Sequence[str]], docs: Iterable[Row]) -> list[list[str]]:
    return [
        [read_letter(text, doc["options"]).text for text in texts] for texts, doc in zip(responses, docs, strict=True)
    ]


def last_answers(responses: Iterable[Sequence[str]], docs: Iterable[Row]) -> list[list[str]]:
    return [[read_answer(text).text for text in texts] for texts in responses]


def bbeh_result(doc: Row, results: Sequence[str]) -> dict[str, float]:
    return {"exact_match": float(same_answer(results[0], normal(doc["target"])))}


def read_letter(completion: str, options: int) -> Answer:
    """The letter of one of `options` options that a completion names last."""
    allowed = ascii_uppercase[:options]
    found: list[tuple[int, Answer]] = []
    text = _answer_text(completion)
    for start, content in boxes(text):
        letter = _boxed_letter(content[:_LONGEST_ANSWER])
        if letter and letter in allowed:
            found.append((start, Answer(letter, "boxed")))
    for anchor in _ANCHOR.finditer(text):
        match = _LETTER.match(text, anchor.end())
        letter = (match["round"] or match["bare"]) if match else ""
        if match and letter in allowed:
            # A box inside the sentence is the box's.
            found.append((anchor.start(), Answer(letter, "boxed" if "boxed" in match[0] else "anchor")))
    for match in _LETTER_FIRST.finditer(text):
        letter = match["named"] or match["round"]
        if letter in allowed:
            found.append((match.start(), Answer(letter, "anchor")))
    return max(found, default=(0, NONE), key=lambda place: place[0])[1]


def _boxed_letter(content: str) -> str:
    r"""The letter that a box holds, alone or in front of its option's text: `\text{B. 42}`, but not `A \cap B`."""
    match = _LETTER.match(content)
    if match is None:
        return ""
    behind = content[match.end() :]
    return (match["round"] or match["bare"]) if match["round"] or _BOXED_LETTER_END.match(behind) else ""


_TAG, _END_TAG = "<answer>", "</answer>"


def _answer_text(completion: str) -> str:
    """What follows the last </think> in the first turn; the last filled <answer> as a sentence."""
    text = first_turn(completion).rpartition("</think>")[2]
    before, tag, content = text.rpartition(_TAG)
    content = content.partition(_END_TAG)[0].strip()
    return f"{content if 'nswer' in content else f'The answer is: {content}'}" if tag and content else text


def read_answer(completion: str) -> Answer:
    """A BBEH answer in its normal form: after the last "The answer is", to the end of its line, or in a later box."""
    text = _answer_text(completion)
    anchors = list(_BBEH_ANCHOR.finditer(text)) or list(_BBEH_OTHER_ANCHOR.finditer(text))
    found = boxes(text)
    start = anchors[-1].end() if anchors else -1
    if found and found[-1][0] > start:
        answer, how = normal(found[-1][1][:_LONGEST_ANSWER]), "boxed"
    elif anchors:
        answer, how = normal(text[start:].lstrip().partition("\n")[0][:_LONGEST_ANSWER]), "anchor"
    else:
        return NONE
    return Answer(answer, how) if answer else NONE


def normal(answer: str) -> str:
    """Lower case, without markup, a closing full stop and the space after a comma."""
    text = _without_edges(answer.replace("**", ""))
    for _ in range(_WRAPPERS):
        match = _WRAPPED.fullmatch(text)
        if not match:
            break
        text = match[1].strip()
    return text.lower().replace(", ", ",").removesuffix(".")


def _without_edges(text: str) -> str:
    r"""`text` without white space and signs of mathematics around it, and without the full stop at its end."""
    left, right = 0, len(text)
    while left < right and (text[left] == "$" or text[left].isspace() or text.startswith(r"\(", left)):
        left += 2 if text.startswith(r"\(", left) else 1
    while left < right:
        if text[right - 1] in "$." or text[right - 1].isspace():
            right -= 1
        elif text.startswith(r"\)", right - 2) and right - 2 >= left:
            right -= 2
        else:
            break
    return text[left:right]


def same_answer(answer: str, target: str) -> bool:
    """Whether two normal forms are the same answer to BBEH's publishers: also (a) and a, 25 and 25.0, with and without
    quotation marks or brackets around the whole, and a needless question mark."""
    if answer == target:
        return True
    if {len(answer), len(target)} == {1, 3} and f"({min(answer, target, key=len)})" in (answer, target):
        return True
    if _number(answer) is not None and _number(answer) == _number(target):
        return True
    if answer.replace("'", "") == target.replace("'", "") or answer.replace('"', "") == target.replace('"', ""):
        return True
    return answer in (f"[{target}]", f"{target}?") or target == f"[{answer}]"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
