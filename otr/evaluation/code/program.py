"""From a completion to the program that is judged.

natural     the completion goes on where the prompt ends, so a HumanEval program is prompt + completion and an MBPP
            program the completion, each up to the first stop text
chat        the last complete ``` block after the last </think>:

    "Sure.\\n```python\\ndef double(x):\\n    return 2 * x\\n```\\nIt doubles x."
    Program("def double(x):\\n    return 2 * x\\n", "block")

Of several blocks, the last that defines the asked function (example calls often follow it); a block never closed
counts where none is closed, the whole text where there is no block at all. A HumanEval prompt is put in front of a
program that does not define the function: it may be the rest of it. Each line is looked at once: no text takes long.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from otr.files import Row

How = Literal["continuation", "block", "unclosed-block", "whole", "none"]


@dataclass(frozen=True)
class Program:
    text: str
    how: How
    """none: there is nothing but white space."""


def extract(
    completion: str, row: Row, scorer: str, protocol: Literal["natural", "chat"], stop_texts: Sequence[str]
) -> Program:
    """The program of a completion; row: evalplus's, with prompt and entry_point. scorer: humaneval or mbpp."""
    for stop in stop_texts:
        completion = completion.partition(stop)[0]
    if not completion.strip():
        return Program("", "none")
    stub = row["prompt"] if scorer == "humaneval" else ""
    if protocol == "natural":
        return Program(stub + completion, "continuation" if stub else "whole")
    text, how = _answer(completion, row["entry_point"])
    if not text.strip():
        return Program("", "none")
    if stub and not _defines(text, row["entry_point"]):
        text = f"{stub}\n{text}"
    return Program(text, how)


def _answer(completion: str, name: str) -> tuple[str, How]:
    text = completion[completion.rfind("</think>") + len("</think>") :] if "</think>" in completion else completion
    closed, unclosed = _blocks(text)
    if closed:
        return next((block for block in reversed(closed) if _defines(block, name)), closed[-1]), "block"
    return (unclosed, "unclosed-block") if unclosed else (text, "whole")


def _defines(program: str, name: str) -> bool:
    name = re.escape(name)
    return re.search(rf"^(?:(?:async[ \t]+)?def[ \t]+{name}\b|{name}[ \t]*[:=])", program, re.MULTILINE) is not None


def _blocks(text: str) -> tuple[list[str], str]:
    """The closed ``` blocks that are not blank, in order, and the last one if it is never closed.

    As in CommonMark, a block ends at a line of at least as many backticks as it began with, and its lines lose the
    indentation of its first; beyond it, a block may begin behind other text if a language is named ("Here: ```python").
    """
    closed: list[str] = []
    lines: list[str] = []
    ticks = indentation = 0
    for line in text.split("\n"):
        if not ticks:
            opening = _opening(line)
            if opening:
                ticks, indentation = opening
                lines = []
            continue
        bare = line.strip()
        if len(bare) >= ticks and not bare.strip("`"):
            if any(kept.strip() for kept in lines):
                closed.append("".join(f"{kept}\n" for kept in lines))
            ticks = 0
            continue
        margin = len(line) - len(line.lstrip(" "))
        lines.append(line[min(margin, indentation) :])
    return closed, "".join(f"{kept}\n" for kept in lines) if ticks else ""


def _opening(line: str) -> tuple[int, int] | None:
    """(backticks, indentation) of a line that opens a block."""
    start = line.find("```")
    if start < 0:
        return None
    behind = line[start:].lstrip("`")
    if "`" in behind:
        return None
    before = line[:start]
    if before.strip() and not re.fullmatch(r"[A-Za-z0-9_+.-]+", behind.strip()):
        return None
    return len(line) - start - len(behind), len(before) - len(before.lstrip(" "))
