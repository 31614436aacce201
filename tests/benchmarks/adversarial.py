r"""Seconds that reading an answer takes on texts made to be slow: 100,000 characters, most of them one piece repeated.

    python tests/benchmarks/adversarial.py          every reader on every text, the slowest last; fails above 0.2 s

A regular expression that goes back over what it has read shows here: a quadratic one takes minutes.
"""

import sys
import time
from collections.abc import Callable

from otr.evaluation.code.program import extract as extract_program
from otr.evaluation.general.matching import read_answer, read_letter
from otr.evaluation.math.answers import extract
from otr.evaluation.math.gold import Gold
from otr.evaluation.math.notation import key, normalise, split_answers
from otr.evaluation.math.numbers import is_scientific, read_based, read_number, split_percent
from otr.evaluation.math.units import split_unit, unit
from otr.evaluation.math.verdicts import LONGEST_ANSWER, grade
from otr.evaluation.turns import first_turn

LENGTH = 100_000
LIMIT = 0.2  # seconds

_PIECES = r"""
    $ $$ * ** ` # #### - − + . , ; : ! ? ' _ ^ / | % & = < > ( ) [ ] { } {} () [] \\ \{ \} 0 9 1, 1. .1 1: 1/ 1e 1^
    1_ 1- 12,345 1,234, a A x= x=1, x< 1< \boxed \boxed{ \boxed{} \boxed{1} \boxed1 \boxed{1}$ -\boxed{1} \fbox{
    \text{ \text{a} \text{} \text{and} \mathrm{m} \mathrm{m^{ \mathrm{~m \text{m}^2 \text{m}/ \text{m}\cdot \frac
    \frac{ \frac1 \frac{1}{ \frac{1}{2} \frac{\text{m}}{ \sqrt \sqrt{ \sqrt( \left \left( \right) \left\{ \cdot \pm
    \cup \in \quad \, ~ \circ ^\circ 30^\circ \pmod \pmod{ \overline{ 0.\overline{3} 0.\dot{3} \color{red}
    \color{red}{ \textcolor{ \mathbf{ \boldsymbol{1} \bbox[ \hspace{ \( \) \[ \] \(x\) $x$ answer Answer: <answer>
    </answer> <answer></answer> <answer>1 <think> </think> 答案 答案是
    答案： 或 元 1元 万 ， 。 İ ½ ¹ ₁ √ √( π ° … ... m/s
    <|im_end|> (A)( \textbf{(A) ' x_{ E_{0} e_1 y^2 x^{2} ->
    """
# fmt: off
PIECES = [
    *_PIECES.split(),
    *(
        " |#### |- |1, |1 |a |A |ab |x = |$x$ and |answer |answer is|answer is |answer is:|The answer is |"
        "The answer is 1. |the answer is $|answer (|answer to the |answer is not |final answer is: |answer is (A|"
        "answer is (A) |answer is A|answer is **|answer: **|answer = |correct option is |option |and |or |is |is: |"
        "not |about |equal to |1 million |5 minus |1 and a |5 and |hundred |1 or |where |, where |such that |"
        "because |1 cm |1 cm^2|5 km/h |per |square |a.m. |1:00 p.m. |A) |(A) |A, B, |yes, no, |"
    ).rstrip("|").split("|"),
    "\n",
    "\t",
    "```\n",
    "~~~\n",
    "\n- ",
    "\"",
    "\\",
    "\\boxed{1}, ",
    "\\boxed{1} and ",
    "\\text{ a }",
    "\\times 10^",
    "\\times 10^{3}",
    "\\pm 1",
    "x\\in ",
    "\\ ",
    "\\sin 30^\\circ",
    "\\le 1",
    "answer\n",
    "\nuser\n",
    "\nUser:",
    "user\n",
    "def f():\n",
    "import os\n",
    "```python\n",
    "```python\nx\n```\n",
    "    return\n",
    "\\textbf{(A)} ",
    "\u200b",
    "\ud800",
    "\\to ",
]
# fmt: on
ENDS = ["", "1", "}", "$", " x", r"\boxed{1}", "\n", "The answer is 1", "答案是", "**", r"\text{", "</think>"]


def _read_letter(text: str) -> object:
    return read_letter(text, 10)


def _answer(reader: Callable[[str], object]) -> Callable[[str], object]:
    """`reader` of the longest answer that is looked at."""
    return lambda text: reader(text[:LONGEST_ANSWER])


def _graded(text: str) -> object:
    return grade([(Gold(("1",), raw="1"), text, True)])  # truncated: nothing is left to math-verify's own limits


def _program(text: str) -> object:
    return extract_program(text, {"prompt": "def f():\n", "entry_point": "f"}, "humaneval", "chat", [])


READERS: dict[str, Callable[[str], object]] = {
    "grade": _graded,
    "extract": extract,
    "first_turn": first_turn,
    "read_letter": _read_letter,
    "read_answer": read_answer,
    "program": _program,
    "normalise": _answer(normalise),
    "key": _answer(key),
    "split_answers": _answer(lambda text: split_answers(text, thousands=True)),
    "split_unit": _answer(lambda text: split_unit(text, loose=True)),
    "unit": _answer(unit),
    "split_percent": _answer(split_percent),
    "read_number": _answer(read_number),
    "read_based": _answer(read_based),
    "is_scientific": is_scientific,
}


def texts() -> list[str]:
    """Every piece repeated, by itself and in front of every end, and behind the words that start an answer."""
    found = []
    for piece in PIECES:
        body = piece * (LENGTH // len(piece))
        found += [body + end for end in ENDS]
        found += [f"The answer is {body}", f"\\boxed{{{body}}}", f"answer is: {body}.", f"<answer>{body}"]
    return found


def main() -> None:
    worst: list[tuple[float, str, str]] = []
    for text in texts():
        for name, reader in READERS.items():
            start = time.process_time()
            reader(text)
            worst.append((time.process_time() - start, name, f"{text[:30]!r} ... {text[-20:]!r}"))
    worst.sort()
    for seconds, name, text in worst[-20:]:
        print(f"{seconds:8.3f} s  {name:14} {text}")
    print(f"{len(worst)} readings of {LENGTH:,} characters, the slowest {worst[-1][0]:.3f} s, limit {LIMIT} s")
    sys.exit(worst[-1][0] > LIMIT)


if __name__ == "__main__":
    main()
