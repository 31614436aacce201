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
from otr.files import Row, read_jsonl

NO_ANSWER = "[invalid]"
"""lm-eval's own word for an answer that could not be read."""
_ANCHOR = re.compile(
    r"\banswer(?:\s+is|\s*\**:)\s*:?[\s*]{0,6}(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|letter)\s+)?", re.IGNORECASE
)
_LETTER = re.compile(
    r"[\s$]{0,4}(?:\\\()?(?:\\(?:text|mathrm|mathbf|textbf|boxed)\s*\{\s*){0,3}(?:(?P<open>[(\[]\s*)|\*\*)?"
    r"(?P<letter>[A-Z])"
    # A bare letter may be a word: "the answer is A dog".
    r"(?(open)(?:\s*[)\].:]|\s)|(?=\s*(?:[).,:;*}\]$\\\n]|$|because\b|since\b|as\b|which\b)))"
)
_BBEH_ANCHOR = re.compile(r"\banswer is:?\s*", re.IGNORECASE)
_EDGES = re.compile(r"^(?:\s|\$|\\\()+|(?:\s|\$|\\\)|\.(?!\d))+$")
_WRAPPED = re.compile(r"\\(?:boxed|text|texttt|textbf|mathrm)\{(.*)\}", re.DOTALL)


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
    text = completion.rpartition("</think>")[2]
    for start, content in boxes(text):
        if (match := _LETTER.match(content)) and match["letter"] in allowed:
            found.append((start, Answer(match["letter"], "boxed")))
    for anchor in _ANCHOR.finditer(text):
        if (match := _LETTER.match(text, anchor.end())) and match["letter"] in allowed:
            # A box inside the sentence is the box's.
            how = "boxed" if "boxed" in match[0] else "anchor"
            found.append((anchor.start(), Answer(match["letter"], how)))
    return max(found, default=(0, NONE), key=lambda place: place[0])[1]


def read_answer(completion: str) -> Answer:
    """A BBEH answer in its normal form: after the last "answer is", up to the end of the line, or in a later box."""
    text = completion.rpartition("</think>")[2]
    anchors, found = list(_BBEH_ANCHOR.finditer(text)), boxes(text)
    start = anchors[-1].end() if anchors else -1
    if found and found[-1][0] > start:
        answer, how = normal(found[-1][1]), "boxed"
    elif anchors:
        answer, how = normal(text[start:].split("\n")[0]), "anchor"
    else:
        return NONE
    return Answer(answer, how) if answer else NONE


def normal(answer: str) -> str:
    """Lower case, without markup, a closing full stop and the space after a comma."""
    text = _EDGES.sub("", answer.replace("**", ""))
    while match := _WRAPPED.fullmatch(text):
        text = match[1].strip()
    return text.lower().replace(", ", ",").removesuffix(".")


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
